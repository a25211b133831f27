//! The HTTP client of a service. It follows no redirect: that would turn a `PUT` into a `GET`, whose success would
//! acknowledge a write, and would send the headers of the credentials to another host.

use std::time::Duration;

use object_store::{
    ClientConfigKey, ClientOptions, Error, Result,
    client::{HttpClient, HttpConnector},
};
use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy, redirect::Policy};

use crate::answers::Watched;

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Makes HTTP clients that follow no redirect and tell final answers.
#[derive(Debug)]
pub(crate) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let client = with_settings(options)?.redirect(Policy::none()).build().map_err(|error| wrong(error.into()))?;
        Ok(HttpClient::new(Watched(HttpClient::new(client))))
    }
}

/// A client with the settings of `object_store`, which come from the URL and from the environment. Its own client cannot
/// be told to follow no redirect.
fn with_settings(options: &ClientOptions) -> Result<ClientBuilder> {
    use ClientConfigKey as Key;
    let text = |key| options.get_config_value(&key);
    let is = |key| text(key).is_some_and(|value| is_yes(&value));
    let time = |key| text(key).map(|value| duration(&value)).transpose();
    let mut builder = ClientBuilder::new()
        .user_agent(text(Key::UserAgent).unwrap_or_else(|| USER_AGENT.to_owned()))
        .https_only(!is(Key::AllowHttp))
        .tls_danger_accept_invalid_certs(is(Key::AllowInvalidCertificates))
        .http2_keep_alive_while_idle(is(Key::Http2KeepAliveWhileIdle));
    if is(Key::NoSystemCertificates) {
        builder = builder.tls_certs_only([]);
    }
    if let Some(time) = time(Key::Timeout)? {
        builder = builder.timeout(time);
    }
    if let Some(time) = time(Key::ConnectTimeout)? {
        builder = builder.connect_timeout(time);
    }
    if let Some(time) = time(Key::ReadTimeout)? {
        builder = builder.read_timeout(time);
    }
    if let Some(time) = time(Key::PoolIdleTimeout)? {
        builder = builder.pool_idle_timeout(time);
    }
    if let Some(most) = text(Key::PoolMaxIdlePerHost) {
        builder = builder.pool_max_idle_per_host(most.parse().map_err(|_| unread(&most))?);
    }
    if let Some(time) = time(Key::Http2KeepAliveInterval)? {
        builder = builder.http2_keep_alive_interval(time);
    }
    if let Some(time) = time(Key::Http2KeepAliveTimeout)? {
        builder = builder.http2_keep_alive_timeout(time);
    }
    if let Some(size) = text(Key::Http2MaxFrameSize) {
        builder = builder.http2_max_frame_size(Some(size.parse().map_err(|_| unread(&size))?));
    }
    if is(Key::Http1Only) {
        builder = builder.http1_only();
    }
    if is(Key::Http2Only) {
        builder = builder.http2_prior_knowledge();
    }
    with_proxy(builder, text(Key::ProxyUrl), text(Key::ProxyCaCertificate), text(Key::ProxyExcludes))
}

fn with_proxy(
    mut builder: ClientBuilder,
    url: Option<String>,
    certificate: Option<String>,
    excludes: Option<String>,
) -> Result<ClientBuilder> {
    let Some(url) = url else { return Ok(builder) };
    let mut proxy = Proxy::all(url).map_err(|error| wrong(error.without_url().into()))?;
    if let Some(certificate) = certificate {
        let certificate = Certificate::from_pem(certificate.as_bytes()).map_err(|error| wrong(error.into()))?;
        builder = builder.tls_certs_merge([certificate]);
    }
    if let Some(excludes) = excludes {
        proxy = proxy.no_proxy(NoProxy::from_string(&excludes));
    }
    Ok(builder.proxy(proxy))
}

/// Whether a setting of `object_store` is on.
pub(crate) fn is_yes(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
}

/// A time such as `90s` or `1m 30s`.
fn duration(text: &str) -> Result<Duration> {
    let part = |part: &str| {
        let (number, unit) = part.split_at(part.find(|c: char| !c.is_ascii_digit())?);
        let number: u64 = number.parse().ok()?;
        match unit {
            "ns" => Some(Duration::from_nanos(number)),
            "us" => Some(Duration::from_micros(number)),
            "ms" => Some(Duration::from_millis(number)),
            "s" | "sec" | "second" | "seconds" => Some(Duration::from_secs(number)),
            "m" | "min" | "minute" | "minutes" => number.checked_mul(60).map(Duration::from_secs),
            "h" | "hour" | "hours" => number.checked_mul(3600).map(Duration::from_secs),
            _ => None,
        }
    };
    let mut sum = Duration::ZERO;
    for each in text.split_whitespace() {
        sum = part(each).and_then(|time| sum.checked_add(time)).ok_or_else(|| unread(text))?;
    }
    if sum.is_zero() { Err(unread(text)) } else { Ok(sum) }
}

fn unread(value: &str) -> Error {
    wrong(format!("the HTTP client has no setting {value:?}").into())
}

fn wrong(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic { store: "bucket", source }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use object_store::client::{HttpRequest, HttpRequestBody};

    use super::*;
    use crate::engine::runtime::wait_for;

    #[test]
    fn times_are_read() {
        for (text, milliseconds) in [("3600s", 3_600_000), ("1h", 3_600_000), ("1m 30s", 90_000), ("250ms", 250)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
        for text in ["", "5", "s", "5x", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    /// A `PUT` that is answered by 303 has not been carried out, whatever a `GET` of the other place says.
    #[test]
    fn a_redirect_is_not_followed() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for answer in ["303 See Other\r\nlocation: /other", "200 OK"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 4096];
                let length = stream.read(&mut asked).unwrap();
                let is_end = asked[..length].starts_with(b"DELETE");
                write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
                if is_end {
                    return;
                }
            }
        });
        let client = Connector.connect(&ClientOptions::new().with_allow_http(true)).unwrap();
        let send = |method: &str| {
            let mut request = HttpRequest::new(HttpRequestBody::empty());
            *request.method_mut() = method.parse().unwrap();
            *request.uri_mut() = format!("http://{at}/object").parse().unwrap();
            let client = client.clone();
            wait_for(async move { client.execute(request).await }).unwrap()
        };
        assert_eq!(send("PUT").unwrap().status().as_u16(), 303);
        assert_eq!(send("DELETE").unwrap().status().as_u16(), 200);
        server.join().unwrap();
    }
}
