//! Which checkpoints there are, reading them when a store is opened, and writing the next one.
//!
//! A checkpoint continues another one, or begins at entry 0. They save requests, and nothing depends on them: one that is
//! missing or wrong is passed over.

use std::{collections::BTreeMap, sync::TryLockError, thread};

use mnem_store_traits::{Outcome, StoreError};
use object_store::PutPayload;

use super::{
    checkpoint::Checkpoint,
    objects::{Creation, Objects, Part},
    state::State,
};
use crate::{
    error::{damaged, failed, unavailable},
    handle::{Handle, hold},
    limits::{CHECKPOINT_BYTES_MAX, CHECKPOINT_UNSUMMED, CHECKPOINTS_TRIED, READ_ATTEMPTS, WINDOW, WRITE_ATTEMPTS_MIN},
    tables::{CHECKPOINTS, checkpoint, numbers_of, slot},
};

/// A checkpoint that was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    from: u64,
    to: u64,
    bytes: u64,
}

/// The checkpoints that were listed, by where they end and begin.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<(u64, u64), u64>);

impl Links {
    pub(super) fn list(objects: &Objects, attempts: u32) -> Result<Self, StoreError> {
        let listed = objects.list(CHECKPOINTS, attempts)?.objects.into_iter();
        let links = listed.filter_map(|(name, bytes)| Some((numbers_of(&name)?, bytes)));
        Ok(Self(links.filter(|((to, from), bytes)| from < to && (1..=CHECKPOINT_BYTES_MAX).contains(bytes)).collect()))
    }

    /// The checkpoints that lead from entry 0 to the latest state that any lead to, of those up to entry `max`.
    fn chain(&self, max: u64) -> Vec<Link> {
        let mut ways: BTreeMap<u64, Link> = BTreeMap::new();
        for ((to, from), bytes) in self.0.iter().filter(|((to, _), _)| *to <= max) {
            // The first way is the one with the earliest beginning, and so with the fewest checkpoints.
            if (*from == 0 || ways.contains_key(from)) && !ways.contains_key(to) {
                ways.insert(*to, Link { from: *from, to: *to, bytes: *bytes });
            }
        }
        let mut chain = Vec::new();
        let mut link = ways.last_key_value().map(|(_, link)| *link);
        while let Some(this) = link {
            chain.push(this);
            link = ways.get(&this.from).copied();
        }
        chain.reverse();
        chain
    }

    /// The numbers `to` and `from` of the checkpoints of that chain.
    pub(super) fn names(&self, max: u64) -> Vec<(u64, u64)> {
        self.chain(max).iter().map(|link| (link.to, link.from)).collect()
    }

    fn remove(&mut self, link: &Link) {
        self.0.remove(&(link.to, link.from));
    }
}

impl Handle {
    /// Begins with the state of the latest checkpoints that are sound and belong to the log.
    ///
    /// # Errors
    /// - [`StoreError::Backend`]: the service failed.
    /// - [`StoreError::Damaged`]: a checkpoint was made of entries that are not there any more.
    pub(crate) fn load_checkpoints(&self) -> Result<(), StoreError> {
        let mut links = Links::list(&self.objects, READ_ATTEMPTS)?;
        for _ in 0..CHECKPOINTS_TRIED {
            let chain = links.chain(u64::MAX);
            let Some(end) = chain.last() else { return Ok(()) };
            let (state, wrong) = self.load(&chain)?;
            match (state, wrong) {
                (Some(state), _) if self.is_of_the_log(&state)? => {
                    *self.state_mut() = state;
                    return Ok(());
                }
                (_, Some(wrong)) => links.remove(&wrong),
                // All of them are sound, and made of another log.
                (..) => links.remove(end),
            }
        }
        Ok(())
    }

    /// The state that a chain leads to, or the first of its checkpoints that is of no use.
    fn load(&self, chain: &[Link]) -> Result<(Option<State>, Option<Link>), StoreError> {
        let wanted: Vec<_> =
            chain.iter().map(|link| (checkpoint(link.to, link.from), 0..link.bytes, link.bytes)).collect();
        let mut state = State::default();
        for (links, wanted) in chain.chunks(WINDOW as usize).zip(wanted.chunks(WINDOW as usize)) {
            for (link, part) in links.iter().zip(self.objects.ranges(wanted)?) {
                let Part::Found(bytes) = part? else { return Ok((None, Some(*link))) };
                let read = Checkpoint::decode(&bytes, self.format.store);
                let read = read.filter(|read| (read.from, read.to) == (link.from, link.to));
                if read.and_then(|read| read.add_to(&mut state)).is_none() {
                    return Ok((None, Some(*link)));
                }
            }
        }
        Ok((Some(state), None))
    }

    /// Whether the last entry that a state comes from is the one in the log.
    fn is_of_the_log(&self, state: &State) -> Result<bool, StoreError> {
        let Some(n) = state.next.checked_sub(1) else { return Ok(false) };
        match self.objects.start(&slot(n))? {
            Some(start) => Ok(Some(self.read_slot(n, start)?.0.cid()) == state.last),
            None => {
                let why = format!("it is missing, but a checkpoint covers the entries up to number {n}");
                Err(damaged(&self.objects, &slot(n), why))
            }
        }
    }

