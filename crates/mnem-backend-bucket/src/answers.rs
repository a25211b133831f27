//! Classifies the answers of a service: whether a retry is pointless, and whether the answer is the service's own. `object_store` keeps the status of an answer to itself.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};

/// Bytes of an answer that are read, at most, and those that are shown of one that is no XML.
const READ_BYTES: usize = 8192;
const SHOWN_BYTES: usize = 300;

/// An answer that is an error.
#[derive(Debug, thiserror::Error)]
#[error("status {status}: {text}")]
pub(crate) struct Answer {
    /// `None`: it may pass. It says nothing about what became of a write.
    pub(crate) means: Option<Means>,
    status: u16,
    text: String,
}

/// What a final answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// There is no such bucket.
    NoBucket,
    /// The credentials are not accepted.
    Denied,
    /// The request is not understood, or is for another place.
    Refused,
}

/// An HTTP client whose answers are judged.
#[derive(Debug)]
pub(crate) struct Watched(pub(crate) HttpClient);

/// What a request is about.
#[derive(Clone, Copy, Debug)]
struct Asked {
    is_get: bool,
    /// It lists objects.
    is_list: bool,
    /// It asks for the credentials of the machine.
    is_for_machine: bool,
}

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let asked = Asked {
            is_get: request.method().as_str() == "GET",
            is_list: request.uri().query().is_some_and(is_list),
            is_for_machine: request.uri().host().is_some_and(is_of_machine),
        };
        // The client panics at a URL that its own parser does not take.
        if reqwest::Url::parse(&request.uri().to_string()).is_err() {
            let host = request.uri().host().unwrap_or_default();
            return Err(final_answer(Means::Refused, 0, &format!("{host:?} is not a host name")));
        }
        match self.0.execute(request).await {
            Err(error) if asked.is_for_machine => Err(no_credentials(0, format!("{NO_CREDENTIALS}: {error}"))),
            Err(error) => Err(error),
            Ok(response) => judged(asked, response).await,
        }
    }
}

/// Passes an answer on, shortens it, or turns it into an error whose type says what it means.
async fn judged(asked: Asked, response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let status = response.status().as_u16();
    if asked.is_for_machine && matches!(status, 401 | 403 | 404) {
        return Err(no_credentials(status, NO_CREDENTIALS.to_owned()));
    }
    if response.status().is_success() {
        return if is_page(&response) { Err(passing(status, A_PAGE.to_owned())) } else { Ok(response) };
    }
    if status < 400 && !is_final(status, asked) {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let code = parts.headers.get("x-ms-error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
    let text = beginning(body).await;
    if status == 404 && asked.is_get && !asked.is_list {
        let code = tagged(&text, "Code").unwrap_or(code);
        return match code {
            "NoSuchKey" | "BlobNotFound" => Ok(HttpResponse::from_parts(parts, shown(&text).into())),
            "NoSuchBucket" | "ContainerNotFound" => Err(final_answer(Means::NoBucket, status, &text)),
            _ => Err(passing(status, format!("{NOT_OF_THE_SERVICE} {}", shown(&text)))),
        };
    }
    if !is_final(status, asked) {
        return Ok(HttpResponse::from_parts(parts, shown(&text).into()));
    }
    Err(match meaning(status, &text) {
        Some(means) => final_answer(means, status, &text),
        None => HttpError::new(HttpErrorKind::Timeout, Answer { means: None, status, text: shown(&text) }),
    })
}

const NO_CREDENTIALS: &str =
    "found no credentials, neither in the environment nor from the metadata service of the machine";
const A_PAGE: &str = "a web page, not the answer of a service";
const NOT_OF_THE_SERVICE: &str = "this is not the answer of an object store:";

fn final_answer(means: Means, status: u16, text: &str) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, Answer { means: Some(means), status, text: shown(text) })
}

/// An answer that is not that of the service, or not its last word.
fn passing(status: u16, text: String) -> HttpError {
    HttpError::new(HttpErrorKind::Interrupted, Answer { means: None, status, text })
}

fn no_credentials(status: u16, text: String) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, Answer { means: Some(Means::Denied), status, text })
}

/// Whether the host is a metadata service, which hands out the credentials of the machine.
fn is_of_machine(host: &str) -> bool {
    matches!(host, "169.254.169.254" | "169.254.170.2" | "[fd00:ec2::254]" | "metadata.google.internal" | "metadata")
}

/// Whether a query lists objects: of S3 and Google, or of Azure.
fn is_list(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "list-type=2" | "comp=list"))
}

/// Whether an answer is a web page: of a proxy, or of a network that wants a login first.
fn is_page(response: &HttpResponse) -> bool {
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("text/html"))
}

