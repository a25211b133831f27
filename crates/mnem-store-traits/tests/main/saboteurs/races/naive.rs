//! Naive stress tests: each thread makes one change, and the result is checked once.

use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use mnem_store_traits::{Bytes, Cid, RAW, SideTable, Store, StoreError, WriteBatch, cid_of};

const THREADS: usize = 4;

/// What each thread does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stress {
    /// Adds a head.
    Updates,
    /// Swaps the first head in.
    Swaps,
    /// Puts a block.
    Puts,
    /// Puts the same block.
    SamePuts,
    /// Puts a block and deletes another.
    Deletes,
    /// Commits a block and a head.
    Commits,
    /// Writes a row.
    Rows,
}

fn block(i: usize) -> (Cid, Bytes) {
    let data = Bytes::from(format!("block {i}"));
    (cid_of(RAW, &data), data)
}

impl Stress {
    fn change(self, store: &dyn Store, i: usize) -> Result<(), StoreError> {
        let (cid, data) = block(i);
        match self {
            Self::Updates => store.update(&cid, &[]),
            Self::Swaps => store.swap(&[], &cid),
            Self::Puts => store.put(&cid, data),
            Self::SamePuts => store.put(&block(0).0, block(0).1),
            Self::Deletes => {
                let (other, bytes) = block(i + THREADS);
                store.put(&other, bytes)?;
                store.delete(&other)?;
                store.put(&cid, data)
            }
            Self::Commits => store.commit(WriteBatch::new().put(cid, data).update(cid, [])),
            Self::Rows => store.side_table("table")?.write(&[(data.clone(), data)], &[]),
        }
    }

    /// Whether everything acknowledged is there.
    fn is_whole(self, store: &dyn Store, done: &[bool]) -> Result<bool, StoreError> {
        let acknowledged = || (0..THREADS).filter(|i| done[*i]);
        let heads: BTreeSet<Cid> = store.heads()?.into_iter().collect();
        let has_heads = acknowledged().all(|i| heads.contains(&block(i).0));
        let mut has_blocks = true;
        for i in acknowledged() {
            has_blocks &= store.has(&block(i).0)?;
        }
        Ok(match self {
            Self::Updates => has_heads,
            Self::Swaps => acknowledged().count() == 1 && has_heads,
            Self::Puts | Self::Deletes => has_blocks && acknowledged().count() == THREADS,
            Self::SamePuts => store.has(&block(0).0)? && acknowledged().count() == THREADS,
            Self::Commits => has_blocks && has_heads,
            Self::Rows => store.side_table("table")?.keys(b"")?.count() == THREADS,
        })
    }

    /// Runs one round. Returns whether it found a mistake; a round that does not end counts as one.
    pub(super) fn finds(self, store: Arc<dyn Store>) -> bool {
        let (send, found) = mpsc::channel();
        // Not scoped: stuck threads are left behind.
        thread::spawn(move || {
            let done: Vec<bool> = thread::scope(|scope| {
                let store = &*store;
                let threads: Vec<_> =
                    (0..THREADS).map(|i| scope.spawn(move || self.change(store, i).is_ok())).collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or(false)).collect()
            });
            // If the round took too long, nobody listens any more.
            let _ = send.send(!self.is_whole(&*store, &done).unwrap_or(false));
        });
        found.recv_timeout(Duration::from_secs(2)).unwrap_or(true)
    }
}
