//! Freeing what a compaction has left unused: entries become tombstones, packs and checkpoints are deleted.
//!
//! A tombstone stands for an entry of which nothing is left where it stood, so it may be written at any time, and twice.
//! The time of the service decides only how long a pack or checkpoint is kept for readers that have not looked since.
//! One that finds an object gone looks again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mnem_store_traits::{Cid, StoreError};

use super::{
    checkpoints::Links,
    compaction::{OPERATION, digest, live},
    entry::Slot,
    objects::Stored,
    pack::Digest,
    state::State,
    tombstone::Tombstone,
};
use crate::{
    create::PROBED,
    error::{damaged, unavailable},
    handle::Handle,
    limits::{ORPHAN_AGE, READ_ATTEMPTS, WINDOW},
    tables::{CHECKPOINTS, LOG, PACKS, PROBE, checkpoint, digest_of, number_of, numbers_of, pack, slot},
};

/// The entries and packs of a store, as the service lists them.
pub(crate) struct Sizes {
    log: BTreeMap<u64, Stored>,
    packs: BTreeMap<Digest, Stored>,
    /// The time of the service, in milliseconds since 1970.
    now: i64,
}

impl Sizes {
    pub(crate) fn list(handle: &Handle) -> Result<Self, StoreError> {
        let now = now(handle)?;
        let log = handle.objects.list_stored(LOG)?.into_iter();
        Ok(Self {
            log: log.filter_map(|stored| Some((number_of(&stored.name)?, stored))).collect(),
            packs: packs(handle)?,
            now,
        })
    }

    /// Bytes of all of them, and of the object `mnem`.
    pub(crate) fn bytes(&self, handle: &Handle) -> u64 {
        let objects = self.log.values().chain(self.packs.values());
        objects.map(|stored| stored.bytes).sum::<u64>() + handle.format.encode().len() as u64
    }

    /// Packs that no entry names, too old to belong to an unfinished commit.
    pub(crate) fn orphans(&self, state: &State) -> BTreeSet<Digest> {
        let named: BTreeSet<Digest> = state.objects.iter().filter_map(digest).collect();
        let is_old = |stored: &Stored| is_older(stored, ORPHAN_AGE.as_millis(), self.now);
        let orphans = self.packs.iter().filter(|(digest, stored)| {
            !named.contains(*digest) && !state.dropped.contains_key(*digest) && is_old(stored)
        });
        orphans.map(|(digest, _)| *digest).collect()
    }
}

/// The packs that the service lists.
pub(crate) fn packs(handle: &Handle) -> Result<BTreeMap<Digest, Stored>, StoreError> {
    let packs = handle.objects.list_stored(PACKS)?.into_iter();
    Ok(packs.filter_map(|stored| Some((digest_of(&stored.name)?, stored))).collect())
}

fn is_older(stored: &Stored, milliseconds: u128, now: i64) -> bool {
    u128::try_from(i128::from(now) - i128::from(stored.modified)).is_ok_and(|age| age >= milliseconds)
}

/// The time of the service, from the date of an object that is written only for this.
fn now(handle: &Handle) -> Result<i64, StoreError> {
    handle.objects.put_all(vec![(PROBE.to_owned(), PROBED.into())], handle.give_up)?;
    handle.objects.modified(PROBE)
}

/// What was freed.
pub(crate) struct Swept {
    pub(crate) changed: bool,
    /// Bytes of entries and packs afterwards, with the object `mnem`.
    pub(crate) bytes: u64,
    /// Of them, bytes of packs that were dropped and are kept for readers.
    pub(crate) pending: u64,
}

/// The part of a log that this handle knows: the only part that it may free anything of.
struct Known {
    /// The slot after it. Entries from here on may have landed meanwhile.
    next: u64,
    /// The record of its last entry.
    last: Option<Cid>,
    /// The entries in which a block or a value stands, or whose packs have one.
    used: BTreeSet<u64>,
    /// The packs that were dropped, each with the number of the entry.
    dropped: Arc<BTreeMap<Digest, u64>>,
    bytes: u64,
}

impl Known {
    fn of(state: &State) -> Self {
        let objects = state.objects.iter().zip(live(state)).filter(|(_, live)| live.pieces > 0);
        let used = objects.map(|(object, _)| object.entry).collect();
        Self { next: state.next, last: state.last, used, dropped: state.dropped.clone(), bytes: state.bytes }
    }

