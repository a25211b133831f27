//! The answers of a service after which a repetition is pointless, told by type. `object_store` keeps the status of an
//! answer to itself.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use object_store::{
    ClientOptions, Result,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
    },
};

/// Bytes of an answer that are shown, at most.
const SHOWN_BYTES: usize = 1000;

/// A final answer.
#[derive(Debug, thiserror::Error)]
#[error("status {status}: {text}")]
pub(crate) struct FinalAnswer {
    pub(crate) means: Means,
    status: u16,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// There is no such bucket.
    NoBucket,
    /// The credentials are not accepted.
    Denied,
    /// The request is not understood, or is for another place.
    Refused,
}

/// Makes HTTP clients that tell final answers.
#[derive(Debug)]
pub(crate) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(Watched(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Watched(HttpClient);

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let is_list = request.uri().query().is_some_and(is_list);
        let asks_machine = request.uri().host().is_some_and(is_of_machine);
        let response = match self.0.execute(request).await {
            Err(error) if asks_machine => return Err(no_credentials(0, format!("{NO_CREDENTIALS}: {error}"))),
            response => response?,
        };
        let status = response.status().as_u16();
        if asks_machine && matches!(status, 401 | 403 | 404) {
            return Err(no_credentials(status, NO_CREDENTIALS.to_owned()));
        }
        if !is_final(status, is_list) {
            return Ok(response);
        }
        let text = beginning(response).await;
        Err(match meaning(status, &text) {
            Some(means) => HttpError::new(HttpErrorKind::Unknown, FinalAnswer { means, status, text }),
            None => HttpError::new(HttpErrorKind::Timeout, FinalAnswer { means: Means::Refused, status, text }),
        })
    }
}

const NO_CREDENTIALS: &str = "the environment has no credentials, and neither has the metadata service of the machine";

/// Whether a host gives the credentials of the machine, which are asked for if the environment has none.
fn is_of_machine(host: &str) -> bool {
    matches!(host, "169.254.169.254" | "169.254.170.2" | "[fd00:ec2::254]" | "metadata.google.internal" | "metadata")
}

fn no_credentials(status: u16, text: String) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, FinalAnswer { means: Means::Denied, status, text })
}

/// Whether a query lists objects: of S3 and Google, or of Azure.
fn is_list(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "list-type=2" | "comp=list"))
}

/// An object may be absent, but the bucket that is listed may not.
fn is_final(status: u16, is_list: bool) -> bool {
    matches!(status, 301 | 307 | 308 | 400 | 405 | 501) || (status == 404 && is_list)
}

/// `None`: the service has not received the request in time, so it may be sent again.
fn meaning(status: u16, text: &str) -> Option<Means> {
    match status {
        404 => Some(Means::NoBucket),
        _ if text.contains("<Code>RequestTimeout</Code>") => None,
        _ if ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"].iter().any(|code| text.contains(code)) => {
            Some(Means::Denied)
        }
        _ => Some(Means::Refused),
    }
}

/// The beginning of the answer, on one line.
async fn beginning(response: HttpResponse) -> String {
    let mut bytes = Vec::new();
    let mut stream = response.into_body().bytes_stream();
    while bytes.len() < SHOWN_BYTES
        && let Some(Ok(more)) = stream.next().await
    {
        bytes.extend_from_slice(&more);
    }
    bytes.truncate(SHOWN_BYTES);
    String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_final_by_its_status_and_the_request() {
        assert!(is_list("delimiter=%2F&list-type=2&prefix=x") && is_list("restype=container&comp=list"));
        assert!(!is_list("uploads") && !is_list("x-list-type=2"));
        assert!(is_of_machine("169.254.169.254") && !is_of_machine("127.0.0.1"));
        for (status, is_list, expected) in [
            (404, true, true),
            (404, false, false),
            (400, false, true),
            (501, false, true),
            (503, true, false),
            (403, true, false),
        ] {
            assert_eq!(is_final(status, is_list), expected, "{status} {is_list}");
        }
        for (status, text, means) in [
            (404, "<Code>NoSuchBucket</Code>", Some(Means::NoBucket)),
            (400, "<Code>ExpiredToken</Code>", Some(Means::Denied)),
            (400, "<Code>AuthorizationHeaderMalformed</Code>", Some(Means::Refused)),
            (400, "<Code>RequestTimeout</Code>", None),
            (301, "", Some(Means::Refused)),
        ] {
            assert_eq!(meaning(status, text), means, "{status} {text}");
        }
    }
}
