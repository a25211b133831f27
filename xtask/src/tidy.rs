//! What a compiler cannot check.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

/// Source files that only one of the two backends has, because only that one has the thing.
const ONE_BACKEND_ONLY: [&str; 1] = ["src/knn_edges_store.rs"];

/// Runs every check and reports all that is wrong at once.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    let files = tracked(&sh)?;
    let mut wrong = Vec::new();
    for file in &files {
        let Ok(text) = sh.read_file(file) else { continue };
        match file.extension().and_then(|e| e.to_str()) {
            Some("rs") => module_document(file, &text, &mut wrong),
            Some("md") => links(&sh, file, &text, &mut wrong),
            _ => {}
        }
        if file.file_name().is_some_and(|name| name != "Cargo.lock") {
            machine_paths(file, &text, &mut wrong);
        }
    }
    same_file_names(&files, &mut wrong);
    for line in &wrong {
        eprintln!("tidy: {line}");
    }
    if !wrong.is_empty() {
        bail!("{} things are not in order", wrong.len());
    }
    Ok(())
}

fn tracked(sh: &Shell) -> Result<Vec<PathBuf>> {
    let listed = cmd!(sh, "git ls-files --cached --others --exclude-standard").quiet().read()?;
    Ok(listed.lines().map(PathBuf::from).filter(|path| sh.path_exists(path)).collect())
}

fn module_document(file: &Path, text: &str, wrong: &mut Vec<String>) {
    if !text.trim_start_matches("#!/usr/bin/env run\n").starts_with("//!") {
        wrong.push(format!("{}: does not begin with a module document (//!)", file.display()));
    }
}

/// Paths of one machine, in any text file. The pieces are joined here so that this file does not contain them.
fn machine_paths(file: &Path, text: &str, wrong: &mut Vec<String>) {
    let private = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]].map(|parts| parts.concat());
    for (number, line) in text.lines().enumerate() {
        if private.iter().any(|path| line.contains(path.as_str())) {
            wrong.push(format!("{}:{}: a path of one machine", file.display(), number + 1));
        }
    }
}

/// Every relative Markdown link leads to a file.
fn links(sh: &Shell, file: &Path, text: &str, wrong: &mut Vec<String>) {
    let folder = file.parent().unwrap_or(Path::new(""));
    for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let path = target.split('#').next().unwrap_or_default();
        let elsewhere = path.is_empty() || path.contains("://") || path.contains(char::is_whitespace);
        if !elsewhere && !sh.path_exists(folder.join(path)) {
            wrong.push(format!("{}: a link leads nowhere: {target}", file.display()));
        }
    }
}

/// Both backends are laid out alike, so that `diff -r` shows only what differs.
fn same_file_names(files: &[PathBuf], wrong: &mut Vec<String>) {
    let names = |backend: &str| -> BTreeSet<String> {
        let root = Path::new("crates").join(backend).join("src");
        files
            .iter()
            .filter_map(|file| file.strip_prefix(&root).ok())
            .map(|file| format!("src/{}", file.display()))
            .filter(|name| !ONE_BACKEND_ONLY.contains(&name.as_str()))
            .collect()
    };
    let (redb, simple) = (names("mnem-backend-redb"), names("mnem-backend-simple"));
    for name in redb.symmetric_difference(&simple) {
        wrong.push(format!("only one of the two backends has {name}"));
    }
}
