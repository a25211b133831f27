//! The paths of stores as the user typed them. Backends open a store by its absolute path and name its files by it.

use std::{
    fs,
    path::{Path, PathBuf, absolute},
};

/// The stores of this run, as typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TypedPaths(Vec<PathBuf>);

impl<'a> FromIterator<&'a Path> for TypedPaths {
    fn from_iter<T: IntoIterator<Item = &'a Path>>(paths: T) -> Self {
        Self(paths.into_iter().map(Path::to_owned).collect())
    }
}

impl TypedPaths {
    /// Replaces the absolute path of a store, also at the start of a longer path, by the path as typed. A path that was
    /// typed itself stays, also if another typed path leads to the same store.
    pub(crate) fn in_text(&self, mut text: String) -> String {
        for typed in &self.0 {
            let shown: PathBuf = typed.components().collect();
            for found in [absolute(typed), fs::canonicalize(typed)].into_iter().flatten() {
                // Without a trailing slash, which the path of a part repeats.
                let found: PathBuf = found.components().collect();
                let is_typed = self.0.iter().any(|typed| typed.starts_with(&found));
                if !is_typed && found.parent().is_some() {
                    text = replaced(&text, &found.display().to_string(), &shown.display().to_string());
                }
            }
        }
        text
    }
}

/// Replaces `from` where a path begins with it and it ends with a whole component. In a URL, no path begins.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let of_a_name = |c: char| c.is_alphanumeric() || "._-+~@".contains(c);
    let continues = |c: char| of_a_name(c) || c == '/';
    let (mut done, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once(from) {
        done.push_str(before);
        let is_whole = !done.ends_with(continues) && !after.starts_with(of_a_name);
        done.push_str(if is_whole { to } else { from });
        rest = after;
    }
    done + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_and_its_parts_are_named_as_typed() {
        let here = std::env::current_dir().expect("a folder");
        let paths: TypedPaths = ["a.simple/", "b.redb", "s3://bucket/x"].map(Path::new).into_iter().collect();
        for (path, typed) in [
            ("a.simple", "a.simple"),
            ("a.simple/objects/ba", "a.simple/objects/ba"),
            ("b.redb", "b.redb"),
            ("a.simple: it is missing", "a.simple: it is missing"),
        ] {
            assert_eq!(paths.in_text(format!("open {}", here.join(path).display())), format!("open {typed}"));
        }
        // Another file, the name of which begins with that of the store.
        let other = format!("{} {}", here.join("b.redb.old").display(), here.join("c").display());
        assert_eq!(paths.in_text(other.clone()), other);
        assert_eq!(paths.in_text("s3://bucket/x/log".into()), "s3://bucket/x/log");
        let (folder, url) = (here.join("a.simple"), format!("file://{}", here.join("a.simple/x").display()));
        for beside in ["+b", "~", "@2"] {
            let other = format!("{}{beside}", folder.display());
            assert_eq!(paths.in_text(other.clone()), other);
        }
        assert_eq!(paths.in_text(url.clone()), url);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_a_store_is_named_as_typed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, link) = (folder.path().join("store"), folder.path().join("link"));
        fs::create_dir(&store).expect("a folder");
        std::os::unix::fs::symlink(&store, &link).expect("a link");
        let inside = fs::canonicalize(&store).expect("there").join("format").display().to_string();
        let paths: TypedPaths = [&*link].into_iter().collect();
        assert_eq!(paths.in_text(inside.clone()), link.join("format").display().to_string());
        // Unless the other name of the store, or a path inside, was typed too.
        let store = fs::canonicalize(&store).expect("there");
        for other in [store.clone(), store.join("b.redb")] {
            let paths: TypedPaths = [&*link, &*other].into_iter().collect();
            assert_eq!(paths.in_text(inside.clone()), inside, "{}", other.display());
        }
    }
}
