//! The landing protocol: an entry is written into the next free slot of the log, once.
//!
//! - A slot is written once and stays, so what a read of it shows is final.
//! - The same bytes are sent to the same slot as often as it takes: they cannot land twice. Their random token tells
//!   whether the entry in the slot is this one, whatever the answers said.
//! - A request that arrives late either fills its own slot or meets a full one.
//! - Landing in slot n proves that the state after n - 1 was current. So it confirms, in the same step, all that was
//!   decided by that state: which blocks are present, what is required, which heads there are.

use std::{
    io, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mnem_store_traits::{Bytes, Cause, ErrorKind, Outcome, StoreError};
use object_store::PutPayload;

use super::{
    draft::{Base, Draft, Own},
    entry::{Encoded, Slot},
    format::token,
    look::Seen,
    objects::{Creation, Start},
    pack::{Pack, Packer},
    queue::Job,
    state::Name,
};
use crate::{
    error::{failed, unavailable, unknown},
    handle::Handle,
    limits::{CONTENTION, JITTER_MAX, LOSER_WAITS_MAX, LOST_WINDOW, UPLOADS, WHOLE_BYTES, WRITE_ATTEMPTS_MIN},
    tables::slot,
};

/// The operation in errors of an entry that several callers share.
const SHARED: &str = "commit";

/// What became of an entry.
enum Landed {
    /// It is in the slot, and the service said so. The log ended before the slot when this look began.
    Acknowledged(Seen),
    /// The same, but the answer was lost: a read has shown it.
    Found(Seen),
    /// Another one is in the slot, or was; and how long the write took that lost.
    Other(Box<Met>, Duration),
}

/// What a slot has, and what the slots after it had.
struct Met {
    slot: Slot,
    /// The bytes of the object, if it is short.
    whole: Option<Bytes>,
    /// The beginnings of those that follow, up to the first that is empty or could not be read.
    later: Vec<Start>,
    /// If one is empty: when it was read.
    end: Option<Seen>,
}

/// What a group of calls comes to in a state.
struct Plan {
    /// Of each call: whether it is refused.
    answers: Vec<Result<(), StoreError>>,
    /// `None`: there is nothing to write.
    entry: Option<Encoded>,
}

/// Lands the work of a group. Returns the result of each job.
pub(crate) fn land(handle: &Handle, group: &[Job]) -> Vec<Result<(), StoreError>> {
    let operation = if let [alone] = group { alone.operation } else { SHARED };
    try_land(handle, operation, group).unwrap_or_else(|error| vec![Err(error); group.len()])
}

fn try_land(
    handle: &Handle,
    operation: &'static str,
    group: &[Job],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let mut contest = Contest::begin(operation);
    let begin = contest.begin;
    loop {
        // Asked first: a look of another thread that ends after the plan was made does not confirm it.
        let is_confirmed = handle.has_looked(begin);
        handle.check_alone()?;
        handle.objects.check_place()?;
        let Plan { answers, entry } = plan(handle, operation, group, &mut contest.packer)?;
        #[cfg(test)]
        tests::after_plan();
        let Some(encoded) = entry else {
            // Nothing that is written confirms the state, so a look must.
            if is_confirmed {
                handle.objects.settle().map_err(|error| unavailable("sync the log", error))?;
                return Ok(answers);
            }
            handle.look(begin)?;
            continue;
        };
        if contest.land(handle, &encoded)? {
            keep(handle, &encoded.packs);
            return Ok(answers);
        }
    }
}

/// The attempts of one call to land an entry in the next slot. The entry is encoded again after each lost slot.
pub(super) struct Contest {
    operation: &'static str,
    begin: Instant,
    losses: u32,
    /// The packs that were uploaded for a lost slot serve again.
    pub(super) packer: Packer,
}

impl Contest {
    pub(super) fn begin(operation: &'static str) -> Self {
        Self { operation, begin: Instant::now(), losses: 0, packer: Packer::default() }
    }

    /// Lands the entry and applies it to the state. If another entry has the slot, applies that one instead, waits, and
    /// returns `false`.
    ///
    /// # Errors
    /// Those of [`write()`]; or the log could not be read, or other writers were faster for too long.
    pub(super) fn land(&mut self, handle: &Handle, encoded: &Encoded) -> Result<bool, StoreError> {
        upload(handle, &encoded.packs, &mut self.packer)?;
        let landed = write(handle, encoded)?;
        confirm(handle, &landed, encoded.entry.record.n)?;
        match landed {
            Landed::Acknowledged(seen) | Landed::Found(seen) => {
                handle.apply(&encoded.entry, joined(&encoded.parts, encoded.entry.size))?;
                handle.wrote_before(encoded.entry.record.n + 1);
                handle.note(seen);
                Ok(true)
            }
            Landed::Other(met, took) => {
                self.losses += 1;
                let wait = jitter(took, self.losses)?;
                lose(handle, self.operation, *met, wait, self.begin)?;
                Ok(false)
            }
        }
    }
}

/// After a lost slot: takes in what it has and what follows, waits, and reads on to the end of the log.
///
/// # Errors
/// The log could not be read, or the writer has competed with others since `begin`, for too long.
fn lose(handle: &Handle, operation: &'static str, met: Met, wait: Duration, begin: Instant) -> Result<(), StoreError> {
    let is_at_end = take_in(handle, met)?;
    if begin.elapsed() > CONTENTION {
        let late = "other writers were faster, each time";
        return Err(unavailable(operation, io::Error::new(io::ErrorKind::TimedOut, late)));
    }
    if wait.is_zero() && is_at_end {
        return Ok(());
    }
    thread::sleep(wait);
    handle.look_ahead(Instant::now(), LOST_WINDOW)
}

/// Returns whether the state is now that of the end of the log, as it was a moment ago.
fn take_in(handle: &Handle, met: Met) -> Result<bool, StoreError> {
    // A tombstone is read together with what completes it.
    let Slot::Entry(entry) = &met.slot else { return Ok(false) };
    handle.apply(entry, met.whole)?;
    let is_whole = handle.take_in_all(entry.record.n.saturating_add(1), met.later)?;
    let Some(seen) = met.end.filter(|_| is_whole) else { return Ok(false) };
    handle.objects.check_place()?;
    handle.note(seen);
    Ok(true)
}

/// Fails, with an outcome that is unknown, if an entry that landed may not stay, or not in this store.
fn confirm(handle: &Handle, landed: &Landed, n: u64) -> Result<(), StoreError> {
    let unknown = |error| give_up(handle, &slot(n), error);
    match landed {
        Landed::Acknowledged(_) => {}
        Landed::Found(_) => handle.objects.settle().map_err(|error| unknown(Cause::new(error)))?,
        Landed::Other(..) => return Ok(()),
    }
    handle.objects.check_place().map_err(|error| unknown(Cause::new(error)))
}

fn plan(handle: &Handle, operation: &'static str, group: &[Job], packer: &mut Packer) -> Result<Plan, StoreError> {
    let mut draft = Draft::default();
    let (answers, base) = {
        let state = handle.state();
        let answers = group.iter().map(|job| draft.take(&state, &job.work)).collect();
        if draft.is_empty(&state) {
            return Ok(Plan { answers, entry: None });
        }
        (answers, Base::of(&state))
    };
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |at| at.as_millis() as u64);
    let own = Own { store: handle.format.store, token: token()?, at };
    // Hashes all new bytes, so not under the lock of the state.
    let encoded = draft.encode(base, own, packer);
    let encoded = encoded.map_err(|reason| StoreError::InvalidArgument { operation, reason })?;
    Ok(Plan { answers, entry: Some(encoded) })
}

