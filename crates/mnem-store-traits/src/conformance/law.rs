//! A law: its name, its promise, what it needs, and how it is run.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    Failure, Fixture, Handles, Mode,
    case::Case,
    failure::{LawResult, Stop},
    fixture::{AnyFixture, Erased},
    modes::InMode,
    random::Seeds,
    threads,
};
use crate::{Capabilities, Durability, HeadsCapabilities};

/// Races are lost by chance. A law about races is repeated, each time in a new place, until it has taken this long: a
/// hundred times for a store in memory, a few times for one that syncs.
const RACES_TAKE: Duration = Duration::from_millis(250);

/// One promise of the contract, and the function that checks whether a backend keeps it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Law {
    /// The name, unique among all laws. It is also the name of the `#[test]`.
    pub id: &'static str,
    /// The group, which is also the module of the `#[test]`.
    pub group: Group,
    /// The subject within the group.
    pub topic: &'static str,
    /// Whether a backend may break it.
    pub level: Level,
    /// The profiles that the law needs, all of them.
    pub profiles: &'static [Profile],
    /// The claims that the law needs, all of them.
    pub claims: &'static [Claim],
    /// The promise, as one sentence.
    pub promise: &'static str,
    /// The text of the source file that contains the function.
    pub(crate) source: &'static str,
    pub(crate) check: fn(&mut Case) -> LawResult,
}

/// The part of the contract that a law belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Group {
    /// One store of blocks and one caller.
    Blocks,
    /// One set of heads and one caller.
    Heads,
    /// Commits, side tables, and [`Buffered`](crate::Buffered).
    Store,
    /// Promises that hold however data is written and however it is read. Each law of this group runs through the list
    /// of writing calls (`put`, `put_many`, `commit`, …) or of reading calls (`get`, `has`, `get_many`, …).
    Ways,
    /// What is still there after reopening, and what another handle sees.
    Persistence,
    /// What several threads may observe of each other.
    Concurrency,
    /// Damaged blocks, failing media and power cuts.
    Faults,
    /// Finding, creating, opening and maintaining stores.
    Driver,
}

/// Whether a backend may break a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// A backend that breaks it does not conform.
    Must,
    /// A backend that breaks it conforms, but should have a reason.
    Should,
}

/// Something that the suite can do with a backend. A law is declined if it needs a profile that the fixture lacks.
///
/// The suite detects some profiles from the handles or the capabilities; all others must be listed in
/// [`Fixture::profiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Stores blocks. Detected from the handles.
    Blocks,
    /// Stores heads. Detected from the handles.
    Heads,
    /// Commits blocks and heads together. Detected from the handles.
    Store,
    /// This platform can allocate a block of the largest size. Detected by comparing
    /// [`Capabilities::block_bytes_max`](crate::Capabilities::block_bytes_max) with [`Fixture::block_bytes_tried`].
    Limits,
    /// Has side tables. Detected from [`Capabilities::side_tables`](crate::Capabilities::side_tables).
    SideTables,
    /// Can be opened again after it was closed and dropped. Listed.
    Persistence,
    /// Can be opened a second time while it is open. Listed.
    SecondHandle,
    /// Can be opened a second time for reading while it is open. Listed, with the hook [`Fixture::open_reader`];
    /// included in [`SecondHandle`](Self::SecondHandle).
    SecondReader,
    /// Can be opened by a second process while it is open. Listed, with the hook [`Fixture::obey_in_second_process`].
    SecondProcess,
    /// The suite can damage a stored block from outside. Listed, with the hook [`Fixture::damage`].
    Damage,
    /// The suite can make the medium fail. Listed, with the hook [`Fixture::set_fault`].
    Faults,
    /// The suite can cut the power. Listed, with the hooks [`Fixture::cut_power_after`] and
    /// [`Fixture::cut_power_while_opening`].
    Crash,
    /// Excludes other writers with locks of its medium, and the suite can disable these locks. Listed, with the hook
    /// [`Fixture::set_locks`].
    Locks,
    /// Lies on a network that can lose answers. Listed, with the hook [`Fixture::set_fault`], which must then support
    /// the network faults too.
    Network,
    /// Has a driver. Listed, with the hook [`Fixture::driver`].
    Driver,
}

/// A capability that a law needs. A law about a capability that the store does not claim is declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// `put_durability` is at least [`Durability::Process`].
    PutsSurvive,
    /// `durability` of the heads is at least [`Durability::Process`].
    HeadsSurvive,
    /// `put_durability` is [`Durability::Power`].
    PutsSurvivePower,
    /// `durability` of the heads is [`Durability::Power`].
    HeadsSurvivePower,
    /// `atomic_put_many`.
    AtomicPutMany,
    /// `cumulative_durability`.
    CumulativeDurability,
    /// `atomic_commit`.
    AtomicCommit,
    /// `atomic_heads`.
    AtomicHeads,
    /// `atomic_side_table_writes`.
    AtomicSideTableWrites,
}

