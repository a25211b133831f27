//! Requests to the object store: creating, reading and listing objects below a prefix.

use std::{
    fmt,
    future::Future,
    io,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use mnem_store_traits::{Bytes, Outcome, StoreError, driver::Location};
use object_store::{
    Error, GetOptions, GetRange, ListResult, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload, path::Path,
};

use super::runtime::{wait_for, wait_for_all};
use crate::{
    error::{NoAnswer, failed, is_refusal, is_refusal_of_folder, is_undecodable, unavailable},
    limits::{PAUSE_GROWTH, READ_ATTEMPTS, READ_GIVE_UP, REQUEST, REQUEST_PER_MIB, WHOLE_BYTES, WRITE_ATTEMPTS_MIN},
};

const MIB: u64 = 1024 * 1024;

/// Makes durable what others have made visible.
type Settle = dyn Fn() -> io::Result<()> + Send + Sync;

/// Fails if the place is not the one that was opened.
type CheckPlace = dyn Fn() -> io::Result<()> + Send + Sync;

/// The objects of one store.
pub(crate) struct Objects {
    service: Arc<dyn ObjectStore>,
    prefix: Path,
    location: Location,
    /// The first pause between two attempts.
    pause: Duration,
    /// `None`: what is visible is durable.
    settle: Option<Box<Settle>>,
    /// `None`: the place cannot move.
    check_place: Option<Box<CheckPlace>>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("service", &self.service).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The outcome of one request that creates an object if it is absent.
pub(crate) enum Creation {
    Made,
    /// The service says that the object exists. It may be that of an earlier attempt, or the answer may be wrong.
    Exists(Error),
    /// The service refused the request, and a retry is pointless. Nothing was created.
    Refused(Error),
    /// The file system refused, and a retry is pointless. Nothing is in flight, so reading the object decides.
    Failed(Error),
    /// The object may have been made, now or later.
    Unsure(Error),
}

/// An object, or the beginning of one that is longer than [`WHOLE_BYTES`].
pub(crate) struct Start {
    pub(crate) bytes: Bytes,
    /// Length of the object.
    pub(crate) size: u64,
}

/// A part of an object.
pub(crate) enum Part {
    Found(Bytes),
    /// The object does not exist.
    Absent,
    /// The object has so many bytes, which is not what it had when it was written.
    Resized(u64),
}

/// What is directly below the prefix: names of objects, and of folders.
pub(crate) struct Listed {
    /// With their lengths.
    pub(crate) objects: Vec<(String, u64)>,
    pub(crate) folders: Vec<String>,
}

/// An object that was listed.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// When it was written, by the clock of the service: milliseconds since 1970.
    pub(crate) modified: i64,
}

impl Objects {
    pub(crate) fn new(service: Arc<dyn ObjectStore>, prefix: Path, location: Location, pause: Duration) -> Self {
        Self { service, prefix, location, pause, settle: None, check_place: None }
    }

    /// For a medium that shows an object before it is durable: how to make durable what it shows.
    pub(crate) fn settled_by(mut self, settle: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.settle = Some(Box::new(settle));
        self
    }

    /// Makes durable what the medium shows. Call it before acknowledging what no write of this handle has confirmed.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.settle.as_ref().map_or(Ok(()), |settle| settle())
    }

    /// For a medium whose place can be moved or removed under the handle: how to find that out.
    pub(crate) fn checked_by(mut self, check: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.check_place = Some(Box::new(check));
        self
    }

    /// Fails if the folder that was opened may have been moved or replaced. Call it before concluding that an object is
    /// absent, and after creating one.
    pub(crate) fn check_place(&self) -> Result<(), StoreError> {
        let checked = self.check_place.as_ref().map_or(Ok(()), |check| check());
        checked.map_err(|error| unavailable(&format!("find the store at {}", self.location), error))
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// How long to wait before the next attempt, after so many of them.
    pub(crate) fn pause_after(&self, attempts: u32) -> Duration {
        pause_after(self.pause, attempts)
    }

    /// Creates an object if it is absent. One request.
    pub(crate) fn create(&self, name: &str, payload: PutPayload) -> Creation {
        let (service, path) = (Arc::clone(&self.service), self.path(name));
        let limit = limit_of(payload.content_length() as u64);
        let options = PutOptions::from(PutMode::Create);
        let answer = wait_for(async move {
            let request = async { service.put_opts(&path, payload, options).await.map(drop) };
            within(limit, request).await
        });
        match answer {
            Ok(Ok(())) => Creation::Made,
            Ok(Err(error @ (Error::AlreadyExists { .. } | Error::Precondition { .. }))) => Creation::Exists(error),
            Ok(Err(error)) if is_refusal_of_folder(&error) => Creation::Failed(error),
            Ok(Err(error)) if is_final(&error) => Creation::Refused(error),
            Ok(Err(error)) => Creation::Unsure(error),
            // The request may have gone out before its thread failed.
            Err(error) => Creation::Unsure(Error::Generic { store: "bucket", source: error.into() }),
        }
    }

    /// Reads the beginnings of several objects at once; `None` for those that do not exist.
    pub(crate) fn starts(&self, names: &[String]) -> Result<Vec<Result<Option<Start>, StoreError>>, StoreError> {
        let pause = self.pause;
        let requests = names.iter().map(|name| {
            let (service, path) = (Arc::clone(&self.service), self.path(name));
            async move { attempts(pause, limit_of(WHOLE_BYTES), || start(&service, &path)).await }
        });
        let answers = wait_for_all(requests)?;
        Ok(answers.into_iter().zip(names).map(|(answer, name)| answer.map_err(|e| self.unread(name, e))).collect())
    }

    /// Reads the beginning of an object; `None` if it does not exist.
    pub(crate) fn start(&self, name: &str) -> Result<Option<Start>, StoreError> {
        self.starts(&[name.to_owned()])?.pop().unwrap_or(Ok(None))
    }

    /// Reads a part, which is not empty, of an object that should have `size` bytes.
    pub(crate) fn range(&self, name: &str, range: Range<u64>, size: u64) -> Result<Part, StoreError> {
        self.ranges(&[(name.to_owned(), range, size)])?.pop().unwrap_or(Ok(Part::Absent))
    }

    /// Reads parts of several objects at once.
    pub(crate) fn ranges(
        &self,
        wanted: &[(String, Range<u64>, u64)],
    ) -> Result<Vec<Result<Part, StoreError>>, StoreError> {
        let pause = self.pause;
        let requests = wanted.iter().map(|(name, range, size)| {
            let (service, path) = (Arc::clone(&self.service), self.path(name));
            let (range, size) = (range.clone(), *size);
            let limit = limit_of(range.end.saturating_sub(range.start));
            async move { attempts(pause, limit, || part(&service, &path, range.clone(), size)).await }
        });
        let answers = wait_for_all(requests)?;
        Ok(answers
            .into_iter()
            .zip(wanted)
            .map(|(answer, (name, ..))| answer.map_err(|e| self.unread(name, e)))
            .collect())
    }

    /// Writes objects that are named by their content, all at once. Each attempt writes the same bytes, and is repeated
    /// for as long as `give_up`.
    pub(crate) fn put_all(&self, objects: Vec<(String, PutPayload)>, give_up: Duration) -> Result<(), StoreError> {
        let (names, payloads): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
        // They share the line.
        let limit = limit_of(payloads.iter().map(|payload| payload.content_length() as u64).sum());
        let requests = names.iter().zip(payloads).map(|(name, payload)| {
            let (service, path, pause) = (Arc::clone(&self.service), self.path(name), self.pause);
            async move { put(&service, &path, payload, (pause, limit), give_up).await }
        });
        let answers = wait_for_all(requests)?;
        for (answer, name) in answers.into_iter().zip(&names) {
            answer.map_err(|error| failed(self, "write", name, Outcome::NotApplied, error))?;
        }
        Ok(())
    }

    /// Lists the objects in a folder below the prefix, or directly below the prefix itself.
    pub(crate) fn list(&self, folder: &str, tries: u32) -> Result<Listed, StoreError> {
        let (listed, found) = self.listing(folder, tries)?;
        // The object that a console makes for a folder has the name of the folder, and is not below it.
        let name = |found: &Path| Some(found.prefix_match(&listed)?.next()?.as_ref().to_owned());
        Ok(Listed {
            objects: found.objects.iter().filter_map(|meta| Some((name(&meta.location)?, meta.size))).collect(),
            folders: found.common_prefixes.iter().filter_map(name).collect(),
        })
    }

    /// The objects in a folder, with their names there.
    pub(crate) fn list_stored(&self, folder: &str) -> Result<Vec<Stored>, StoreError> {
        let (listed, found) = self.listing(folder, READ_ATTEMPTS)?;
        let stored = |meta: &ObjectMeta| {
            let name = meta.location.prefix_match(&listed)?.next()?.as_ref().to_owned();
            Some(Stored { name, bytes: meta.size, modified: meta.last_modified.timestamp_millis() })
        };
        Ok(found.objects.iter().filter_map(stored).collect())
    }

    fn listing(&self, folder: &str, tries: u32) -> Result<(Path, ListResult), StoreError> {
        let (service, pause) = (Arc::clone(&self.service), self.pause);
        let path = if folder.is_empty() { self.prefix.clone() } else { self.path(folder) };
        let listed = path.clone();
        let listing = async move {
            up_to(tries, pause, REQUEST * 6, || async { service.list_with_delimiter(Some(&path)).await }).await
        };
        let found = wait_for(listing)?.map_err(|error| {
            let shown = if folder.is_empty() { "objects" } else { folder };
            failed(self, "list", shown, Outcome::NotApplied, error)
        })?;
        Ok((listed, found))
    }

    /// When an object was written, by the clock of the service: milliseconds since 1970.
    pub(crate) fn modified(&self, name: &str) -> Result<i64, StoreError> {
        let (service, path, pause) = (Arc::clone(&self.service), self.path(name), self.pause);
        let head = async move { attempts(pause, REQUEST, || async { service.head(&path).await }).await };
        Ok(wait_for(head)?.map_err(|error| self.unread(name, error))?.last_modified.timestamp_millis())
    }

    /// Deletes objects, all at once. It is no error if one does not exist.
    pub(crate) fn delete_all(&self, names: &[String]) -> Result<(), StoreError> {
        let requests = names.iter().map(|name| {
            let (service, path, pause) = (Arc::clone(&self.service), self.path(name), self.pause);
            async move { attempts(pause, REQUEST, || async { or_absent(service.delete(&path).await) }).await }
        });
        for (answer, name) in wait_for_all(requests)?.into_iter().zip(names) {
            answer.map_err(|error| failed(self, "delete", name, Outcome::Unknown, error))?;
        }
        Ok(())
    }

    /// The names of the objects in a folder that come after `name`, which includes the folder.
    pub(crate) fn list_from(&self, folder: &str, name: &str) -> Result<Vec<String>, StoreError> {
        let (service, pause) = (Arc::clone(&self.service), self.pause);
        let (path, after) = (self.path(folder), self.path(name));
        let listing = async move {
            attempts(pause, REQUEST * 6, || async {
                service.list_with_offset(Some(&path), &after).try_collect::<Vec<ObjectMeta>>().await
            })
            .await
        };
        let folder_path = self.path(folder);
        let name_of = |found: &ObjectMeta| {
            let mut parts = found.location.prefix_match(&folder_path)?;
            let name = parts.next()?.as_ref().to_owned();
            parts.next().is_none().then_some(name)
        };
        let listed = wait_for(listing)?.map_err(|error| failed(self, "list", folder, Outcome::NotApplied, error))?;
        Ok(listed.iter().filter_map(name_of).collect())
    }

    fn unread(&self, name: &str, error: Error) -> StoreError {
        failed(self, "read", name, Outcome::NotApplied, error)
    }
}

async fn start(service: &Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<Option<Start>> {
    let Some(found) = or_absent(service.get_opts(path, GetOptions::default()).await)? else { return Ok(None) };
    let size = found.meta.size;
    if size <= WHOLE_BYTES {
        return Ok(Some(Start { bytes: found.bytes().await?, size }));
    }
    drop(found);
    match part(service, path, 0..WHOLE_BYTES, size).await? {
        Part::Found(bytes) => Ok(Some(Start { bytes, size })),
        Part::Absent => Ok(None),
        Part::Resized(_) => {
            Err(Error::Generic { store: "bucket", source: "an object changed its length while it was read".into() })
        }
    }
}

/// Reads a range of an object. Services report a range past the end in different ways, so a failure asks for the length.
async fn part(service: &Arc<dyn ObjectStore>, path: &Path, range: Range<u64>, size: u64) -> object_store::Result<Part> {
    let wanted = range.end.saturating_sub(range.start);
    let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
    let error = match service.get_opts(path, options).await {
        Ok(found) if found.meta.size != size => return Ok(Part::Resized(found.meta.size)),
        Ok(found) => match found.bytes().await {
            Ok(bytes) if bytes.len() as u64 == wanted => return Ok(Part::Found(bytes)),
            Ok(bytes) => {
                let source = format!("received {} bytes, expected {wanted}", bytes.len()).into();
                return Err(Error::Generic { store: "bucket", source });
            }
            Err(error) => error,
        },
        Err(Error::NotFound { .. }) => return Ok(Part::Absent),
        Err(error) => error,
    };
    let head = GetOptions { head: true, ..GetOptions::default() };
    match service.get_opts(path, head).await {
        Ok(found) if found.meta.size != size => Ok(Part::Resized(found.meta.size)),
        _ => Err(error),
    }
}

async fn put(
    service: &Arc<dyn ObjectStore>,
    path: &Path,
    payload: PutPayload,
    (pause, limit): (Duration, Duration),
    give_up: Duration,
) -> object_store::Result<()> {
    let (begin, mut made) = (Instant::now(), 0);
    loop {
        let request = service.put_opts(path, payload.clone(), PutOptions::from(PutMode::Overwrite));
        let error = match within(limit, request).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        made += 1;
        if is_final(&error) || is_refusal_of_folder(&error) || made >= WRITE_ATTEMPTS_MIN && begin.elapsed() >= give_up
        {
            return Err(error);
        }
        rest(pause, made).await;
    }
}

fn or_absent<T>(answer: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a request that changes nothing, and makes it again when it fails in a way that may pass.
async fn attempts<T, F: Future<Output = object_store::Result<T>>>(
    pause: Duration,
    limit: Duration,
    request: impl Fn() -> F,
) -> object_store::Result<T> {
    up_to(READ_ATTEMPTS, pause, limit, request).await
}

async fn up_to<T, F: Future<Output = object_store::Result<T>>>(
    tries: u32,
    pause: Duration,
    limit: Duration,
    request: impl Fn() -> F,
) -> object_store::Result<T> {
    let (mut made, begin) = (0, Instant::now());
    loop {
        made += 1;
        match within(limit, request()).await {
            Err(error) if made < tries && begin.elapsed() < READ_GIVE_UP && !is_final_of_read(&error) => {
                rest(pause, made).await;
            }
            answer => return answer,
        }
    }
}

async fn rest(pause: Duration, attempts: u32) {
    // Even the shortest sleep takes a millisecond.
    if !pause.is_zero() {
        tokio::time::sleep(pause_after(pause, attempts)).await;
    }
}

async fn within<T>(limit: Duration, request: impl Future<Output = object_store::Result<T>>) -> object_store::Result<T> {
    let late = |_| Error::Generic { store: "bucket", source: NoAnswer(limit).into() };
    tokio::time::timeout(limit, request).await.map_err(late).flatten()
}

fn limit_of(bytes: u64) -> Duration {
    REQUEST + REQUEST_PER_MIB * u32::try_from(bytes / MIB).unwrap_or(u32::MAX)
}

fn pause_after(pause: Duration, attempts: u32) -> Duration {
    pause * 2_u32.saturating_pow(attempts.saturating_sub(1)).min(PAUSE_GROWTH)
}

fn is_final_of_read(error: &Error) -> bool {
    is_final(error) || is_refusal_of_folder(error) || is_undecodable(error)
}

/// Whether a repetition would fail too, and nothing was done.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotImplemented { .. }
            | Error::NotSupported { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. }
            // Of a request that names no object that must exist: there is no bucket.
            | Error::NotFound { .. }
    ) || is_refusal(error)
}