/// Uploads the packs that are not there yet. Nothing names them until their entry lands.
fn upload(handle: &Handle, packs: &[Pack], packer: &mut Packer) -> Result<(), StoreError> {
    let is_new = |pack: &&Pack| !packer.uploaded.contains(&pack.digest);
    let new: Vec<&Pack> = packs.iter().filter(is_new).collect();
    for packs in new.chunks(UPLOADS) {
        let objects = packs.iter().map(|pack| (Name::Pack(pack.digest).path(), pack.parts().into_iter().collect()));
        handle.objects.put_all(objects.collect(), handle.give_up)?;
        packer.uploaded.extend(packs.iter().map(|pack| pack.digest));
    }
    if !new.is_empty() {
        // Another handle may just have made their folder, and not have synced that yet.
        handle.objects.settle().map_err(|error| unavailable("sync the packs", error))?;
    }
    Ok(())
}

/// Keeps short packs in memory.
fn keep(handle: &Handle, packs: &[Pack]) {
    for pack in packs {
        let bytes = pack.pieces.iter().map(|(_, data)| data.len() as u64).sum::<u64>();
        if bytes > WHOLE_BYTES {
            continue;
        }
        let parts = pack.parts();
        if let Some(bytes) = joined(&parts, parts.iter().map(|part| part.len() as u64).sum()) {
            handle.cache.insert((Name::Pack(pack.digest), 0), bytes);
        }
    }
}

