//! The parts of a URL that every driver must treat alike: secrets, and paths of the local file system.

use std::{borrow::Cow, path::PathBuf};

/// Stands for a secret.
const HIDDEN: &str = "***";

/// Parts of the names of query keys whose values are secret.
const SECRET_NAMES: [&str; 8] = ["key", "secret", "token", "passw", "pwd", "sig", "sas", "cred"];

/// The pieces of `scheme://authority/path?query#fragment`. Each text is as it was given.
struct Pieces<'a> {
    scheme: &'a str,
    /// The authority and the path.
    place: &'a str,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

fn pieces(url: &str) -> Option<Pieces<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(rest, fragment)| (rest, Some(fragment)));
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some(Pieces { scheme, place: rest, authority, path, query, fragment })
}

impl<'a> Pieces<'a> {
    /// The text after a user name and password in the place; empty if no `@` ends them. `None` if there are neither.
    ///
    /// A secret key may have a `/`, so it may end in the path. Hence any `@` ends a secret, except in the path of a
    /// file, and in `container@account` of an Azure URL.
    fn after_user(&self) -> Option<&'a str> {
        let is_file = self.scheme.eq_ignore_ascii_case("file");
        let searched = if is_file { self.authority } else { self.place };
        match after_last_at(searched) {
            Some(end) if !self.is_container(end) => self.place.get(end..),
            None if !is_file && !self.has_only_a_port() => Some(""),
            _ => None,
        }
    }

    /// Whether the last `@`, which ends at `end`, is the one between the container and the account of an Azure URL.
    fn is_container(&self, end: usize) -> bool {
        let name = self.authority.get(..end).and_then(|user| user.strip_suffix('@'));
        self.scheme.to_ascii_lowercase().starts_with("abfs") && name.is_some_and(|name| !name.contains(['@', ':', '%']))
    }

    /// Whether a `:` of the authority, if there is one, begins a port.
    fn has_only_a_port(&self) -> bool {
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        // An IPv6 address has others.
        let host = self.authority.rsplit_once(']').map_or(self.authority, |(_, port)| port);
        let has_escaped = self.authority.contains("%3a") || self.authority.contains("%3A");
        !has_escaped && host.split_once(':').is_none_or(|(_, port)| is_port(port))
    }

    fn pairs(&self) -> impl Iterator<Item = &'a str> {
        self.query.into_iter().flat_map(|query| query.split('&'))
    }
}

/// The end of the last `@`, escaped or not.
fn after_last_at(text: &str) -> Option<usize> {
    let (plain, escaped) = (text.rfind('@').map(|at| at + 1), text.rfind("%40").map(|at| at + 3));
    plain.max(escaped)
}

/// The key of a pair of the query, if its value is a secret.
fn secret_key(pair: &str) -> Option<&str> {
    let (key, value) = pair.split_once('=')?;
    let name = percent_decoded(key).map(|name| String::from_utf8_lossy(&name).to_ascii_lowercase()).unwrap_or_default();
    // A URL as a value may have a user name of its own.
    let has_user = value.contains('@') || value.contains("%40");
    let is_secret = !value.is_empty() && (has_user || SECRET_NAMES.iter().any(|part| name.contains(part)));
    is_secret.then_some(key)
}

pub(super) fn secret_part(url: &str) -> Option<String> {
    let pieces = pieces(url)?;
    match pieces.after_user() {
        Some("") => return Some("a user name or password".into()),
        Some(_) => return Some("a user name or password before the `@`".into()),
        None => {}
    }
    pieces.pairs().find_map(secret_key).map(|key| format!("`{key}`"))
}

pub(super) fn without_secrets(url: &str) -> Cow<'_, str> {
    let Some(pieces) = pieces(url).filter(|_| secret_part(url).is_some()) else { return Cow::Borrowed(url) };
    let place = match pieces.after_user() {
        Some("") => Cow::Borrowed(HIDDEN),
        Some(rest) => Cow::Owned(format!("{HIDDEN}@{rest}")),
        None => Cow::Borrowed(pieces.place),
    };
    let mut shown = format!("{}://{place}", pieces.scheme);
    for (at, pair) in pieces.pairs().enumerate() {
        shown.push(if at == 0 { '?' } else { '&' });
        match secret_key(pair) {
            Some(key) => shown += &format!("{key}={HIDDEN}"),
            None => shown += pair,
        }
    }
    if let Some(fragment) = pieces.fragment {
        shown += &format!("#{fragment}");
    }
    shown.into()
}

