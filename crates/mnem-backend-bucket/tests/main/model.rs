//! A model of the protocol: two writers, a reader and a compactor over one log, with writes that are delayed or lost,
//! and answers that are lost. A breadth-first search visits every state that they can reach. The rules that `FORMAT.md`
//! gives keep four promises in all of them, and without any one of the rules some state breaks one.
//!
//! There is one block. A writer puts it twice, another one deletes it, the compactor moves it and replaces the entry
//! that had it. Each entry also makes a head of its operation, which replaces the heads that its writer knew.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

/// A rule of the protocol, left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// A slot is written only if it is free.
    Condition,
    /// A writer in doubt knows its entry by the token.
    OwnToken,
    /// It sends the same token again.
    SameToken,
    /// After a lost slot, it builds its entry on the new state.
    Rebuilding,
    /// If it has nothing to write, it looks for new entries.
    LookBeforeNothing,
    /// After an unknown outcome, it acknowledges nothing.
    Poison,
    /// A delete waits for the leases of readers.
    Waiting,
    /// A reader looks for new entries when its lease is over.
    Lease,
    /// It looks for new entries before it reports absence.
    LookBeforeAbsence,
    /// It looks for new entries if the block is not where it was.
    LookAfterMove,
    /// The compactor replaces an entry after its own has landed.
    LandingFirst,
    /// It replaces an entry by a tombstone instead of deleting it.
    Tombstone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum What {
    Put,
    Delete,
    Move,
}

/// The operations of the writers, the last of which is the compactor.
const OPERATIONS: [&[(u8, What)]; 3] = [&[(0, What::Put), (1, What::Put)], &[(2, What::Delete)], &[(3, What::Move)]];
const COMPACTOR: usize = 2;

/// How many writes or answers are lost or delayed, how often the reader reads, and how far the clock goes. Without any
/// of the rules, these are enough.
const FAILURES: u8 = 2;
const READS: u8 = 2;
const CLOCK_MAX: u8 = 1;

/// Attempts at one slot until a writer gives up.
const TRIES: u8 = 2;

/// The lease, in units of the clock.
const LEASE: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Entry {
    operation: u8,
    token: u8,
    what: What,
    /// The operations that its heads reach, as bits.
    reached: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Slot {
    Free,
    Entry(Entry),
    /// The data of the entry is gone, and stands in entry `by`.
    Tombstone(Entry, usize),
}

/// A write under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Put {
    slot: usize,
    entry: Entry,
}

/// What a handle knows of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Local {
    next: usize,
    /// The entry that has the block.
    place: Option<usize>,
    reached: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    /// Waits for an answer.
    Sent(Put, u8),
    /// Has an answer that does not decide, or none.
    InDoubt(Put, u8),
    /// Its delete has landed.
    Waits(usize, u8),
    Poisoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Writer {
    local: Local,
    phase: Phase,
    /// Operations that it has ended.
    ended: usize,
    /// How long the log was when the current one began.
    began: usize,
    tokens: u8,
    is_unsure: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    log: Vec<Slot>,
    flying: Vec<Put>,
    writers: [Writer; 3],
    reader: Local,
    seen: Option<u8>,
    clock: u8,
    /// The operations that were acknowledged, with their slots.
    acknowledged: Vec<(u8, What, usize)>,
    failures: u8,
    reads: u8,
}

/// A promise that is broken.
type Broken = &'static str;

const TWICE: Broken = "an operation landed twice";
const LOST: Broken = "an acknowledged operation is not reached";
const WRONG: Broken = "an answer is of no state of its time";
const FREED: Broken = "a block that is there cannot be read";
const UNSURE: Broken = "a handle with an unknown outcome acknowledged an operation";

impl Local {
    /// Reads the log to its end.
    fn look(&mut self, log: &[Slot]) -> Result<(), Broken> {
        while let Some(slot) = log.get(self.next) {
            let (entry, has_data) = match slot {
                Slot::Free => break,
                Slot::Entry(entry) => (entry, true),
                Slot::Tombstone(_, by) if !matches!(log.get(*by), Some(Slot::Entry(_))) => return Err(FREED),
                Slot::Tombstone(entry, _) => (entry, false),
            };
            match entry.what {
                What::Put if has_data => self.place = Some(self.next),
                What::Put => {}
                What::Delete => self.place = None,
                What::Move => self.place = Some(self.next),
            }
            self.reached = entry.reached;
            self.next += 1;
        }
        Ok(())
    }