/// Writes an entry into its slot, or finds another one there.
///
/// Once the first byte of a request may have gone out, an error says nothing about it: only the slot does. The one
/// exception is the answer of the service itself to the first request that it refuses it.
///
/// # Errors
/// - The service refuses, or the slot has something that is no entry: nothing was written.
/// - The outcome is unknown, and the handle is poisoned.
fn write(handle: &Handle, encoded: &Encoded) -> Result<Landed, StoreError> {
    let own = &encoded.entry.record;
    let name = slot(own.n);
    let payload: PutPayload = encoded.parts.iter().cloned().collect();
    let seen = Seen::now();
    let (mut attempts, mut failing, mut may_arrive) = (0, None, false);
    loop {
        let sent = Instant::now();
        let creation = handle.objects.create(&name, payload.clone());
        let took = sent.elapsed();
        let is_refusal = attempts == 0 && matches!(creation, Creation::Failed(_));
        let exists = matches!(creation, Creation::Exists(_));
        let error = match creation {
            Creation::Made => return Ok(Landed::Acknowledged(seen)),
            Creation::Refused(error) if attempts == 0 => {
                return Err(failed(&handle.objects, "write", &name, Outcome::NotApplied, error));
            }
            Creation::Exists(error) | Creation::Failed(error) => error,
            // An earlier attempt may still arrive.
            Creation::Refused(error) | Creation::Unsure(error) => {
                may_arrive = true;
                error
            }
        };
        attempts += 1;
        match slot_of(handle, own.n, if exists { LOST_WINDOW } else { 1 }) {
            // It landed after `seen`, and until then the log ended before it.
            Ok(Some(met)) if met.slot.token() == own.token.as_slice() => return Ok(Landed::Found(seen)),
            Ok(Some(met)) => return Ok(Landed::Other(Box::new(met), took)),
            Ok(None) if is_refusal => {
                return Err(failed(&handle.objects, "write", &name, Outcome::NotApplied, error));
            }
            // The slot may hold a tombstone of this very entry, in a later version of the format.
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::UnsupportedFormat) && may_arrive => {
                return Err(give_up(handle, &name, Cause::new(error)));
            }
            Err(error) if error.kind() != ErrorKind::Backend => {
                handle.gate.poison(Cause::new(error.clone()));
                return Err(error);
            }
            Ok(None) | Err(_) => {}
        }
        let since = *failing.get_or_insert_with(Instant::now);
        if attempts >= WRITE_ATTEMPTS_MIN && since.elapsed() >= handle.give_up {
            return Err(give_up(handle, &name, Cause::new(error)));
        }
        thread::sleep(handle.objects.pause_after(attempts));
    }
}