/// The result of running one law.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The law found no broken promise.
    Passed,
    /// The law did not run, because a profile or a claim is missing. Contains the reason.
    Declined(String),
    /// The promise was broken.
    Failed(Failure),
}

impl Law {
    /// The path of the `#[test]` within the module that the macro was given: `blocks::put_rejects_wrong_bytes`.
    pub fn path(&self) -> String {
        format!("{}::{}", self.group, self.id)
    }

    /// The file and line of the function, relative to `src/conformance` in this crate: `laws/put.rs:12`.
    pub fn place(&self) -> String {
        let function = format!("fn {}(", self.id);
        let before = self.source.lines().take_while(|line| !line.contains(&function)).count();
        format!("laws/{}.rs:{}", self.topic, before + 1)
    }

    /// Runs this law alone, in a new thread and a new place. Does not panic; a panic of the backend counts as a
    /// failure.
    pub fn run(&'static self, fixture: impl Fixture) -> Verdict {
        self.run_in(Mode::Direct, fixture)
    }

    /// Like [`run`](Self::run), in the given mode.
    pub fn run_in(&'static self, mode: Mode, fixture: impl Fixture) -> Verdict {
        self.run_erased(mode, Arc::new(Erased(Arc::new(fixture))), Seeds::from_environment())
    }

    /// The modes in which this law runs: all of them if it has one caller and one store, otherwise only
    /// [`Mode::Direct`].
    pub fn modes(&self) -> &'static [Mode] {
        match self.group {
            Group::Blocks | Group::Heads | Group::Store => &Mode::ALL,
            Group::Ways | Group::Persistence | Group::Concurrency | Group::Faults | Group::Driver => &[Mode::Direct],
        }
    }

    pub(crate) fn run_erased(&'static self, mode: Mode, fixture: Arc<dyn AnyFixture>, seeds: Seeds) -> Verdict {
        let fixture: Arc<dyn AnyFixture> = match mode {
            Mode::Direct => fixture,
            mode => Arc::new(InMode { fixture, mode }),
        };
        let deadline = fixture.deadline();
        let (send, verdict) = mpsc::channel();
        let body = move || {
            let verdict = catch_unwind(AssertUnwindSafe(|| self.judge(mode, fixture, seeds)));
            // After the deadline nobody listens any more.
            let _ = send.send(verdict.unwrap_or_else(|panic| {
                Verdict::Failed(Failure::new("ran the law", "no panic", threads::panic_text(&*panic)))
            }));
        };
        if let Err(error) = thread::Builder::new().name(self.path()).spawn(body) {
            return Verdict::Failed(Failure::new("started a thread for the law", "a thread", error));
        }
        verdict.recv_timeout(deadline).unwrap_or_else(|_| {
            let expected = format_args!("an end within the fixture's deadline of {deadline:?}");
            Verdict::Failed(Failure::new("ran the law", expected, "no end: a deadlock, or a very slow store"))
        })
    }

    fn judge(&self, mode: Mode, fixture: Arc<dyn AnyFixture>, seeds: Seeds) -> Verdict {
        if let Some(profile) =
            mode.needs().iter().find(|profile| profile.is_declared() && !profile.is_among(fixture.profiles()))
        {
            return Verdict::Declined(format!("profile {profile} {}", profile.absence()));
        }
        let mut case = match Case::new(fixture, seeds) {
            Ok(case) => case,
            Err(failure) => return Verdict::Failed(failure),
        };
        if let Some(why) = self.declined_by(mode, &case) {
            return Verdict::Declined(why);
        }
        let begin = Instant::now();
        loop {
            match (self.check)(&mut case) {
                Ok(()) if self.group == Group::Concurrency && begin.elapsed() < RACES_TAKE => {}
                Ok(()) => return Verdict::Passed,
                Err(Stop::Declined(why)) => return Verdict::Declined(why),
                Err(Stop::Failed(failure)) => return Verdict::Failed(failure),
            }
            case = match case.fresh() {
                Ok(case) => case,
                Err(failure) => return Verdict::Failed(failure),
            };
        }
    }

    fn declined_by(&self, mode: Mode, case: &Case) -> Option<String> {
        let mut needed = self.profiles.iter().chain(mode.needs());
        if let Some(profile) = needed.find(|profile| !case.has(**profile)) {
            return Some(format!("profile {profile} {}", profile.absence()));
        }
        let mut claims = self.claims.iter().chain(mode.claims(self.group));
        let claim = claims.find(|claim| !case.claims(**claim))?;
        Some(format!("capability {claim} is not claimed"))
    }
}