/// An object may be absent, but the bucket that is listed may not.
fn is_final(status: u16, asked: Asked) -> bool {
    matches!(status, 301 | 307 | 308 | 400 | 405 | 501) || (status == 404 && asked.is_list)
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

/// The beginning of an answer.
async fn beginning(body: HttpResponseBody) -> String {
    let mut bytes = Vec::new();
    let mut stream = body.bytes_stream();
    while bytes.len() < READ_BYTES
        && let Some(Ok(more)) = stream.next().await
    {
        bytes.extend_from_slice(&more);
    }
    bytes.truncate(READ_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is shown of an answer, on one line. Of XML, the code and the message alone: the rest of it may have the request
/// in it, with its signature.
fn shown(text: &str) -> String {
    let told: Vec<&str> = ["Code", "Message"].iter().filter_map(|name| tagged(text, name)).collect();
    let told = match (told.is_empty(), text.trim_start().starts_with(['<', '\u{feff}'])) {
        (false, _) => told.join(": "),
        (true, true) => "no code".to_owned(),
        (true, false) => text.chars().take(SHOWN_BYTES).collect(),
    };
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of an XML element that has no others in it.
fn tagged<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpRequestBody;

    use super::*;
    use crate::{engine::runtime::wait_for, scripted::Fixed};

    const OBJECT: Asked = Asked { is_get: true, is_list: false, is_for_machine: false };
    const LIST: Asked = Asked { is_list: true, ..OBJECT };

    #[test]
    fn an_answer_is_final_by_its_status_and_the_request() {
        assert!(is_list("delimiter=%2F&list-type=2&prefix=x") && is_list("restype=container&comp=list"));
        assert!(!is_list("uploads") && !is_list("x-list-type=2"));
        assert!(is_of_machine("169.254.169.254") && !is_of_machine("127.0.0.1"));
        for (status, asked, expected) in [
            (404, LIST, true),
            (404, OBJECT, false),
            (400, OBJECT, true),
            (501, OBJECT, true),
            (503, LIST, false),
            (403, LIST, false),
        ] {
            assert_eq!(is_final(status, asked), expected, "{status} {asked:?}");
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

    #[test]
    fn of_an_error_its_code_and_its_message_are_shown() {
        let xml = "<?xml?><Error><Code>SignatureDoesNotMatch</Code><Message>It\n does not.</Message>\
                   <AWSAccessKeyId>hush</AWSAccessKeyId></Error>";
        assert_eq!(shown(xml), "SignatureDoesNotMatch: It does not.");
        assert_eq!(shown("<html>hush</html>"), "no code");
        assert_eq!(shown("{\"error\":\n1}"), "{\"error\": 1}");
        assert_eq!(told("GET", Fixed::new(403, "", xml)).unwrap(), (403, "SignatureDoesNotMatch: It does not.".into()));
    }

    /// The answer to a request of an object, or what its error means.
    fn told(method: &str, answer: Fixed) -> Result<(u16, String), Option<Means>> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = "http://localhost/b/x".parse().unwrap();
        let client = HttpClient::new(Watched(HttpClient::new(answer)));
        let asked = async move {
            let response = client.execute(request).await?;
            Ok((response.status().as_u16(), beginning(response.into_body()).await))
        };
        wait_for(asked).unwrap().map_err(|error: HttpError| {
            let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Answer>());
            cause.unwrap().means
        })
    }

    #[test]
    fn an_address_that_cannot_be_is_refused() {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = "http://10.0.0.256/b".parse().unwrap();
        let client = HttpClient::new(Watched(HttpClient::new(Fixed::new(200, "", ""))));
        let error = wait_for(async move { client.execute(request).await }).unwrap().unwrap_err();
        assert!(error.to_string().contains("\"10.0.0.256\" is not a host name"), "{error}");
    }

    /// Any server may answer 404. Taken for absence, it would end the log there.
    #[test]
    fn only_the_service_can_say_that_an_object_is_absent() {
        let absent = "<?xml?><Error><Code>NoSuchKey</Code><Message>m</Message></Error>";
        assert_eq!(told("GET", Fixed::new(404, "", absent)), Ok((404, "NoSuchKey: m".into())));
        let azure = Fixed { headers: &[("x-ms-error-code", "BlobNotFound")], ..Fixed::new(404, "", "") };
        assert_eq!(told("GET", azure).unwrap().0, 404);
        for (text, means) in [
            ("", None),
            ("<html>404 Not Found</html>", None),
            ("404 page not found", None),
            ("<Error><Code>NoSuchUpload</Code></Error>", None),
            ("<Error><Code>NoSuchBucket</Code></Error>", Some(Means::NoBucket)),
            ("<Error><Code>ContainerNotFound</Code></Error>", Some(Means::NoBucket)),
        ] {
            assert_eq!(told("GET", Fixed::new(404, "", text)), Err(means), "{text}");
        }
    }

    #[test]
    fn a_web_page_is_no_answer() {
        for method in ["GET", "PUT"] {
            assert_eq!(told(method, Fixed::new(200, "Text/HTML; charset=utf-8", "<html>log in</html>")), Err(None));
            assert_eq!(told(method, Fixed::new(200, "binary/octet-stream", "x")), Ok((200, "x".into())));
            assert!(told(method, Fixed::new(200, "", "x")).is_ok());
        }
    }
}