/// What a slot has, read together with those after it, `window` in all: a loser needs them next. What cannot be decoded
/// is read again before it is believed.
fn slot_of(handle: &Handle, n: u64, window: u64) -> Result<Option<Met>, StoreError> {
    match read_from(handle, n, window) {
        Err(error) if error.kind() == ErrorKind::Damaged => {
            thread::sleep(handle.objects.pause_after(1));
            read_from(handle, n, window)
        }
        found => found,
    }
}

fn read_from(handle: &Handle, n: u64, window: u64) -> Result<Option<Met>, StoreError> {
    let seen = Seen::now();
    let names: Vec<String> = (n..n.saturating_add(window)).map(slot).collect();
    let mut starts = handle.objects.starts(&names)?.into_iter();
    let Some(start) = starts.next().transpose()?.flatten() else { return Ok(None) };
    let (slot, whole) = handle.read_slot(n, start)?;
    let mut met = Met { slot, whole, later: Vec::new(), end: None };
    for start in starts {
        match start {
            Ok(Some(start)) => met.later.push(start),
            Ok(None) => {
                met.end = Some(seen);
                break;
            }
            // If it is needed, it is read again.
            Err(_) => break,
        }
    }
    Ok(Some(met))
}

fn give_up(handle: &Handle, name: &str, error: Cause) -> StoreError {
    let error = unknown(&handle.objects, "write", name, error);
    handle.gate.poison(Cause::new(error.clone()));
    error
}

/// The bytes of a short object.
fn joined(parts: &[Bytes], bytes: u64) -> Option<Bytes> {
    (bytes <= WHOLE_BYTES).then(|| Bytes::from(parts.concat()))
}