impl Profile {
    pub(crate) const ALL: [Self; 15] = [
        Self::Blocks,
        Self::Heads,
        Self::Store,
        Self::Limits,
        Self::SideTables,
        Self::Persistence,
        Self::SecondHandle,
        Self::SecondReader,
        Self::SecondProcess,
        Self::Damage,
        Self::Faults,
        Self::Crash,
        Self::Locks,
        Self::Network,
        Self::Driver,
    ];

    /// Whether `profiles` contains this profile or one that includes it.
    pub(crate) fn is_among(self, profiles: &[Self]) -> bool {
        profiles.contains(&self) || (self == Self::SecondReader && profiles.contains(&Self::SecondHandle))
    }

    /// Whether the fixture must list this profile; the suite detects the others.
    fn is_declared(self) -> bool {
        !matches!(self, Self::Blocks | Self::Heads | Self::Store | Self::Limits | Self::SideTables)
    }

    fn absence(self) -> &'static str {
        match self {
            Self::Blocks | Self::Heads | Self::Store => "is not offered by the fixture's handles",
            Self::Limits => "is not there: block_bytes_max is more than the fixture's block_bytes_tried()",
            Self::SideTables => "is not claimed by the store's capabilities",
            _ => "is not declared by the fixture",
        }
    }
}

impl Claim {
    pub(crate) const ALL: [Self; 9] = [
        Self::PutsSurvive,
        Self::PutsSurvivePower,
        Self::CumulativeDurability,
        Self::AtomicPutMany,
        Self::AtomicCommit,
        Self::AtomicSideTableWrites,
        Self::HeadsSurvive,
        Self::HeadsSurvivePower,
        Self::AtomicHeads,
    ];

    /// Whether this is a claim of [`HeadsCapabilities`].
    pub(crate) fn is_of_heads(self) -> bool {
        matches!(self, Self::HeadsSurvive | Self::HeadsSurvivePower | Self::AtomicHeads)
    }

    pub(crate) fn is_made_by(self, handles: &Handles) -> bool {
        let blocks = handles.as_blocks().map(|blocks| blocks.capabilities());
        let heads = handles.as_heads().map(|heads| heads.heads_capabilities());
        self.is_made_in(blocks.as_ref(), heads.as_ref())
    }

    pub(crate) fn is_made_in(self, blocks: Option<&Capabilities>, heads: Option<&HeadsCapabilities>) -> bool {
        match self {
            Self::PutsSurvive => blocks.is_some_and(|c| c.put_durability >= Durability::Process),
            Self::HeadsSurvive => heads.is_some_and(|c| c.durability >= Durability::Process),
            Self::PutsSurvivePower => blocks.is_some_and(|c| c.put_durability >= Durability::Power),
            Self::HeadsSurvivePower => heads.is_some_and(|c| c.durability >= Durability::Power),
            Self::CumulativeDurability => blocks.is_some_and(|c| c.cumulative_durability),
            Self::AtomicPutMany => blocks.is_some_and(|c| c.atomic_put_many),
            Self::AtomicCommit => blocks.is_some_and(|c| c.atomic_commit),
            Self::AtomicHeads => heads.is_some_and(|c| c.atomic_heads),
            Self::AtomicSideTableWrites => blocks.is_some_and(|c| c.atomic_side_table_writes),
        }
    }
}

/// The name of the test module.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocks => "blocks",
            Self::Heads => "heads",
            Self::Store => "store",
            Self::Ways => "ways",
            Self::Persistence => "persistence",
            Self::Concurrency => "concurrency",
            Self::Faults => "faults",
            Self::Driver => "driver",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "must",
            Self::Should => "should",
        })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocks => "blocks",
            Self::Heads => "heads",
            Self::Store => "store",
            Self::Limits => "limits",
            Self::SideTables => "side tables",
            Self::Persistence => "persistence",
            Self::SecondHandle => "second handle",
            Self::SecondReader => "second reader",
            Self::SecondProcess => "second process",
            Self::Damage => "damage",
            Self::Faults => "faults",
            Self::Crash => "crash",
            Self::Locks => "locks",
            Self::Network => "network",
            Self::Driver => "driver",
        })
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PutsSurvive => "put_durability >= Process",
            Self::HeadsSurvive => "durability of heads >= Process",
            Self::PutsSurvivePower => "put_durability = Power",
            Self::HeadsSurvivePower => "durability of heads = Power",
            Self::CumulativeDurability => "cumulative_durability",
            Self::AtomicPutMany => "atomic_put_many",
            Self::AtomicCommit => "atomic_commit",
            Self::AtomicHeads => "atomic_heads",
            Self::AtomicSideTableWrites => "atomic_side_table_writes",
        })
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.group, self.id)
    }
}

impl fmt::Debug for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Law").field("id", &self.id).field("group", &self.group).finish_non_exhaustive()
    }
}

/// The table of the laws that iterate over writing and reading calls, in Markdown, as in `CONTRACT.md`.
pub fn ways_table() -> String {
    super::ways::table_text()
}
