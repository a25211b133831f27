//! The files that the guards check.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use anyhow::Result;
use xshell::{Shell, cmd};

/// Every file that is tracked or would be, by its path from the root. `None`: not text.
pub(super) struct Workspace {
    files: BTreeMap<PathBuf, Option<String>>,
}

impl Workspace {
    pub(super) fn tracked(sh: &Shell) -> Result<Self> {
        let listed = cmd!(sh, "git ls-files --cached --others --exclude-standard").quiet().read()?;
        let paths = listed.lines().map(PathBuf::from).filter(|path| sh.path_exists(path));
        Ok(Self { files: paths.map(|path| (path.clone(), sh.read_file(path).ok())).collect() })
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| (PathBuf::from(path), Some((*text).to_owned())));
        Self { files: files.collect() }
    }

    /// Every text file.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_path(), text.as_deref()?)))
    }

    /// Every text file with this extension.
    pub(super) fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = (&'a Path, &'a str)> {
        self.texts().filter(move |(path, _)| path.extension().is_some_and(|found| found == extension))
    }

    /// The folder of every crate.
    pub(super) fn crates(&self) -> impl Iterator<Item = PathBuf> {
        let manifests = self.files.keys().filter(|file| file.file_name().is_some_and(|name| name == "Cargo.toml"));
        manifests.filter_map(|file| file.parent().map(Path::to_owned))
    }

    pub(super) fn text(&self, path: &Path) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether there is such a file, or a folder that contains files.
    pub(super) fn has(&self, path: &Path) -> bool {
        path.as_os_str().is_empty()
            || self.files.range(path.to_owned()..).next().is_some_and(|(found, _)| found.starts_with(path))
    }

    /// The folder of the crate that a file belongs to, or the root.
    pub(super) fn crate_of(&self, file: &Path) -> PathBuf {
        let folders = file.ancestors().skip(1);
        folders
            .filter(|folder| self.files.contains_key(&folder.join("Cargo.toml")))
            .map(Path::to_owned)
            .next()
            .unwrap_or_default()
    }

    /// Resolves a relative path from a folder. `None` if it leads out of the workspace.
    pub(super) fn resolve(folder: &Path, relative: &str) -> Option<PathBuf> {
        let mut path = folder.to_owned();
        for part in Path::new(relative).components() {
            match part {
                Component::ParentDir if !path.pop() => return None,
                Component::Normal(name) => path.push(name),
                Component::RootDir | Component::Prefix(_) => return None,
                Component::ParentDir | Component::CurDir => {}
            }
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_found() {
        let workspace = Workspace::of(&[("docs/data/a.car", ""), ("docs.md", "")]);
        for there in ["docs", "docs/data", "docs/data/a.car", "docs.md", ""] {
            assert!(workspace.has(Path::new(there)), "{there}");
        }
        for absent in ["doc", "docs/data/a", "docs/b"] {
            assert!(!workspace.has(Path::new(absent)), "{absent}");
        }
    }

    #[test]
    fn relative_paths_are_resolved() {
        let from = |relative| Workspace::resolve(Path::new("crates/a"), relative);
        assert_eq!(from("../../docs/./x.md"), Some(PathBuf::from("docs/x.md")));
        assert_eq!(from("../../../x.md"), None);
    }

    #[test]
    fn the_nearest_manifest_above_a_file_is_its_crate() {
        let workspace = Workspace::of(&[("Cargo.toml", ""), ("crates/a/Cargo.toml", ""), ("crates/a/src/b/c.rs", "")]);
        assert_eq!(workspace.crate_of(Path::new("crates/a/src/b/c.rs")), Path::new("crates/a"));
        assert_eq!(workspace.crate_of(Path::new("docs/x.md")), Path::new(""));
    }
}
