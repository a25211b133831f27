//! Services for unit tests: one that always gives the same answer, and one with the S3 protocol and scripted failures.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use mnem_store_traits::Bytes;
use object_store::{
    ClientOptions, ObjectStore, Result,
    aws::AmazonS3Builder,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    },
};

use crate::{address::Bucket, answers::Watched, handle::hold, services};

/// Answers each request alike.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) status: u16,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl Fixed {
    pub(crate) fn new(status: u16, kind: &'static str, text: &str) -> Self {
        Self { status, headers: &[], kind, text: text.to_owned() }
    }

    fn response(self) -> HttpResponse {
        let mut response = HttpResponse::new(HttpResponseBody::from(self.text));
        *response.status_mut() = self.status.try_into().unwrap();
        for (name, value) in self.headers.iter().chain(&[("content-type", self.kind)]) {
            if !value.is_empty() {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
        }
        response
    }
}

#[async_trait]
impl HttpService for Fixed {
    async fn call(&self, _: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        Ok(Self { text: self.text.clone(), ..*self }.response())
    }
}

/// What becomes of a `PUT` of an entry.
pub(crate) enum Fate {
    /// It is carried out, and answered by this status.
    Lands(u16),
    /// It is carried out, and its answer cannot be decoded.
    Garbled,
    /// Something else is put there, and the answer is lost.
    Replaced(&'static str),
    /// It is not carried out, and answered by this status.
    Fails(u16),
}

/// A service with the protocol of S3. Its lists are empty, or as they are told to be. Clones are the same service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripted(Arc<Shared>);

#[derive(Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Bytes>>,
    fates: Mutex<VecDeque<Fate>>,
    listed: Mutex<Vec<&'static str>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Scripted {
    /// A client configured as in production, but connected to this service.
    pub(crate) fn connect(&self) -> Arc<dyn ObjectStore> {
        let bucket = Bucket::parse(crate::address::Provider::S3, "s3://b?endpoint=http://localhost&allow_http=true");
        let keys = AmazonS3Builder::new().with_access_key_id("id").with_secret_access_key("key");
        let builder = services::s3(&bucket.unwrap(), keys).unwrap().with_http_connector(self.clone());
        Arc::new(builder.build().unwrap())
    }

    /// What becomes of the next entries that are put.
    pub(crate) fn then(&self, fates: impl IntoIterator<Item = Fate>) {
        hold(&self.0.fates).extend(fates);
    }

    /// What every list has from now on.
    pub(crate) fn list(&self, names: &[&'static str]) {
        *hold(&self.0.listed) = names.to_vec();
    }

    fn listing(&self) -> String {
        let object = |name: &&str| {
            format!(
                "<Contents><Key>{name}</Key><Size>0</Size><LastModified>2030-01-01T00:00:00Z</LastModified></Contents>"
            )
        };
        format!("<ListBucketResult>{}</ListBucketResult>", hold(&self.0.listed).iter().map(object).collect::<String>())
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        hold(&self.0.objects).keys().cloned().collect()
    }

    fn put(&self, name: &str, bytes: Bytes) -> Fixed {
        let mut objects = hold(&self.0.objects);
        if objects.contains_key(name) {
            return Fixed::new(412, "", "<Error><Code>PreconditionFailed</Code></Error>");
        }
        objects.insert(name.to_owned(), bytes);
        Fixed { headers: &[("etag", "\"1\"")], ..Fixed::new(200, "", "") }
    }
}

impl HttpConnector for Scripted {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(Watched(HttpClient::new(self.clone()))))
    }
}

#[async_trait]
impl HttpService for Scripted {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let name = request.uri().path().trim_start_matches("/b").trim_start_matches('/').to_owned();
        if request.uri().query().is_some_and(|query| query.contains("list-type=2")) {
            return Ok(Fixed::new(200, "application/xml", &self.listing()).response());
        }
        if request.method().as_str() == "PUT" {
            let bytes = HttpResponseBody::new(request.into_body()).bytes().await?;
            let fate = if name.starts_with("log/") { hold(&self.0.fates).pop_front() } else { None };
            let lost = |kind| Err(HttpError::new(kind, std::io::Error::other("planted")));
            return match fate {
                None => Ok(self.put(&name, bytes).response()),
                Some(Fate::Lands(status)) => {
                    self.put(&name, bytes);
                    Ok(Fixed::new(status, "", "").response())
                }
                Some(Fate::Garbled) => {
                    self.put(&name, bytes);
                    lost(HttpErrorKind::Decode)
                }
                Some(Fate::Replaced(by)) => {
                    self.put(&name, Bytes::from_static(by.as_bytes()));
                    lost(HttpErrorKind::Interrupted)
                }
                Some(Fate::Fails(status)) => Ok(Fixed::new(status, "", "").response()),
            };
        }
        let Some(bytes) = hold(&self.0.objects).get(&name).cloned() else {
            return Ok(Fixed::new(404, "", "<Error><Code>NoSuchKey</Code></Error>").response());
        };
        let length = bytes.len().to_string();
        let headers = &[("etag", "\"1\""), ("last-modified", "Tue, 01 Jan 2030 00:00:00 GMT")];
        let mut response = Fixed { headers, ..Fixed::new(200, "", "") }.response();
        response.headers_mut().insert("content-length", length.parse().unwrap());
        *response.body_mut() = bytes.into();
        Ok(response)
    }
}
