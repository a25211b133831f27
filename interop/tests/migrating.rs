//! `docs/MIGRATING.md`: its commands, as typed, on a file that the published backend wrote; its code is the bridge's README's, which is compiled.

use std::{env, fs, path::Path, process::Command};

use mnem_interop::flow::{Contents, check, first_half, second_half};

use crate::tool::{bridged, published, tool};

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).expect("a document")
}

/// The contents of the fenced blocks that are marked so.
fn blocks<'a>(document: &'a str, mark: &str) -> Vec<&'a str> {
    let fence = format!("```{mark}\n");
    let opened = document.split(&*fence).skip(1);
    opened.map(|rest| rest.split("```").next().expect("before the end")).collect()
}

#[test]
fn the_commands_do_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    first_half(&published(&path("memory.redb"))).unwrap();
    second_half(&published(&path("memory.redb"))).unwrap();
    let contents = Contents::of(&published(&path("memory.redb"))).unwrap();
    let untouched = fs::read(path("memory.redb")).unwrap();

    let mut places = vec![tool().parent().expect("its folder").to_owned()];
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let document = text("docs/MIGRATING.md");
    let commands: Vec<&str> = blocks(&document, "console")
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    assert!(commands.len() >= 9, "{commands:?}");
    for command in commands {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", command]).current_dir(folder.path());
        shell.env("PATH", env::join_paths(&places).unwrap()).env_remove("MNEM_STORE");
        let output = shell.output().expect("a shell");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    assert!(fs::read(path("memory.redb")).unwrap() == untouched, "the old file is left as it was");
    assert!(fs::metadata(path("before.car")).unwrap().len() > 0);
    for name in ["ours.redb", "ours.simple"] {
        assert_eq!(Contents::of(&bridged(&path(name))).unwrap(), contents, "{name}");
    }
    let back = published(&path("theirs.redb"));
    assert_eq!(Contents::of(&back).unwrap(), contents);
    check(&back).unwrap();
}

#[test]
fn the_code_is_that_of_the_bridges_readme() {
    let (guide, readme) = (text("docs/MIGRATING.md"), text("crates/mnem-core-bridge/README.md"));
    assert_eq!(blocks(&guide, "rust"), blocks(&readme, "rust,no_run"));
    assert_eq!(blocks(&guide, "rust").len(), 1);
}