    fn would_write(&self, what: What, log: &[Slot]) -> bool {
        match (what, self.place) {
            (What::Put, place) => place.is_none(),
            (What::Delete, place) => place.is_some(),
            // A block that was moved already stays.
            (What::Move, place) => {
                place.is_some_and(|at| matches!(log.get(at), Some(Slot::Entry(e)) if e.what == What::Put))
            }
        }
    }
}

impl World {
    fn new() -> Self {
        let writer =
            Writer { local: Local::default(), phase: Phase::Idle, ended: 0, began: 0, tokens: 0, is_unsure: false };
        Self {
            log: Vec::new(),
            flying: Vec::new(),
            writers: [writer; 3],
            reader: Local::default(),
            seen: None,
            clock: 0,
            acknowledged: Vec::new(),
            failures: 0,
            reads: 0,
        }
    }

    /// Whether the block is present after `entries` entries.
    fn is_present(&self, entries: usize) -> bool {
        let mut entries = self.log.iter().take(entries).filter_map(|slot| match slot {
            Slot::Free => None,
            Slot::Entry(entry) | Slot::Tombstone(entry, _) => Some(entry.what),
        });
        entries.rfind(|what| *what != What::Move) == Some(What::Put)
    }

    /// An answer is right if it is that of a state with at least so many entries.
    fn judge(&self, answer: bool, from: usize) -> Result<(), Broken> {
        (from..=self.log.len()).any(|n| self.is_present(n) == answer).then_some(()).ok_or(WRONG)
    }

    fn end_of(&self, is_meant: impl Fn(What) -> bool) -> usize {
        self.acknowledged.iter().filter(|(_, what, _)| is_meant(*what)).map(|(.., slot)| slot + 1).max().unwrap_or(0)
    }

    fn operation(&self, w: usize) -> Option<(u8, What)> {
        OPERATIONS[w].get(self.writers[w].ended).copied()
    }

    /// Builds an entry on what the writer knows, and sends it, or finds that there is nothing to write.
    fn plan(&mut self, w: usize, without: Without, stale: Option<u8>) -> Result<(), Broken> {
        let Some((operation, what)) = self.operation(w) else { return Ok(()) };
        if !self.writers[w].local.would_write(what, &self.log) {
            if without != Without::LookBeforeNothing {
                self.writers[w].local.look(&self.log)?;
            }
            if without == Without::LookBeforeNothing || !self.writers[w].local.would_write(what, &self.log) {
                if what != What::Move {
                    self.judge(what == What::Put, self.writers[w].began)?;
                }
                return self.end(w, None);
            }
        }
        let writer = &mut self.writers[w];
        writer.tokens += 1;
        let reached = stale.unwrap_or(writer.local.reached) | 1 << operation;
        let entry = Entry { operation, token: writer.tokens, what, reached };
        self.send(w, Put { slot: self.writers[w].local.next, entry }, 1);
        Ok(())
    }

    fn send(&mut self, w: usize, put: Put, tries: u8) {
        self.writers[w].phase = Phase::Sent(put, tries);
        self.flying.push(put);
        self.flying.sort();
    }

    fn landed(&mut self, w: usize, put: Put, without: Without) -> Result<(), Broken> {
        self.writers[w].local.look(&self.log)?;
        if put.entry.what == What::Delete && without != Without::Waiting {
            self.writers[w].phase = Phase::Waits(put.slot, self.clock);
            return Ok(());
        }
        self.end(w, Some(put.slot))
    }

    /// Acknowledges the operation.
    fn end(&mut self, w: usize, slot: Option<usize>) -> Result<(), Broken> {
        if self.writers[w].is_unsure {
            return Err(UNSURE);
        }
        if let (Some((operation, what)), Some(slot)) = (self.operation(w), slot) {
            self.acknowledged.push((operation, what, slot));
            self.acknowledged.sort();
        }
        self.writers[w].phase = Phase::Idle;
        self.writers[w].ended += 1;
        Ok(())
    }

