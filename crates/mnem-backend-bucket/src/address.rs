//! The place of a store, as a path or URL names it.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use mnem_store_traits::{StoreError, driver::Location};
use object_store::path::Path;

/// The schemes of the URLs that this backend opens.
pub(crate) const SCHEMES: &[&str] = &["s3", "s3a", "gs", "az", "abfs", "file"];

/// Where the objects are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// The files of a folder.
    Folder(PathBuf),
    /// A bucket of a service.
    Bucket(Bucket),
}

/// A place in a bucket, or in a container of Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) provider: Provider,
    pub(crate) name: String,
    /// The account of an Azure URL, if it names one.
    pub(crate) account: Option<String>,
    pub(crate) prefix: Path,
    pub(crate) settings: Settings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    S3,
    Google,
    Azure,
}

/// The query of a URL. What it does not set, the environment does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) allow_http: Option<bool>,
    pub(crate) virtual_hosted: Option<bool>,
}

impl Provider {
    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" | "abfs" => Some(Self::Azure),
            _ => None,
        }
    }

    /// The keys that a query may have.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["region", "endpoint", "allow_http", "virtual_hosted_style_request"],
            Self::Google | Self::Azure => &["endpoint", "allow_http"],
        }
    }

    /// The environment variables of its credentials.
    fn credentials(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Self::Google => "GOOGLE_APPLICATION_CREDENTIALS",
            Self::Azure => "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        }
    }
}

impl Address {
    /// # Errors
    /// - [`StoreError::NotAStore`]: the scheme is that of another backend.
    /// - [`StoreError::InvalidArgument`]: the URL is wrong. The error names the part, and no secret.
    pub(crate) fn of(at: &Location) -> Result<Self, StoreError> {
        let url = match at {
            Location::Path(path) => return Ok(Self::Folder(path.clone())),
            Location::Url(url) => url,
        };
        let scheme = at.scheme().unwrap_or_default();
        let provider = Provider::of_scheme(&scheme);
        if provider.is_none() && scheme != "file" {
            return Err(StoreError::NotAStore { location: at.clone(), reason: wrong_scheme(&scheme) });
        }
        let wrong = |why: &str| invalid(format!("{at}: {why}"));
        if let Some(part) = at.secret_part() {
            let instead = match provider {
                Some(provider) => format!("; set {} in the environment instead", provider.credentials()),
                None => String::new(),
            };
            return Err(wrong(&format!("the URL contains a secret, {part}{instead}")));
        }
        let Some(provider) = provider else {
            let folder = at.to_local_path().map(Self::Folder);
            return folder.ok_or_else(|| wrong("give the absolute path of a folder, without a query: file:///folder"));
        };
        Bucket::parse(provider, url).map(Self::Bucket).map_err(|why| wrong(&why))
    }
}

fn wrong_scheme(scheme: &str) -> String {
    match scheme {
        "http" | "https" => {
            format!("give the scheme of the service, as in s3://BUCKET/PREFIX?endpoint={scheme}://HOST")
        }
        _ => format!("unknown scheme `{scheme}`; known are {}://", SCHEMES.join("://, ")),
    }
}

impl Bucket {
    pub(crate) fn parse(provider: Provider, url: &str) -> Result<Self, String> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        if rest.contains('#') {
            return Err("it has a `#`: write %23 for one in a name".into());
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, prefix) = place.split_once('/').unwrap_or((place, ""));
        let (name, account) = match authority.split_once('@') {
            Some((name, host)) => (name, Some(account_of(host)?)),
            None => (authority, None),
        };
        if name.is_empty() {
            return Err("it has no bucket: give one, as in s3://BUCKET/PREFIX".into());
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if let Some(other) = name.chars().find(|c| !is_plain(*c)) {
            return Err(format!("a bucket name cannot contain `{other}`; give the address of a server in `endpoint`"));
        }
        let prefix = Path::from_url_path(prefix.trim_end_matches('/'))
            .map_err(|error| format!("its prefix cannot be the name of an object: {error}"))?;
        Ok(Self { provider, name: name.to_owned(), account, prefix, settings: Settings::parse(provider, query)? })
    }
}

/// The account that a host of Azure belongs to.
fn account_of(host: &str) -> Result<String, String> {
    let suffixes = [".dfs.core.windows.net", ".blob.core.windows.net"];
    match suffixes.iter().find_map(|suffix| host.strip_suffix(suffix)) {
        _ if host.is_empty() => Err("it has an `@` without an account".into()),
        Some(account) if !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Ok(account.to_owned())
        }
        _ => Err("after the `@`, it must have ACCOUNT.dfs.core.windows.net; the address of another server goes into \
                  `endpoint`, and its account into the environment"
            .into()),
    }
}

