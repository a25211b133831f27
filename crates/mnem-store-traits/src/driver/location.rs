//! The location of a store.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

use super::url;

/// The location of a store: a path of the file system, or a URL.
///
/// A text of the form `scheme://…`, with a scheme of two or more letters, is a URL; anything else is a path. `Display`
/// and `Debug` print the text as given, but `***` for a [secret](Self::secret_part) in a URL.
///
/// ```
/// use mnem_store_traits::driver::Location;
///
/// assert!(matches!(Location::from("s3://bucket/animals"), Location::Url(_)));
/// assert!(matches!(Location::from("animals.redb"), Location::Path(_)));
/// assert!(matches!(Location::from(r"C:\animals.redb"), Location::Path(_)));
/// assert_eq!(Location::from("animals.redb").to_string(), "animals.redb");
///
/// let typed = String::from("animals.redb");
/// assert_eq!(Location::from(&typed), Location::from(typed));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Location {
    /// A path, absolute or relative to the current directory.
    Path(PathBuf),
    /// A URL.
    Url(String),
}

impl Location {
    /// The path, if it is one.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Url(_) => None,
        }
    }

    /// The scheme of a URL, in lower case: `s3` of `S3://bucket`.
    pub fn scheme(&self) -> Option<String> {
        match self {
            Self::Path(_) => None,
            Self::Url(url) => scheme_of(url).map(str::to_ascii_lowercase),
        }
    }

    /// The path in the local file system: the path itself, or that of a `file:///` URL. `None` for any other URL, and
    /// for a `file` URL that names another host or has a query.
    pub fn to_local_path(&self) -> Option<PathBuf> {
        match self {
            Self::Path(path) => Some(path.clone()),
            Self::Url(url) => url::local_path(url),
        }
    }

    /// The part of a URL that holds a secret, such as "a user name or password before the `@`" or "`access_key`".
    /// `None` if there is none, or for a path.
    ///
    /// Text before an `@` is a secret, unless the `@` is in the path of a `file` URL, in `container@account` of an
    /// `abfs` URL, or in the query. So is an authority with a `:` that does not begin a port.
    ///
    /// A URL appears in messages, in logs and in the lists of processes, so a driver should refuse one with a secret.
    pub fn secret_part(&self) -> Option<String> {
        match self {
            Self::Path(_) => None,
            Self::Url(url) => url::secret_part(url),
        }
    }

    /// The extension of a path or URL, without its dot.
    pub fn extension(&self) -> Option<&OsStr> {
        match self {
            Self::Path(path) => path.extension(),
            Self::Url(url) => Path::new(url).extension(),
        }
    }

    /// Whether the last character is a separator, which means a folder.
    pub fn ends_with_separator(&self) -> bool {
        let last = |bytes: &[u8]| bytes.last().is_some_and(|byte| std::path::is_separator(char::from(*byte)));
        match self {
            Self::Path(path) => last(path.as_os_str().as_encoded_bytes()),
            Self::Url(url) => url.ends_with('/'),
        }
    }
}

/// The scheme of a URL, by the grammar of RFC 3986, but with at least two letters: one letter is a drive.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let begins_with_a_letter = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.');
    (begins_with_a_letter && scheme.len() >= 2 && scheme.bytes().all(fits)).then_some(scheme)
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => fmt::Display::fmt(&path.display(), f),
            Self::Url(url) => f.pad(&url::without_secrets(url)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(&url::without_secrets(url)).finish(),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        match path.to_str() {
            Some(text) if scheme_of(text).is_some() => Self::Url(text.to_owned()),
            _ => Self::Path(path),
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}

impl From<OsString> for Location {
    fn from(path: OsString) -> Self {
        PathBuf::from(path).into()
    }
}

impl From<String> for Location {
    fn from(text: String) -> Self {
        PathBuf::from(text).into()
    }
}

impl From<&String> for Location {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&str> for Location {
    fn from(text: &str) -> Self {
        PathBuf::from(text).into()
    }
}

impl From<&Location> for Location {
    fn from(location: &Location) -> Self {
        location.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_of_two_letters_makes_a_url() {
        for url in ["s3://b", "file:///srv/x", "git+ssh://host", "S3://b", "mem://"] {
            assert!(matches!(Location::from(url), Location::Url(_)), "{url}");
        }
        for path in ["", "a", "c://x", "1s3://b", "s3:/b", "://x", "a b://x", "./s3://b", "é://x"] {
            assert!(matches!(Location::from(path), Location::Path(_)), "{path}");
        }
        assert_eq!(Location::from("S3://b/x.redb").scheme().as_deref(), Some("s3"));
        assert_eq!(Location::from("S3://b/x.redb").extension(), Some(OsStr::new("redb")));
        assert_eq!(Location::from("a/b").scheme(), None);
    }

    #[test]
    fn a_separator_at_the_end_means_a_folder() {
        assert!(Location::from("a/").ends_with_separator());
        assert!(Location::from("s3://b/").ends_with_separator());
        assert!(!Location::from("a").ends_with_separator());
        assert!(!Location::from("").ends_with_separator());
    }
}