/// A random wait after a lost slot, so that the losers do not meet again.
fn jitter(write: Duration, losses: u32) -> Result<Duration, StoreError> {
    let [low, high, ..] = token()?;
    let share = f64::from(u16::from_le_bytes([low, high])) / f64::from(u16::MAX);
    Ok(write.saturating_mul(losses.min(JITTER_MAX)).min(LOSER_WAITS_MAX).mul_f64(share))
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, sync::Arc};

    use mnem_store_traits::{Blockstore, Bytes};
    use object_store::memory::InMemory;

    use super::*;
    use crate::{OpenOptions, engine::queue::value_cid};

    type Event = Box<dyn FnOnce()>;

    thread_local! {
        /// What happens once between a plan and its use.
        static AFTER_PLAN: RefCell<Option<Event>> = const { RefCell::new(None) };
    }

    pub(super) fn after_plan() {
        if let Some(event) = AFTER_PLAN.take() {
            event();
        }
    }

    /// The plan is that a block is there and need not be put. It was deleted before, and a look of another thread, which
    /// begins after the call and ends before the plan is used, shows that. It confirms a new plan, not this one.
    #[test]
    fn a_look_that_ends_after_a_plan_was_made_does_not_confirm_it() {
        let service = Arc::new(InMemory::new());
        let options = OpenOptions::new().create(true).lease(Duration::from_millis(1));
        let [putter, deleter] = [(); 2].map(|()| options.open_in(service.clone(), "").unwrap());
        let (cid, data) = (value_cid(b"a"), Bytes::from_static(b"a"));
        putter.put(&cid, data.clone()).unwrap();
        deleter.delete(&cid).unwrap();
        let handle = Arc::clone(&putter.handle);
        AFTER_PLAN.set(Some(Box::new(move || handle.look(Instant::now()).unwrap())));
        putter.put(&cid, data).unwrap();
        assert!(AFTER_PLAN.take().is_none());
        assert!(deleter.has(&cid).unwrap());
    }

    /// The slot that the plan was for gets an entry and then a tombstone.
    #[test]
    fn a_slot_with_a_tombstone_is_lost_and_never_taken() {
        let service = Arc::new(InMemory::new());
        let options = OpenOptions::new().create(true).lease(Duration::from_millis(1)).grace(Duration::ZERO);
        let [late, other] = [(); 2].map(|()| options.open_in(service.clone(), "").unwrap());
        let put = |store: &crate::BucketStore, data: &'static [u8]| {
            store.put(&value_cid(data), Bytes::from_static(data)).unwrap();
        };
        let compacts = options.open_in(service.clone(), "").unwrap();
        AFTER_PLAN.set(Some(Box::new(move || {
            (0..3_usize).for_each(|n| put(&compacts, [&[0; 500], &[1; 500], &[2; 500]][n]));
            compacts.compact().unwrap();
        })));
        put(&late, b"late");
        assert!(AFTER_PLAN.take().is_none());
        assert_eq!(other.log_entries().unwrap(), 5);
        for data in [b"late".as_slice(), &[0; 500], &[1; 500], &[2; 500]] {
            assert_eq!(other.get(&value_cid(data)).unwrap().as_deref(), Some(data));
            assert_eq!(late.get(&value_cid(data)).unwrap().as_deref(), Some(data));
        }
    }

    /// The answer was lost, and the writer slept until its entry had been compacted.
    #[test]
    fn an_entry_that_has_become_a_tombstone_has_landed() {
        let service = Arc::new(InMemory::new());
        let options = OpenOptions::new().create(true).lease(Duration::from_millis(1)).grace(Duration::ZERO);
        let [late, other] = [(); 2].map(|()| options.open_in(service.clone(), "").unwrap());
        let data = Bytes::from(vec![7; 500]);
        let mut draft = Draft::default();
        let work = crate::engine::queue::Work { puts: vec![(value_cid(&data), data.clone())], ..Default::default() };
        draft.take(&late.handle.state(), &work).unwrap();
        let own = Own { store: late.handle.format.store, token: token().unwrap(), at: 0 };
        let base = Base::of(&late.handle.state());
        let encoded = draft.encode(base, own, &mut Packer::default()).unwrap();
        let payload: PutPayload = encoded.parts.iter().cloned().collect();
        assert!(matches!(late.handle.objects.create(&slot(0), payload), Creation::Made));
        other.put(&value_cid(b"b"), Bytes::from_static(b"b")).unwrap();
        other.compact().unwrap();
        let start = late.handle.objects.start(&slot(0)).unwrap().unwrap();
        assert!(matches!(late.handle.read_slot(0, start).unwrap().0, Slot::Tombstone(_)));
        assert!(matches!(write(&late.handle, &encoded).unwrap(), Landed::Found(_)));
        late.handle.apply(&encoded.entry, None).unwrap();
        assert_eq!(late.get(&value_cid(&data)).unwrap(), Some(data));
    }

    /// The folder is moved after the place was checked: the entry lands in a new folder.
    #[test]
    fn an_entry_that_landed_in_another_folder_is_not_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("store"), folder.path().join("moved"));
        let store = OpenOptions::new().create(true).open(&path).unwrap();
        AFTER_PLAN.set(Some(Box::new(move || std::fs::rename(path, moved).unwrap())));
        let put = || store.put(&value_cid(b"a"), Bytes::from_static(b"a")).unwrap_err();
        assert_eq!(put().outcome(), Outcome::Unknown);
        assert_eq!(put().kind(), ErrorKind::Poisoned);
    }

    #[test]
    fn the_wait_of_a_loser_is_bounded() {
        for losses in [1, 100] {
            assert!(jitter(Duration::from_secs(3600), losses).unwrap() <= LOSER_WAITS_MAX);
            assert!(jitter(Duration::MAX, losses).unwrap() <= LOSER_WAITS_MAX);
            assert!(jitter(Duration::from_millis(1), losses).unwrap() <= Duration::from_millis(8));
        }
    }
}