    /// A write arrives. Returns whether it made the entry.
    fn arrive(&mut self, at: usize, without: Without) -> (Put, bool) {
        let put = self.flying.remove(at);
        while self.log.len() <= put.slot {
            self.log.push(Slot::Free);
        }
        let is_made = self.log[put.slot] == Slot::Free || without == Without::Condition;
        if is_made {
            self.log[put.slot] = Slot::Entry(put.entry);
        }
        (put, is_made)
    }

    /// The writer that waits for the answer to a write.
    fn waiting_for(&self, put: &Put) -> Option<(usize, u8)> {
        (0..3).find_map(|w| match self.writers[w].phase {
            Phase::Sent(sent, tries) if sent == *put => Some((w, tries)),
            _ => None,
        })
    }

    /// A writer in doubt reads its slot.
    fn check(&mut self, w: usize, put: Put, tries: u8, without: Without) -> Result<(), Broken> {
        match self.log.get(put.slot).copied().unwrap_or(Slot::Free) {
            Slot::Entry(entry) | Slot::Tombstone(entry, _) => {
                let is_own = (entry.operation, entry.token) == (put.entry.operation, put.entry.token);
                if is_own && without != Without::OwnToken {
                    return self.landed(w, put, without);
                }
                self.writers[w].local.look(&self.log)?;
                let stale = put.entry.reached & !(1 << put.entry.operation);
                self.plan(w, without, (without == Without::Rebuilding).then_some(stale))
            }
            Slot::Free if tries < TRIES => {
                let mut again = put;
                if without == Without::SameToken {
                    self.writers[w].tokens += 1;
                    again.entry.token = self.writers[w].tokens;
                }
                self.send(w, again, tries + 1);
                Ok(())
            }
            Slot::Free => {
                let writer = &mut self.writers[w];
                writer.is_unsure = true;
                writer.phase = if without == Without::Poison { Phase::Idle } else { Phase::Poisoned };
                writer.ended += 1;
                Ok(())
            }
        }
    }

    fn read(&mut self, without: Without) -> Result<(), Broken> {
        let is_fresh = self.seen.is_some_and(|seen| self.clock - seen < LEASE || without == Without::Lease);
        if !is_fresh || self.reader.place.is_none() && without != Without::LookBeforeAbsence {
            self.reader.look(&self.log)?;
            self.seen = Some(self.clock);
        }
        let has_data = |world: &Self, at: usize| matches!(world.log.get(at), Some(Slot::Entry(_)));
        if let Some(at) = self.reader.place
            && !has_data(self, at)
            && without != Without::LookAfterMove
        {
            self.reader.look(&self.log)?;
            self.seen = Some(self.clock);
        }
        match self.reader.place {
            Some(at) if !has_data(self, at) => Err(FREED),
            // A put that was acknowledged is seen, and a delete; of others, the reader may know or not.
            Some(_) => self.judge(true, self.end_of(|what| what == What::Delete)),
            None => self.judge(false, self.end_of(|_| true)),
        }
    }

    fn promises(&self) -> Result<(), Broken> {
        let entries = self.log.iter().filter_map(|slot| match slot {
            Slot::Free => None,
            Slot::Entry(entry) | Slot::Tombstone(entry, _) => Some(entry),
        });
        let mut landed = 0_u8;
        let mut reached = 0;
        for entry in entries {
            if landed & 1 << entry.operation != 0 {
                return Err(TWICE);
            }
            landed |= 1 << entry.operation;
            reached = entry.reached;
        }
        let is_reached = |(operation, ..): &(u8, What, usize)| reached & 1 << operation != 0;
        if self.acknowledged.iter().all(is_reached) { Ok(()) } else { Err(LOST) }
    }