impl Settings {
    fn parse(provider: Provider, query: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let known = provider.keys();
            if !known.contains(&key) {
                return Err(format!("unknown setting `{key}`; known are `{}`", known.join("`, `")));
            }
            let is_new = match key {
                "region" => settings.region.replace(text(key, value)?).is_none(),
                "endpoint" => settings.endpoint.replace(text(key, value)?).is_none(),
                "allow_http" => settings.allow_http.replace(flag(key, value)?).is_none(),
                _ => settings.virtual_hosted.replace(flag(key, value)?).is_none(),
            };
            if !is_new {
                return Err(format!("it sets `{key}` twice"));
            }
        }
        settings.check_endpoint()?;
        Ok(settings)
    }

    fn check_endpoint(&self) -> Result<(), String> {
        let Some(endpoint) = &self.endpoint else { return Ok(()) };
        let (scheme, rest) = endpoint.split_once("://").unwrap_or_default();
        if !matches!(scheme, "http" | "https") || rest.is_empty() {
            return Err("`endpoint` must begin with https:// or http://".into());
        }
        let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_path = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        if !is_server(server) || !path.chars().all(is_path) {
            return Err("`endpoint` must be the address of a server: https://HOST or https://HOST:PORT".into());
        }
        if scheme == "http" && self.allow_http != Some(true) {
            return Err("`endpoint` is not encrypted: give https://, or add `&allow_http=true`".into());
        }
        Ok(())
    }
}

/// Whether a text is a host, with a port or without.
fn is_server(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (1..=63).contains(&label.len()) && is_plain && !label.to_ascii_lowercase().starts_with("xn--")
    };
    let labels: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
    // A URL whose last label begins with a digit has an address there.
    let is_number = labels.last().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    let is_host = if is_number { host.parse::<Ipv4Addr>().is_ok() } else { labels.into_iter().all(is_label) };
    is_host && host.len() <= 253 && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A value that is not empty, with its escaped bytes decoded.