    /// Writes a checkpoint if it is time for one. A failure is none of the caller's concern: the next one may succeed.
    pub(crate) fn checkpoint_if_due(&self) {
        let is_due = {
            let state = self.state();
            state.next.saturating_sub(state.checkpoint) >= self.checkpoint_entries
                || state.unsummed >= CHECKPOINT_UNSUMMED
        };
        if !is_due {
            return;
        }
        // Nobody waits for the thread that does this.
        let _turn = match self.checkpointing.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let end = self.write_checkpoint().unwrap_or_else(|| self.state().next);
        let mut state = self.state_mut();
        if state.checkpoint < end {
            (state.checkpoint, state.unsummed) = (end, 0);
        }
    }

    /// Returns which entries have a checkpoint now; `None` after a failure.
    fn write_checkpoint(&self) -> Option<u64> {
        let next = self.state().next;
        // The caller's commit has landed, and waits for this: once must do.
        let links = Links::list(&self.objects, 1).ok()?;
        let mut chain = links.chain(next);
        let end = chain.last().map_or(0, |link| link.to);
        if end > self.state().checkpoint && next.saturating_sub(end) < self.checkpoint_entries {
            // Another handle was faster.
            return Some(end);
        }
        let mut from = end;
        let (mut made, mut encoded) = self.sum_up(from)?;
        // Each checkpoint is at least twice as long as the next, so there are few, and each block is written a few times.
        let mut bytes = encoded.len() as u64;
        while let Some(link) = chain.pop_if(|link| link.bytes < bytes.saturating_mul(2)) {
            from = link.from;
            bytes = bytes.saturating_add(link.bytes);
        }
        if from != made.from {
            (made, encoded) = self.sum_up(from)?;
        }
        // What it says must be as durable as itself.
        self.objects.settle().ok()?;
        self.objects.create(&checkpoint(made.to, made.from), encoded.into());
        Some(made.to)
    }

    /// Writes a checkpoint of all entries. It is not written if it would be too long, and not known to be if the service
    /// does not say so: opening is slower then.
    ///
    /// # Errors
    /// The service refuses.
    pub(super) fn write_whole_checkpoint(&self) -> Result<(), StoreError> {
        let _turn = hold(&self.checkpointing);
        let Some((made, encoded)) = self.sum_up(0) else { return Ok(()) };
        self.objects.settle().map_err(|error| unavailable("sync the log", error))?;
        let (name, payload) = (checkpoint(made.to, 0), PutPayload::from(encoded));
        for attempts in 1..=WRITE_ATTEMPTS_MIN {
            match self.objects.create(&name, payload.clone()) {
                Creation::Made => break,
                Creation::Refused(error) | Creation::Failed(error) => {
                    return Err(failed(&self.objects, "write", &name, Outcome::NotApplied, error));
                }
                Creation::Exists(_) | Creation::Unsure(_) => thread::sleep(self.objects.pause_after(attempts)),
            }
        }
        let mut state = self.state_mut();
        if state.checkpoint < made.to {
            (state.checkpoint, state.unsummed) = (made.to, 0);
        }
        Ok(())
    }

    /// A checkpoint of the entries from `from` on, or of all of them.
    fn sum_up(&self, from: u64) -> Option<(Checkpoint, Vec<u8>)> {
        let from = if self.state().remembers(from) { from } else { 0 };
        let base = match from.checked_sub(1) {
            Some(n) => {
                let start = self.objects.start(&slot(n)).ok()??;
                Some(self.read_slot(n, start).ok()?.0.cid())
            }
            None => None,
        };
        let made = Checkpoint::of(&self.state(), self.format.store, from, base)?;
        let encoded = made.encode().filter(|encoded| encoded.len() as u64 <= CHECKPOINT_BYTES_MAX)?;
        Some((made, encoded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(links: &[(u64, u64)]) -> Links {
        Links(links.iter().map(|(from, to)| ((*to, *from), 1)).collect())
    }

    #[test]
    fn a_chain_leads_from_the_first_entry_to_the_latest_state() {
        let chain = |listed: &[(u64, u64)], max| {
            links(listed).chain(max).iter().map(|link| (link.from, link.to)).collect::<Vec<_>>()
        };
        assert_eq!(chain(&[], u64::MAX), []);
        assert_eq!(chain(&[(0, 64), (64, 128)], u64::MAX), [(0, 64), (64, 128)]);
        assert_eq!(chain(&[(0, 64), (64, 128), (0, 128), (128, 200)], u64::MAX), [(0, 128), (128, 200)]);
        assert_eq!(chain(&[(0, 64), (64, 128), (128, 192)], 130), [(0, 64), (64, 128)]);
        // One that leads nowhere is left out.
        assert_eq!(chain(&[(0, 64), (100, 128)], u64::MAX), [(0, 64)]);
        assert_eq!(chain(&[(64, 128)], u64::MAX), []);
    }
}