    /// All states that one step leads to.
    fn steps(&self, without: Without) -> Result<Vec<Self>, Broken> {
        let mut next = Vec::new();
        let mut step = |change: &dyn Fn(&mut Self) -> Result<(), Broken>| -> Result<(), Broken> {
            let mut world = self.clone();
            change(&mut world)?;
            world.promises()?;
            next.push(world);
            Ok(())
        };
        for w in 0..3 {
            match self.writers[w].phase {
                Phase::Idle if self.operation(w).is_some() => step(&|world| {
                    world.writers[w].began = world.log.len();
                    world.plan(w, without, None)
                })?,
                Phase::Sent(put, tries) if self.failures < FAILURES => step(&|world| {
                    world.failures += 1;
                    world.writers[w].phase = Phase::InDoubt(put, tries);
                    Ok(())
                })?,
                Phase::InDoubt(put, tries) => step(&|world| world.check(w, put, tries, without))?,
                Phase::Waits(slot, since) if self.clock - since >= LEASE => step(&|world| world.end(w, Some(slot)))?,
                _ => {}
            }
        }
        for at in 0..self.flying.len() {
            step(&|world| {
                let (put, is_made) = world.arrive(at, without);
                match world.waiting_for(&put) {
                    Some((w, _)) if is_made => world.landed(w, put, without),
                    Some((w, tries)) => {
                        world.writers[w].phase = Phase::InDoubt(put, tries);
                        Ok(())
                    }
                    None => Ok(()),
                }
            })?;
            let waiting = self.waiting_for(&self.flying[at]);
            if let (Some((w, tries)), true) = (waiting, self.failures < FAILURES) {
                step(&|world| {
                    world.failures += 1;
                    let (put, _) = world.arrive(at, without);
                    world.writers[w].phase = Phase::InDoubt(put, tries);
                    Ok(())
                })?;
            }
            if self.failures < FAILURES {
                step(&|world| {
                    world.failures += 1;
                    let put = world.flying.remove(at);
                    if let Some((w, tries)) = waiting {
                        world.writers[w].phase = Phase::InDoubt(put, tries);
                    }
                    Ok(())
                })?;
            }
        }
        if self.reads < READS {
            step(&|world| {
                world.reads += 1;
                world.read(without)
            })?;
        }
        if self.clock < CLOCK_MAX {
            step(&|world| {
                world.clock += 1;
                Ok(())
            })?;
        }
        if let Some(by) = self.replaces_by(without) {
            for at in (0..by).filter(|at| matches!(self.log.get(*at), Some(Slot::Entry(e)) if e.what == What::Put)) {
                step(&|world| {
                    let Slot::Entry(entry) = world.log[at] else { return Ok(()) };
                    world.log[at] = if without == Without::Tombstone { Slot::Free } else { Slot::Tombstone(entry, by) };
                    Ok(())
                })?;
            }
        }
        Ok(next)
    }

    /// The entry of the compactor that lets it replace those before it.
    fn replaces_by(&self, without: Without) -> Option<usize> {
        match self.writers[COMPACTOR].phase {
            Phase::Sent(put, _) if without == Without::LandingFirst => Some(put.slot),
            _ => self.acknowledged.iter().find(|(_, what, _)| *what == What::Move).map(|(.., slot)| *slot),
        }
    }
}

/// How many states there are, or the promise that the first of them breaks.
fn search(without: Without) -> Result<usize, Broken> {
    let hasher = RandomState::new();
    // Of so few states, no two have the same 64 bits.
    let mut found = HashSet::from([hasher.hash_one(World::new())]);
    let mut pending = VecDeque::from([World::new()]);
    while let Some(world) = pending.pop_front() {
        for next in world.steps(without)? {
            if found.insert(hasher.hash_one(&next)) {
                pending.push_back(next);
            }
        }
    }
    Ok(found.len())
}

#[test]
fn the_protocol_keeps_its_promises() {
    let states = search(Without::Nothing).unwrap();
    println!("{states} states");
    assert!(states > 10_000, "{states}");
}

#[test]
fn without_any_one_rule_a_promise_is_broken() {
    for (without, broken) in [
        (Without::Condition, LOST),
        (Without::OwnToken, TWICE),
        (Without::SameToken, TWICE),
        (Without::Rebuilding, LOST),
        (Without::LookBeforeNothing, WRONG),
        (Without::Poison, UNSURE),
        (Without::Waiting, WRONG),
        (Without::Lease, WRONG),
        (Without::LookBeforeAbsence, WRONG),
        (Without::LookAfterMove, FREED),
        (Without::LandingFirst, FREED),
        (Without::Tombstone, WRONG),
    ] {
        assert_eq!(search(without), Err(broken), "{without:?}");
    }
}