fn text(key: &str, value: &str) -> Result<String, String> {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    let decoded = decoded.map_err(|_| format!("`{key}` is not UTF-8"))?;
    if decoded.is_empty() { Err(format!("`{key}` has no value")) } else { Ok(decoded.into_owned()) }
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{key}` must be `true` or `false`")),
    }
}

fn invalid(reason: String) -> StoreError {
    StoreError::InvalidArgument { operation: "open", reason }
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::ErrorKind;

    use super::*;

    fn bucket(url: &str) -> Bucket {
        match Address::of(&url.into()).unwrap() {
            Address::Bucket(bucket) => bucket,
            folder @ Address::Folder(_) => panic!("{folder:?}"),
        }
    }

    #[test]
    fn a_url_is_a_bucket_a_prefix_and_settings() {
        for (url, provider, name, prefix) in [
            ("s3://b", Provider::S3, "b", ""),
            ("S3A://my.bucket-1/", Provider::S3, "my.bucket-1", ""),
            ("gs://b/team/memory/", Provider::Google, "b", "team/memory"),
            ("az://c/a%20b/%23", Provider::Azure, "c", "a b/#"),
            ("abfs://c@acc.dfs.core.windows.net/x", Provider::Azure, "c", "x"),
        ] {
            let found = bucket(url);
            let decoded = Path::from_url_path(prefix.replace('#', "%23")).unwrap();
            assert_eq!((found.provider, &*found.name, &found.prefix), (provider, name, &decoded), "{url}");
            let account = url.contains('@').then(|| "acc".to_owned());
            assert_eq!((found.account, found.settings), (account, Settings::default()), "{url}");
        }
        let query = "endpoint=http%3A%2F%2F127.0.0.1:1&region=eu&allow_http=true&virtual_hosted_style_request=false";
        let settings = Settings {
            region: Some("eu".into()),
            endpoint: Some("http://127.0.0.1:1".into()),
            allow_http: Some(true),
            virtual_hosted: Some(false),
        };
        assert_eq!(bucket(&format!("s3://b/x?{query}")).settings, settings);
    }

    #[test]
    fn a_wrong_url_is_refused_and_no_secret_is_told() {
        for (url, why) in [
            ("s3://", "no bucket"),
            ("s3:///x", "no bucket"),
            ("s3://?region=eu", "no bucket"),
            ("s3://b:9000/x", "cannot contain `:`"),
            ("s3://b\u{e9}/x", "cannot contain `\u{e9}`"),
            ("s3://b/x//y", "prefix"),
            ("s3://b/x/../y", "prefix"),
            ("s3://b/%ff", "prefix"),
            ("s3://b/x#y", "%23"),
            ("s3://b?regoin=eu", "unknown setting `regoin`; known are `region`, `endpoint`, `allow_http`, `virtual"),
            ("gs://b?region=eu", "unknown setting `region`; known are `endpoint`, `allow_http`"),
            ("s3://b?region=eu&region=us", "twice"),
            ("s3://b?region=", "no value"),
            ("s3://b?region", "no value"),
            ("s3://b?region=%ff", "UTF-8"),
            ("s3://b?allow_http=yes", "`true` or `false`"),
            ("s3://b?endpoint=host:1", "begin with https://"),
            ("s3://b?endpoint=http://host", "&allow_http=true"),
            ("s3://b?endpoint=http://host&allow_http=false", "&allow_http=true"),
            ("s3://me:hush@b/x", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"),
            ("s3://hush@b/x", "a user name or password"),
            ("s3://AKIA:hu/hush@b/x", "a user name or password"),
            ("s3://AKIA:hush", "a user name or password"),
            ("abfs://c@acc/x", "ACCOUNT.dfs.core.windows.net"),
            ("abfs://c@acc.localhost/x", "`endpoint`"),
            ("abfs://c@acc.x.dfs.core.windows.net/x", "ACCOUNT.dfs.core.windows.net"),
            ("s3://b?endpoint=https://10.0.0.256", "the address of a server"),
            ("s3://b?endpoint=https://1.2.3", "the address of a server"),
            ("s3://b?endpoint=https://host:port", "the address of a server"),
            ("s3://b?endpoint=https://host:65536", "the address of a server"),
            ("s3://b?endpoint=https://host..net", "the address of a server"),
            ("s3://b?endpoint=https://[::1", "the address of a server"),
            ("s3://b?endpoint=https://[::g]", "the address of a server"),
            ("s3://b?endpoint=https://ho%20st", "the address of a server"),
            ("s3://b?endpoint=https://host/%3Fx", "the address of a server"),
            ("s3://b?endpoint=https:///x", "the address of a server"),
            ("s3://b?endpoint=https://xn--a", "the address of a server"),
            ("s3://b?access_key=hush", "a secret, `access_key`"),
            ("gs://b?token=hush", "GOOGLE_APPLICATION_CREDENTIALS"),
            ("az://c?sig=hush", "AZURE_STORAGE_ACCOUNT_KEY"),
            ("abfs://c:hush@acc/x", "AZURE_STORAGE_ACCOUNT_KEY"),
            ("abfs://c@/x", "without an account"),
            ("s3://b?endpoint=https://me:hush@host", "a secret, `endpoint`"),
            ("file://x", "file:///folder"),
            ("file://host/x", "file:///folder"),
            ("file:///x?region=eu", "file:///folder"),
        ] {
            let error = Address::of(&url.into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{url}");
            let said = format!("{error} {error:?}");
            assert!(said.contains(why) && !said.contains("hush"), "{url}: {said}");
        }
        for (url, why) in [
            ("https://b.s3.amazonaws.com/x", "s3://BUCKET/PREFIX?endpoint=https://HOST"),
            ("swift://b/x", "known are s3://, s3a://, gs://, az://, abfs://, file://"),
        ] {
            let error = Address::of(&url.into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotAStore, "{url}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn the_address_of_a_server_is_an_endpoint() {
        for server in
            ["host", "a-b.c_d.net.:443", "10.0.0.25:9000", "[::1]:9000", "[2001:db8::1]", "host:1/a/b-c_d.e~f/"]
        {
            let endpoint = format!("https://{server}");
            assert_eq!(bucket(&format!("s3://b?endpoint={endpoint}")).settings.endpoint, Some(endpoint));
        }
        assert_eq!(bucket("abfs://c@acc.blob.core.windows.net/x").account.as_deref(), Some("acc"));
    }

    #[test]
    fn a_path_and_a_file_url_are_folders() {
        for at in ["/srv/x", "file:///srv/x"] {
            assert_eq!(Address::of(&at.into()).unwrap(), Address::Folder("/srv/x".into()));
        }
    }
}
