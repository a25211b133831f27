//! Work that waits to be landed. Threads that write at the same time share an entry.

use std::time::Duration;

use mnem_store_traits::{Bytes, Cause, Cid, HeadChange, Outcome, RAW, StoreError, backend::Group, cid_of};

use super::landing::land;
use crate::{
    error::BACKEND,
    handle::{Handle, hold},
    limits::{COMMIT_BYTES_MAX, COMMIT_ITEMS_MAX, GROUP_BYTES, GROUP_ITEMS},
};

/// What one call wants done. Its blocks were checked.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) puts: Vec<(Cid, Bytes)>,
    pub(crate) required: Vec<Cid>,
    pub(crate) head: Option<HeadChange>,
    pub(crate) deletes: Vec<Cid>,
    /// In order.
    pub(crate) rows: Vec<RowWrite>,
}

/// Table, key, and the value with its CID; `None` removes the row.
pub(crate) type RowWrite = (String, Bytes, Option<(Cid, Bytes)>);

/// The name of a value in the log.
pub(crate) fn value_cid(value: &[u8]) -> Cid {
    cid_of(RAW, value)
}

/// The work of one call, and the name of the call for errors.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) operation: &'static str,
    pub(crate) work: Work,
}

/// Callers that share an entry.
pub(crate) type Queue = Group<Job, Result<(), StoreError>>;

impl Work {
    fn bytes(&self) -> u64 {
        let puts = self.puts.iter().map(|(_, data)| data.len() as u64).sum::<u64>();
        let values = self.rows.iter().filter_map(|(_, _, value)| value.as_ref());
        puts + values.map(|(_, value)| value.len() as u64).sum::<u64>()
    }

    fn items(&self) -> usize {
        let heads = self.head.as_ref().map_or(0, |head| head.new_heads().len());
        self.puts.len() + self.required.len() + self.deletes.len() + self.rows.len() + heads
    }

    fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        let (bytes, items) = (self.bytes(), self.items());
        let refuse = |reason| Err(StoreError::InvalidArgument { operation, reason });
        if bytes > COMMIT_BYTES_MAX {
            return refuse(format!("it has {bytes} bytes, above the limit of {COMMIT_BYTES_MAX} bytes for one commit"));
        }
        if items > COMMIT_ITEMS_MAX {
            return refuse(format!(
                "it has {items} blocks, rows, deletions, required blocks and heads, above the limit of {COMMIT_ITEMS_MAX} for one commit"
            ));
        }
        Ok(())
    }
}

/// Lands the work, together with that of other threads, and waits for it.
pub(crate) fn submit(handle: &Handle, operation: &'static str, work: Work) -> Result<(), StoreError> {
    handle.gate.check_writable(operation)?;
    work.check(operation)?;
    let deletes = !work.deletes.is_empty();
    let done = handle.queue.submit(Job { operation, work }, joining, |jobs| {
        let _alone = hold(&handle.writing);
        match handle.gate.check_writable(operation) {
            Ok(()) => land(handle, jobs),
            Err(_) => jobs.iter().map(|job| handle.gate.check_writable(job.operation)).collect(),
        }
    });
    done.unwrap_or_else(|| {
        let source = Cause::new("the thread that landed this panicked");
        handle.gate.poison(source.clone());
        let operation = operation.to_owned();
        Err(StoreError::Backend { backend: BACKEND, operation, outcome: Outcome::Unknown, source })
    })?;
    handle.checkpoint_if_due();
    if deletes {
        wait_out_leases(handle);
    }
    Ok(())
}

/// How many of the waiting jobs join the first one: as much as one entry should have.
fn joining(first: &Job, waiting: &mut dyn Iterator<Item = &Job>) -> usize {
    let (mut bytes, mut items) = (first.work.bytes(), first.work.items());
    let fits = |job: &&Job| {
        bytes += job.work.bytes();
        items += job.work.items();
        bytes <= GROUP_BYTES && items <= GROUP_ITEMS
    };
    waiting.take_while(fits).count()
}

/// Another handle may say that a block is present for as long as its lease lasts. So a deletion returns only when every
/// lease that began before it has ended, also a deletion that another handle made a moment ago.
fn wait_out_leases(handle: &Handle) {
    let Some(deleted_at) = handle.state().deleted_at else { return };
    let wait: Duration = handle.format.lease + handle.format.lease / 10;
    std::thread::sleep(wait.saturating_sub(deleted_at.elapsed()));
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        thread,
    };

    use mnem_store_traits::{Blockstore, driver::Location};
    use object_store::memory::InMemory;

    use super::*;
    use crate::{OpenOptions, engine::objects::Objects, open::open_at};

    #[test]
    fn threads_that_wait_share_an_entry() {
        let store = OpenOptions::new().create(true).open_in(Arc::new(InMemory::new()), "").unwrap();
        thread::scope(|scope| {
            let turn = hold(&store.handle.writing);
            let put = |n: u8| store.put(&value_cid(&[n]), vec![n].into());
            let writers: Vec<_> = (0..20).map(|n| scope.spawn(move || put(n))).collect();
            // The first one leads, and waits for its turn; the others wait for the next entry.
            while store.handle.queue.waiting() < writers.len() - 1 {
                thread::yield_now();
            }
            drop(turn);
            writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
        });
        assert_eq!(store.log_entries().unwrap(), 2);
        (0..20).for_each(|n| assert!(store.has(&value_cid(&[n])).unwrap()));
    }

    /// A medium may show an entry before it is durable. A put of a block in it then makes the entry durable, or fails.
    #[test]
    fn what_no_write_has_confirmed_is_settled() {
        let (service, settled) = (Arc::new(InMemory::new()), Arc::new(AtomicU32::new(0)));
        let objects = Objects::new(service, Default::default(), Location::from("a"), Duration::ZERO);
        let counter = Arc::clone(&settled);
        let objects = objects.settled_by(move || match counter.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Ok(()),
            _ => Err(io::Error::other("planted")),
        });
        let store = open_at(&OpenOptions::new().create(true), objects).unwrap();
        let put = || store.put(&value_cid(b"a"), Bytes::from_static(b"a"));
        put().unwrap();
        assert_eq!(settled.load(Ordering::Relaxed), 1);
        put().unwrap();
        assert_eq!(settled.load(Ordering::Relaxed), 2);
        assert_eq!(put().unwrap_err().outcome(), Outcome::NotApplied);
    }
}
