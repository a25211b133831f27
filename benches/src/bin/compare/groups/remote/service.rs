//! An object storage in memory that takes its time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

const PUT: Duration = Duration::from_millis(40);
const GET: Duration = Duration::from_millis(20);
const LIST: Duration = Duration::from_millis(50);
/// Of one request, in bytes per second.
const RATE: f64 = 90e6;

/// Keys in one answer to a `LIST`.
const PAGE: usize = 1_000;

/// The requests that a service has served.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Requests {
    pub(super) puts: u64,
    pub(super) gets: u64,
    pub(super) lists: u64,
}

impl Requests {
    pub(super) fn since(self, earlier: Self) -> Self {
        Self { puts: self.puts - earlier.puts, gets: self.gets - earlier.gets, lists: self.lists - earlier.lists }
    }

    /// What they cost at S3's prices in its cheapest regions.
    pub(super) fn dollars(self) -> f64 {
        (self.puts + self.lists) as f64 * 5e-6 + self.gets as f64 * 0.4e-6
    }
}

#[derive(Debug, Default)]
struct Counts {
    puts: AtomicU64,
    gets: AtomicU64,
    lists: AtomicU64,
}

/// A service whose objects all clones share.
#[derive(Clone, Debug, Default)]
pub(super) struct Service {
    objects: Arc<InMemory>,
    counts: Arc<Counts>,
}

impl Service {
    pub(super) fn requests(&self) -> Requests {
        let Counts { puts, gets, lists } = &*self.counts;
        Requests { puts: puts.load(Relaxed), gets: gets.load(Relaxed), lists: lists.load(Relaxed) }
    }

    /// The same objects at once, for preparations and checks that are not timed.
    pub(super) fn at_once(&self) -> Arc<InMemory> {
        Arc::clone(&self.objects)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("delayed memory")
    }
}

/// Counts a request, and waits for as long as its answer takes: 60 to 140 % of `delay`, and the time for its bytes. If
/// all answers took the same time, the same writer would always win.
async fn wait(counter: &AtomicU64, delay: Duration, bytes: u64) {
    let n = counter.fetch_add(1, Relaxed);
    let random = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let share = 0.6 + 0.8 * random as f64 / f64::from(u32::MAX);
    tokio::time::sleep(delay.mul_f64(share) + Duration::from_secs_f64(bytes as f64 / RATE)).await;
}

#[async_trait]
impl ObjectStore for Service {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        wait(&self.counts.puts, PUT, payload.content_length() as u64).await;
        self.objects.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        // What the request finds is decided when it arrives, and the answer takes its time afterwards.
        let found = self.objects.get_opts(at, options).await;
        let bytes = match &found {
            Ok(GetResult { payload: GetResultPayload::Stream(_), range, .. }) => range.end - range.start,
            _ => 0,
        };
        wait(&self.counts.gets, GET, bytes).await;
        found
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let objects = Arc::clone(&self.objects);
        let paths = paths.then(|path| async {
            tokio::time::sleep(PUT).await;
            path
        });
        objects.delete_stream(paths.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(self.objects.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(self.objects.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        wait(&self.counts.lists, LIST, 0).await;
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        wait(&self.counts.puts, PUT, 0).await;
        self.objects.copy_opts(from, to, options).await
    }
}

impl Service {
    /// A listing of which each page is a request, also an empty one.
    fn pages(&self, listing: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let counts = Arc::clone(&self.counts);
        let first = Arc::clone(&self.counts);
        let start = futures_util::stream::once(async move { wait(&first.lists, LIST, 0).await });
        let start = start.filter_map(|()| async { None });
        let rest = listing.enumerate().then(move |(at, object)| {
            let counts = Arc::clone(&counts);
            async move {
                if at > 0 && at.is_multiple_of(PAGE) {
                    wait(&counts.lists, LIST, 0).await;
                }
                object
            }
        });
        start.chain(rest).boxed()
    }
}