pub(super) fn local_path(url: &str) -> Option<PathBuf> {
    let pieces = pieces(url)?;
    let is_local = pieces.scheme.eq_ignore_ascii_case("file")
        && (pieces.authority.is_empty() || pieces.authority.eq_ignore_ascii_case("localhost"));
    let has_only_a_path = pieces.query.is_none() && pieces.fragment.is_none() && !pieces.path.is_empty();
    if !is_local || !has_only_a_path {
        return None;
    }
    path_of(percent_decoded(pieces.path)?)
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let is_path = !bytes.contains(&0);
    is_path.then(|| std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    // `/C:/folder` is a path of a drive.
    let text = String::from_utf8(bytes).ok()?;
    let has_drive = text.as_bytes().get(2) == Some(&b':');
    Some(PathBuf::from(if has_drive { &text[1..] } else { &text }))
}

/// The bytes of a text in which `%` and two digits stand for a byte. `None` if a `%` has no digits.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first != b'%' {
            decoded.push(*first);
            rest = after;
            continue;
        }
        let [high, low, after @ ..] = after else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        decoded.push(digit(*high)? * 16 + digit(*low)?);
        rest = after;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn secrets_are_found_and_hidden() {
        for (url, part, shown) in [
            ("s3://ab12:hush@b/x", "a user name or password", "s3://***@b/x"),
            ("s3://ab12@b", "a user name or password", "s3://***@b"),
            (
                "abfs://c:hush@a.dfs.core.windows.net/x",
                "a user name or password",
                "abfs://***@a.dfs.core.windows.net/x",
            ),
            // A secret key may have a `/`, and so may end in the path.
            ("s3://AKIA12:hu/sh@b/x", "a user name or password", "s3://***@b/x"),
            ("s3://AKIA12:12/hush@b/x", "a user name or password", "s3://***@b/x"),
            ("s3://hu/sh%40b/x?region=eu", "a user name or password", "s3://***@b/x?region=eu"),
            ("s3://AKIA12:hush", "a user name or password", "s3://***"),
            ("s3://AKIA12:hu/sh/b", "a user name or password", "s3://***"),
            ("s3://AKIA12%3Ahu/sh/b", "a user name or password", "s3://***"),
            ("s3://b/x@y?region=eu", "a user name or password", "s3://***@y?region=eu"),
            (
                "abfs://c@hu/sh@a.dfs.core.windows.net/x",
                "a user name or password",
                "abfs://***@a.dfs.core.windows.net/x",
            ),
            ("abfs://c:hu/sh@a/x", "a user name or password", "abfs://***@a/x"),
            ("file://me:hush@host/a@b", "a user name or password", "file://***@host/a@b"),
            ("s3://b/x?region=eu&access_key=hush", "`access_key`", "s3://b/x?region=eu&access_key=***"),
            (
                "s3://b?aws_SECRET_access=hush&region=eu#f",
                "`aws_SECRET_access`",
                "s3://b?aws_SECRET_access=***&region=eu#f",
            ),
            ("az://c/x?sig=hush&se=2030", "`sig`", "az://c/x?sig=***&se=2030"),
            ("s3://b?%73ecret=hush", "`%73ecret`", "s3://b?%73ecret=***"),
            ("s3://b?endpoint=http://me:hush@h", "`endpoint`", "s3://b?endpoint=***"),
        ] {
            let found = secret_part(url).unwrap();
            assert!(found.starts_with(part), "{url}: {found}");
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn a_url_without_secrets_is_shown_as_it_is() {
        for url in [
            "s3://b/x?region=eu&endpoint=http://127.0.0.1:1&allow_http=true",
            "s3://b:9000/x:y",
            "http://[::1]:9000/x",
            "abfs://container@account.dfs.core.windows.net/x",
            "file:///a@b",
            "s3://b?key=",
            "s3://b?key",
            "s3://b?",
            "s3://b/#key=x",
        ] {
            assert_eq!(secret_part(url), None, "{url}");
            assert_eq!(without_secrets(url), url);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_file_url_is_a_path() {
        for (url, path) in
            [("file:///a/b", "/a/b"), ("FILE://localhost/a%20b/%e9%9b%aa/", "/a b/雪/"), ("file:///", "/")]
        {
            assert_eq!(local_path(url).as_deref(), Some(Path::new(path)), "{url}");
        }
        for url in
            ["file://host/a", "file://a", "file:///a?x=1", "file:///a#x", "file:///a%2", "file:///a%00", "s3://b/a"]
        {
            assert_eq!(local_path(url), None, "{url}");
        }
    }
}
