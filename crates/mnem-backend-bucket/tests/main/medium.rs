//! The medium of the tests: an object store in memory with scripted failures.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, stream::BoxStream};
use mnem_backend_bucket::OpenOptions;
use mnem_store_traits::{Bytes, conformance::Fault};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory,
    path::Path,
};

/// Options for stores on such a medium: short leases, and no pauses.
pub(crate) fn quick() -> OpenOptions {
    OpenOptions::new()
        .create(true)
        .lease(Duration::from_millis(2))
        .give_up(Duration::from_millis(10))
        .retry_pause(Duration::ZERO)
}

/// The objects and the faults. Clones are the same medium.
#[derive(Clone, Debug, Default)]
pub(crate) struct Medium(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    objects: InMemory,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    is_hostile: bool,
    /// Numbers of the requests, and of those that write.
    requests: u64,
    puts: u64,
    /// So many writes until the power goes off, now or when the next connection is made.
    cut: Option<u64>,
    cut_next: Option<u64>,
    is_off: bool,
    cuts: u64,
    connections: u64,
    /// How far the clock of the service was put forward, now and when each object was written.
    clock: Duration,
    written: HashMap<String, Duration>,
    /// Earlier connections are those of a machine that was cut off.
    oldest: u64,
}

/// The medium as one handle sees it.
#[derive(Debug)]
pub(crate) struct Connection {
    medium: Medium,
    number: u64,
}

/// What becomes of a request.
#[derive(PartialEq, Eq)]
enum Fate {
    Answered,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    FalseConflict,
    /// It is carried out when the medium is told so.
    Waits,
}

fn planted(what: &str) -> Error {
    Error::Generic { store: "planted", source: what.to_owned().into() }
}

impl Medium {
    /// Every third answer is lost after the request was carried out, every fifth write is refused, and every seventh
    /// reports a conflict that is none.
    pub(crate) fn hostile() -> Self {
        let medium = Self::default();
        medium.state().is_hostile = true;
        medium
    }

