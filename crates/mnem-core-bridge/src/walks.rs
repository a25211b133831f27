//! Decides which puts belong to an archive or a lone write, and which to a commit of the engine.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use mnem_core::{
    codec::from_canonical_bytes,
    objects::{Operation, View},
};
use mnem_store_traits::{Cid, StoreError, links};

/// Memory limits. Beyond them a walk is forgotten, and its puts land by the time limit.
const WALKS_MAX: usize = 1024;
const OPEN_LINKS_MAX: usize = 1 << 20;

/// The unfinished walks of all threads.
///
/// A commit of the engine puts children before parents, so each link of its blocks leads to a block that is staged or
/// stored. An archive has parents before children. So a block with an absent link begins a *walk* of the thread that
/// puts it, and the put after which no link of the walk is open completes it: it is the last new block of the archive.
/// A walk that is not completed, because the archive lacks blocks or continues in another thread, is forgotten after a
/// time without a put; later puts do not belong to it.
#[derive(Debug)]
pub(crate) struct Walks {
    idle_max: Duration,
    open: Mutex<HashMap<ThreadId, Walk>>,
}

/// The walk of one thread.
#[derive(Debug)]
struct Walk {
    /// Links to blocks that are not present yet; never empty.
    links: HashSet<Cid>,
    last_put: Instant,
}

/// The position of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// In a walk with open links.
    Inside,
    /// The last put of a walk.
    Last,
    /// Not in a walk.
    Outside,
}

impl Walks {
    /// Creates the set. Walks are forgotten after `idle_max` without a put.
    pub(crate) fn new(idle_max: Duration) -> Self {
        Self { idle_max, open: Mutex::default() }
    }

    /// Records that this thread put `cid`, whose links `absent` lead to blocks that are neither staged nor stored.
    pub(crate) fn put(&self, cid: &Cid, absent: Vec<Cid>) -> Step {
        let mut open = self.lock();
        let (thread, now) = (thread::current().id(), Instant::now());
        let current = open.get_mut(&thread).filter(|walk| now.duration_since(walk.last_put) < self.idle_max);
        let Some(walk) = current else {
            open.remove(&thread);
            if absent.is_empty() {
                return Step::Outside;
            }
            if open.len() >= WALKS_MAX {
                open.clear();
            }
            open.insert(thread, Walk { links: absent.into_iter().collect(), last_put: now });
            return Step::Inside;
        };
        walk.links.remove(cid);
        walk.links.extend(absent);
        walk.last_put = now;
        if !walk.links.is_empty() && walk.links.len() <= OPEN_LINKS_MAX {
            return Step::Inside;
        }
        open.remove(&thread);
        Step::Last
    }

    /// Records that this thread moved a head, to which its earlier puts belong.
    pub(crate) fn end(&self) {
        self.lock().remove(&thread::current().id());
    }

    // Every change is complete before anything can panic.
    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Walk>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The links of a block that `has_many` does not find. Empty for a block that cannot be decoded.
pub(crate) fn absent_links(
    cid: &Cid,
    data: &[u8],
    has_many: impl Fn(&[Cid]) -> Result<Vec<bool>, StoreError>,
) -> Result<Vec<Cid>, StoreError> {
    let links = links(cid, data).unwrap_or_default();
    let present = has_many(&links)?;
    Ok(links.into_iter().zip(present).filter(|(_, is_present)| !is_present).map(|(link, _)| link).collect())
}

/// Whether the engine itself puts such a block with a hash check. It does so with views and operations, and updates the
/// heads right after.
pub(crate) fn precedes_update(data: &[u8]) -> bool {
    from_canonical_bytes::<Operation>(data).is_ok() || from_canonical_bytes::<View>(data).is_ok()
}