    /// Fails if the log in this place is not the one that the handle knows, as after an older copy was put there.
    fn check_log(&self, handle: &Handle) -> Result<(), StoreError> {
        let Some(n) = self.next.checked_sub(1) else { return Ok(()) };
        let found = handle.objects.start(&slot(n))?.map(|start| handle.read_slot(n, start)).transpose()?;
        match found {
            Some((found, _)) if self.last == Some(found.cid()) => Ok(()),
            _ => Err(damaged(&handle.objects, &slot(n), "another log has taken the place of this one")),
        }
    }
}

/// Before each step that destroys something: the handle may have been closed, or the folder moved, meanwhile.
fn may_go_on(handle: &Handle) -> Result<(), StoreError> {
    handle.gate.check_writable(OPERATION)?;
    handle.objects.check_place()
}

/// Frees what is unused, and writes a checkpoint if that, or what was done before, has `changed` anything.
///
/// # Errors
/// The service failed, an entry is damaged, or the handle was closed.
pub(crate) fn sweep(handle: &Handle, changed: bool) -> Result<Swept, StoreError> {
    let known = Known::of(&handle.state());
    // What another handle has moved must be durable before it is freed where it stood.
    handle.objects.settle().map_err(|error| unavailable("sync the log", error))?;
    let mut sizes = Sizes::list(handle)?;
    known.check_log(handle)?;
    let unused: Vec<u64> = sizes.log.keys().copied().filter(|n| *n < known.next && !known.used.contains(n)).collect();
    let mut freed = false;
    for numbers in unused.chunks(WINDOW as usize) {
        freed |= bury(handle, numbers, known.next - 1, &mut sizes)?;
    }
    freed |= delete_packs(handle, &known.dropped, &mut sizes)?;
    let bytes = sizes.bytes(handle);
    {
        let mut state = handle.state_mut();
        let since = state.bytes.saturating_sub(known.bytes);
        let format_bytes = handle.format.encode().len() as u64;
        state.bytes = bytes.saturating_sub(format_bytes).saturating_add(since);
    }
    if freed || changed {
        handle.write_whole_checkpoint()?;
    }
    freed |= delete_checkpoints(handle, sizes.now)?;
    let dropped = handle.state().dropped.clone();
    let pending = sizes.packs.iter().filter(|(digest, _)| dropped.contains_key(*digest));
    let pending = pending.map(|(_, stored)| stored.bytes).sum();
    Ok(Swept { changed: freed, bytes, pending })
}

/// Replaces unused entries by tombstones, where these are shorter. So a reader of the entry sees that it has changed.
fn bury(handle: &Handle, numbers: &[u64], last: u64, sizes: &mut Sizes) -> Result<bool, StoreError> {
    let names: Vec<String> = numbers.iter().copied().map(slot).collect();
    let (mut tombstones, mut lengths) = (Vec::new(), Vec::new());
    for (n, start) in numbers.iter().copied().zip(handle.objects.starts(&names)?) {
        let Some(start) = start? else { continue };
        let Slot::Entry(entry) = handle.read_slot(n, start)?.0 else { continue };
        let tombstone = Tombstone::of(&entry, last).encode();
        let tombstone = tombstone.map_err(|why| damaged(&handle.objects, &slot(n), why))?;
        let bytes = tombstone.len() as u64;
        if bytes < entry.size {
            tombstones.push((slot(n), tombstone.into()));
            lengths.push((n, bytes));
        }
    }
    let any = !tombstones.is_empty();
    may_go_on(handle)?;
    handle.objects.put_all(tombstones, handle.give_up)?;
    for (n, bytes) in lengths {
        if let Some(stored) = sizes.log.get_mut(&n) {
            stored.bytes = bytes;
        }
    }
    Ok(any)
}