    pub(crate) fn connect(&self) -> Arc<Connection> {
        let mut state = self.state();
        state.connections += 1;
        if state.is_off || state.cut.is_some() {
            state.oldest = state.connections;
        }
        state.is_off = false;
        state.cut = state.cut_next.take();
        Arc::new(Connection { medium: self.clone(), number: state.connections })
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    pub(crate) fn cut_power_after(&self, writes: u64) {
        self.state().cut = Some(writes);
    }

    pub(crate) fn cut_power_while_opening(&self, writes: u64) {
        self.state().cut_next = Some(writes);
    }

    /// Puts the clock of the service forward.
    pub(crate) fn pass(&self, time: Duration) {
        self.state().clock += time;
    }

    /// How many requests there were, and how many of them write.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let state = self.state();
        (state.requests, state.puts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of an object, without any fault.
    pub(crate) fn read(&self, name: &str) -> Option<Bytes> {
        let get = async { self.0.objects.get(&Path::from(name)).await?.bytes().await };
        get.now_or_never().expect("memory answers at once").ok()
    }

    /// Replaces an object, without any fault.
    pub(crate) fn write(&self, name: &str, bytes: impl Into<Bytes>) {
        self.state().note(name);
        let (name, bytes) = (Path::from(name), bytes.into());
        let put = self.0.objects.put(&name, PutPayload::from(bytes));
        put.now_or_never().expect("memory answers at once").expect("memory takes all");
    }

    /// Removes an object, without any fault.
    pub(crate) fn remove(&self, name: &str) {
        let name = Path::from(name);
        self.0.objects.delete(&name).now_or_never().expect("memory answers at once").expect("the object is there");
    }

    /// The names of all objects, ascending.
    pub(crate) fn names(&self) -> Vec<String> {
        let listed = self.0.objects.list(None).collect::<Vec<_>>().now_or_never().expect("memory answers at once");
        let mut names: Vec<String> = listed.into_iter().map(|meta| meta.unwrap().location.to_string()).collect();
        names.sort();
        names
    }
}

impl State {
    fn note(&mut self, name: &str) {
        self.written.insert(name.to_owned(), self.clock);
    }

    /// By the clock of the service.
    fn dated(&self, meta: &mut ObjectMeta) {
        meta.last_modified += self.written.get(meta.location.as_ref()).copied().unwrap_or_default();
    }

    fn fate(&mut self, number: u64, put: Option<&Path>) -> Result<Fate> {
        self.requests += 1;
        self.puts += u64::from(put.is_some());
        if self.is_off || number < self.oldest {
            return Err(planted("the power is off"));
        }
        if put.is_some()
            && let Some(left) = &mut self.cut
        {
            if *left == 0 {
                (self.is_off, self.cuts) = (true, self.cuts + 1);
                return if self.cuts.is_multiple_of(2) {
                    Ok(Fate::AnswerLost)
                } else {
                    Err(planted("the power went off"))
                };
            }
            *left -= 1;
        }
        if self.is_hostile {
            if put.is_some() && self.puts.is_multiple_of(5) {
                return Err(planted("the service is busy"));
            }
            if put.is_some() && self.puts.is_multiple_of(7) {
                return Ok(Fate::FalseConflict);
            }
            return Ok(if self.requests.is_multiple_of(3) { Fate::AnswerLost } else { Fate::Answered });
        }
        self.planted(put)
    }

    fn planted(&mut self, put: Option<&Path>) -> Result<Fate> {
        let is_put = put.is_some();
        let is_sync = put.is_some_and(|path| path.as_ref().contains("log/"));
        let (left, once) = match &mut self.fault {
            Some(Fault::Reads) if !is_put => return Err(planted("no answer to reads")),
            Some(Fault::SyncsWait) if is_sync => return Ok(Fate::Waits),
            Some(Fault::ReadsAfter(left)) if !is_put => (left, None),
            Some(Fault::WritesAfter(left)) if is_put => (left, None),
            Some(Fault::SyncsAfter(left)) if is_sync => (left, None),
            Some(Fault::RequestRefused(left)) => (left, Some(Err(planted("the service is busy")))),
            Some(Fault::AnswerLost(left)) => (left, Some(Ok(Fate::AnswerLost))),
            Some(Fault::FalseConflict(left)) if is_put => (left, Some(Ok(Fate::FalseConflict))),
            _ => return Ok(Fate::Answered),
        };
        if let Some(less) = left.checked_sub(1) {
            *left = less;
            return Ok(Fate::Answered);
        }
        let Some(fate) = once else { return Err(planted("no answer")) };
        self.fault = None;
        fate
    }
}

impl Connection {
    fn fate(&self, put: Option<&Path>) -> Result<Fate> {
        self.medium.state().fate(self.number, put)
    }

    fn objects(&self) -> &InMemory {
        &self.medium.0.objects
    }

    async fn told(&self) {
        while self.medium.state().fault == Some(Fault::SyncsWait) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn answered<T>(fate: Fate, answer: Result<T>) -> Result<T> {
    if fate == Fate::AnswerLost { Err(planted("the answer was lost")) } else { answer }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl ObjectStore for Connection {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fate = self.fate(Some(path))?;
        if fate == Fate::FalseConflict {
            return Err(Error::AlreadyExists { path: path.to_string(), source: "planted".into() });
        }
        if fate == Fate::Waits {
            self.told().await;
        }
        let put = self.objects().put_opts(path, payload, options).await;
        if put.is_ok() {
            self.medium.state().note(path.as_ref());
        }
        answered(fate, put)
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(planted("no multipart"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let fate = self.fate(None)?;
        let mut got = self.objects().get_opts(path, options).await;
        if let Ok(got) = &mut got {
            self.medium.state().dated(&mut got.meta);
        }
        answered(fate, got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let medium = Self { medium: self.medium.clone(), number: self.number };
        let delete = move |path: Result<Path>| {
            let path = path?;
            let fate = medium.fate(Some(&path))?;
            if fate == Fate::FalseConflict {
                return Err(planted("the service is busy"));
            }
            let deleted = medium.objects().delete(&path).now_or_never().expect("memory answers at once");
            answered(fate, deleted.map(|()| path))
        };
        paths.map(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.fate(None).and_then(|fate| answered(fate, Ok(()))) {
            Ok(()) => self.objects().list(prefix),
            Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let fate = self.fate(None)?;
        let mut listed = self.objects().list_with_delimiter(prefix).await;
        if let Ok(listed) = &mut listed {
            listed.objects.iter_mut().for_each(|meta| self.medium.state().dated(meta));
        }
        answered(fate, listed)
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(planted("no copies"))
    }
}

/// A service that does not look whether an object exists, and loses so many answers to its first writes.
#[derive(Debug, Default)]
pub(crate) struct Careless(InMemory, AtomicU64);

impl Careless {
    pub(crate) fn losing(answers: u64) -> Self {
        Self(InMemory::new(), AtomicU64::new(answers))
    }
}

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("careless")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(&self, path: &Path, payload: PutPayload, _: PutOptions) -> Result<PutResult> {
        let put = self.0.put_opts(path, payload, PutMode::Overwrite.into()).await;
        match self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(planted("the answer was lost")),
            Err(_) => put,
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(planted("no multipart"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(planted("no copies"))
    }
}

/// A service that refuses writes as it is told.
#[derive(Debug, Default)]
pub(crate) struct Refusing {
    objects: InMemory,
    refusal: Mutex<Option<fn() -> Error>>,
}

impl Refusing {
    pub(crate) fn refuse_writes(&self, refusal: Option<fn() -> Error>) {
        *self.refusal.lock().unwrap() = refusal;
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refusing")
    }
}

#[async_trait]
impl ObjectStore for Refusing {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let refusal = *self.refusal.lock().unwrap();
        match refusal {
            Some(refusal) => Err(refusal()),
            None => self.objects.put_opts(path, payload, options).await,
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(planted("no multipart"))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(planted("no copies"))
    }
}
