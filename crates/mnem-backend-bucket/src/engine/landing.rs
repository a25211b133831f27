//! The landing protocol: an entry is written into the next free slot of the log, once.
//!
//! - A slot is written once and stays, so what a read of it shows is final.
//! - The same bytes are sent to the same slot as often as it takes: they cannot land twice. Their random token tells
//!   whether the entry in the slot is this one, whatever the answers said.
//! - A request that arrives late either fills its own slot or meets a full one.
//! - Landing in slot n proves that the state after n - 1 was current. So it confirms, in the same step, all that was
//!   decided by that state: which blocks are present, what is required, which heads there are.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mnem_store_traits::{Bytes, Cause, ErrorKind, Outcome, StoreError};
use object_store::PutPayload;

use super::{
    draft::Draft,
    entry::{Encoded, Entry},
    format::token,
    look::Seen,
    objects::Creation,
    queue::Job,
};
use crate::{
    error::{failed, unavailable, unknown},
    handle::Handle,
    limits::{CONTENTION, JITTER_MAX, WHOLE_BYTES, WRITE_ATTEMPTS_MIN},
    tables::slot,
};

/// What became of an entry.
enum Landed {
    /// It is in the slot, and the service said so. The log ended before the slot when this look began.
    Acknowledged(Seen),
    /// The same, but the answer was lost: a read has shown it.
    Found(Seen),
    /// Another one is in the slot; with its bytes, if it is short.
    Other(Box<Entry>, Option<Bytes>),
}

/// What a group of calls comes to in a state.
struct Plan {
    /// Of each call: whether it is refused.
    answers: Vec<Result<(), StoreError>>,
    /// `None`: there is nothing to write.
    entry: Option<Encoded>,
}

/// Lands the work of a group, and ends each of its jobs.
pub(crate) fn land(handle: &Handle, operation: &'static str, group: &[Arc<Job>]) {
    match try_land(handle, operation, group) {
        Ok(answers) => group.iter().zip(answers).for_each(|(job, answer)| job.end(answer)),
        Err(error) => group.iter().for_each(|job| job.end(Err(error.clone()))),
    }
}

fn try_land(
    handle: &Handle,
    operation: &'static str,
    group: &[Arc<Job>],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let begin = Instant::now();
    let mut losses = 0;
    loop {
        // Asked first: a look of another thread that ends after the plan was made does not confirm it.
        let is_confirmed = handle.has_looked(begin);
        handle.check_alone()?;
        let Plan { answers, entry } = plan(handle, operation, group)?;
        let Some(encoded) = entry else {
            // Nothing that is written confirms the state, so a look must.
            if is_confirmed {
                handle.objects.settle().map_err(|error| unavailable("sync the log", error))?;
                return Ok(answers);
            }
            handle.look(begin)?;
            continue;
        };
        let sent = Instant::now();
        let landed = write(handle, &encoded)?;
        if let Landed::Found(_) = landed {
            handle
                .objects
                .settle()
                .map_err(|error| give_up(handle, &slot(encoded.entry.record.n), Cause::new(error)))?;
        }
        match landed {
            Landed::Acknowledged(seen) | Landed::Found(seen) => {
                handle.apply(&encoded.entry, joined(&encoded))?;
                handle.wrote_before(encoded.entry.record.n + 1);
                handle.note(seen);
                return Ok(answers);
            }
            Landed::Other(entry, whole) => {
                losses += 1;
                handle.apply(&entry, whole)?;
                if begin.elapsed() > CONTENTION {
                    let late = "other writers were faster, each time";
                    return Err(unavailable(operation, io::Error::new(io::ErrorKind::TimedOut, late)));
                }
                thread::sleep(jitter(sent.elapsed(), losses)?);
                handle.look(Instant::now())?;
            }
        }
    }
}

fn plan(handle: &Handle, operation: &'static str, group: &[Arc<Job>]) -> Result<Plan, StoreError> {
    let state = handle.state();
    let mut draft = Draft::default();
    let answers = group.iter().map(|job| draft.take(&state, &job.work)).collect();
    if draft.is_empty(&state) {
        return Ok(Plan { answers, entry: None });
    }
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |at| at.as_millis() as u64);
    let encoded = draft.encode(&state, handle.format.store, token()?, at);
    let encoded = encoded.map_err(|reason| StoreError::InvalidArgument { operation, reason })?;
    Ok(Plan { answers, entry: Some(encoded) })
}

/// Writes an entry into its slot, or finds another one there.
///
/// # Errors
/// - The service refuses, or the slot has something that is no entry: nothing was written.
/// - The outcome is unknown, and the handle is poisoned.
fn write(handle: &Handle, encoded: &Encoded) -> Result<Landed, StoreError> {
    let own = &encoded.entry.record;
    let name = slot(own.n);
    let payload: PutPayload = encoded.parts.iter().cloned().collect();
    let seen = Seen::now();
    let (mut attempts, mut failing) = (0, None);
    loop {
        let error = match handle.objects.create(&name, payload.clone())? {
            Creation::Made => return Ok(Landed::Acknowledged(seen)),
            // An earlier attempt may still arrive.
            Creation::Refused(error) if attempts == 0 => {
                return Err(failed(&handle.objects, "write", &name, Outcome::NotApplied, error));
            }
            Creation::Exists(error) | Creation::Refused(error) | Creation::Unsure(error) => error,
        };
        attempts += 1;
        // What the slot holds is the answer, whatever the error was.
        match handle
            .objects
            .start(&name)
            .and_then(|start| start.map(|start| handle.read_entry(own.n, start)).transpose())
        {
            // It landed after `seen`, and until then the log ended before it.
            Ok(Some((entry, _))) if entry.record.token == own.token => return Ok(Landed::Found(seen)),
            Ok(Some((entry, whole))) => return Ok(Landed::Other(Box::new(entry), whole)),
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

fn give_up(handle: &Handle, name: &str, error: Cause) -> StoreError {
    let error = unknown(&handle.objects, "write", name, error);
    handle.gate.poison(Cause::new(error.clone()));
    error
}

/// The bytes of a short entry.
fn joined(encoded: &Encoded) -> Option<Bytes> {
    (encoded.entry.size <= WHOLE_BYTES).then(|| Bytes::from(encoded.parts.concat()))
}

/// A random wait after a lost slot, so that the losers do not meet again.
fn jitter(write: Duration, losses: u32) -> Result<Duration, StoreError> {
    let [low, high, ..] = token()?;
    let share = f64::from(u16::from_le_bytes([low, high])) / f64::from(u16::MAX);
    Ok((write * losses.min(JITTER_MAX)).mul_f64(share))
}