/// Deletes the packs that were dropped longer ago than the grace period.
fn delete_packs(handle: &Handle, dropped: &BTreeMap<Digest, u64>, sizes: &mut Sizes) -> Result<bool, StoreError> {
    let is_over = |digest: &Digest| {
        let entry = dropped.get(digest).and_then(|entry| sizes.log.get(entry));
        entry.is_some_and(|entry| is_past_grace(handle, entry, sizes.now))
    };
    let over: Vec<Digest> = sizes.packs.keys().filter(|digest| is_over(digest)).copied().collect();
    for digests in over.chunks(WINDOW as usize) {
        may_go_on(handle)?;
        handle.objects.delete_all(&digests.iter().map(|digest| pack(digest)).collect::<Vec<_>>())?;
        for digest in digests {
            sizes.packs.remove(digest);
        }
    }
    Ok(!over.is_empty())
}

fn is_past_grace(handle: &Handle, stored: &Stored, now: i64) -> bool {
    // The time of an object that was just written may have been rounded down.
    handle.grace.is_zero() || is_older(stored, handle.grace.as_millis(), now)
}

/// Deletes the checkpoints that lead nowhere further than others, if they are older than the grace period.
fn delete_checkpoints(handle: &Handle, now: i64) -> Result<bool, StoreError> {
    let stored = handle.objects.list_stored(CHECKPOINTS)?;
    let chain = Links::list(&handle.objects, READ_ATTEMPTS)?.names(u64::MAX);
    let Some((end, _)) = chain.last().copied() else { return Ok(false) };
    let numbers = stored.iter().filter(|stored| is_past_grace(handle, stored, now));
    let numbers = numbers.filter_map(|stored| numbers_of(&stored.name));
    let unused = numbers.filter(|numbers| numbers.0 <= end && !chain.contains(numbers));
    let names: Vec<String> = unused.map(|(to, from)| checkpoint(to, from)).collect();
    for names in names.chunks(WINDOW as usize) {
        may_go_on(handle)?;
        handle.objects.delete_all(names)?;
    }
    Ok(!names.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use mnem_store_traits::{Blockstore, Bytes, ErrorKind, Store};
    use object_store::memory::InMemory;

    use super::*;
    use crate::{BucketStore, OpenOptions, engine::queue::value_cid};

    fn open(service: &Arc<InMemory>) -> BucketStore {
        let options = OpenOptions::new().create(true).grace(Duration::ZERO);
        options.lease(Duration::from_millis(1)).open_in(service.clone(), "").unwrap()
    }

    fn put(store: &BucketStore, data: &'static [u8]) -> Cid {
        let cid = value_cid(data);
        store.put(&cid, Bytes::from_static(data)).unwrap();
        cid
    }

    /// The handle that sweeps does not know yet what it lists: also in a log that was empty when it looked.
    #[test]
    fn what_landed_since_the_last_look_is_left_alone() {
        for before in 0..3 {
            let service = Arc::new(InMemory::new());
            let [sweeper, writer] = [(); 2].map(|()| open(&service));
            let data: [&[u8]; 3] = [b"one", b"two", b"three"];
            let known: Vec<Cid> = data.into_iter().take(before).map(|data| put(&writer, data)).collect();
            sweeper.handle.look(Instant::now()).unwrap();
            let cid = put(&writer, &[7; 4_000]);
            sweep(&sweeper.handle, false).unwrap();
            let store = open(&service);
            for cid in known.iter().chain([&cid]) {
                assert!(store.get(cid).unwrap().is_some(), "{cid}, after {before} entries");
            }
        }
    }

    #[test]
    fn nothing_is_freed_of_another_log() {
        let service = Arc::new(InMemory::new());
        let store = open(&service);
        let cid = put(&store, &[7; 4_000]);
        store.delete(&cid).unwrap();
        let bytes = || Sizes::list(&store.handle).unwrap().bytes(&store.handle);
        let (before, last) = (bytes(), store.handle.state().last);
        store.handle.state_mut().last = Some(value_cid(b"another"));
        assert_eq!(sweep(&store.handle, false).map(drop).unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(bytes(), before);
        store.handle.state_mut().last = last;
        assert!(sweep(&store.handle, false).unwrap().bytes < before);
    }

    #[test]
    fn a_closed_handle_frees_nothing() {
        let service = Arc::new(InMemory::new());
        let store = open(&service);
        let cid = put(&store, &[7; 4_000]);
        store.delete(&cid).unwrap();
        store.close().unwrap();
        assert_eq!(sweep(&store.handle, false).map(drop).unwrap_err().kind(), ErrorKind::Closed);
    }
}
