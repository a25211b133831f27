//! Running all laws without a test harness.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    CONTRACT_VERSION, Claimed, Fixture, Group, Law, Level, Mode, Profile, Verdict,
    case::{Case, SLOW},
    fixture::{AnyFixture, Erased},
    random::Seeds,
};
use crate::{Capabilities, Durability, HeadsCapabilities};

/// What to run. `Options::default()` is every law.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    only: Option<String>,
    seed: Option<u64>,
    rounds: Option<u64>,
}

/// What came of every law that was chosen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// [`Fixture::name`].
    pub backend: String,
    /// [`CONTRACT_VERSION`] of the laws.
    pub contract_version: u32,
    /// What the random laws began with: [`Options::seed`] repeats them.
    pub seed: u64,
    /// What the store claims of its blocks; `None` without blocks, or when it could not be opened.
    pub capabilities: Option<Capabilities>,
    /// What it claims of its heads; `None` without heads, or when it could not be opened.
    pub heads_capabilities: Option<HeadsCapabilities>,
    /// One for each law and each of its modes, in the order of the list. Laws that the options left out are missing
    /// here, and cost their profiles.
    pub entries: Vec<Entry>,
}

/// What came of one law.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The law.
    pub law: &'static Law,
    /// What stood between the law and the store.
    pub mode: Mode,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took, setting up and cleaning up included.
    pub duration: Duration,
}

impl Options {
    /// Runs only the laws whose path (`blocks::put_twice_is_ok`, `buffered::blocks::put_twice_is_ok`) contains this
    /// text.
    #[must_use]
    pub fn only(mut self, text: impl Into<String>) -> Self {
        self.only = Some(text.into());
        self
    }

    /// The seed of the random laws' first round. Unless given: `MNEM_CONFORMANCE_SEED`, or the same in every run.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How many rounds random laws have, each with the next seed. Unless given: `MNEM_CONFORMANCE_ROUNDS`, or a few.
    #[must_use]
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = Some(rounds);
        self
    }
}

/// Runs every chosen law, one after the other or as many at once as [`Fixture::parallel`] says. Does not panic, and
/// ends: each law has the fixture's deadline. A law that does not end by itself keeps the fixture.
pub fn run(fixture: impl Fixture, options: &Options) -> Report {
    let fixture: Arc<dyn AnyFixture> = Arc::new(Erased(Arc::new(fixture)));
    let environment = Seeds::from_environment();
    let seeds = Seeds {
        first: options.seed.unwrap_or(environment.first),
        rounds: options.rounds.unwrap_or(environment.rounds),
    };
    let runs = super::laws().iter().flat_map(|law| law.modes().iter().map(move |mode| (law, *mode)));
    let chosen = runs.filter(|(law, mode)| options.only.as_ref().is_none_or(|text| law.path_in(*mode).contains(text)));
    let entries = run_all(&chosen.collect::<Vec<_>>(), &fixture, seeds);
    let (capabilities, heads_capabilities) = claims(Arc::clone(&fixture), seeds);
    Report {
        backend: fixture.name().to_owned(),
        contract_version: CONTRACT_VERSION,
        seed: seeds.first,
        capabilities,
        heads_capabilities,
        entries,
    }
}

/// Races at last and one after the other, unless the store is slow: they want the machine to themselves, and a slow
/// store leaves it to others.
fn run_all(chosen: &[(&'static Law, Mode)], fixture: &Arc<dyn AnyFixture>, seeds: Seeds) -> Vec<Entry> {
    let run_one = |(law, mode): &(&'static Law, Mode)| {
        let begin = Instant::now();
        let verdict = law.run_erased(*mode, Arc::clone(fixture), seeds);
        Entry { law, mode: *mode, verdict, duration: begin.elapsed() }
    };
    let threads = fixture.parallel();
    if threads < 2 {
        return chosen.iter().map(run_one).collect();
    }
    let numbered = chosen.iter().enumerate();
    let is_alone = |law: &Law| law.group == Group::Concurrency && fixture.latency_hint() < SLOW;
    // The long laws are at the end of the list.
    let (alone, beside): (Vec<_>, Vec<_>) = numbered.rev().partition(|(_, (law, _))| is_alone(law));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((i, one)) = beside.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let entry = run_one(one);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((*i, entry));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.extend(alone.into_iter().map(|(i, one)| (i, run_one(one))));
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, entry)| entry).collect()
}

/// What the store claims.
fn claims(fixture: Arc<dyn AnyFixture>, seeds: Seeds) -> (Option<Capabilities>, Option<HeadsCapabilities>) {
    let claims = Case::ask(fixture, seeds, |case| {
        let blocks = case.handles().as_blocks().map(|blocks| blocks.capabilities());
        let heads = case.handles().as_heads().map(|heads| heads.heads_capabilities());
        (blocks, heads)
    });
    claims.unwrap_or_default()
}

impl Report {
    /// Whether no must-law failed, and at least one law held: a report of nothing but declined laws proves nothing.
    pub fn is_ok(&self) -> bool {
        let broken = |entry: &Entry| entry.law.level == Level::Must && matches!(entry.verdict, Verdict::Failed(_));
        self.counts().passed > 0 && !self.entries.iter().any(broken)
    }

    /// The profiles to which the backend conforms: every must-law that asks for the profile was run and held, or was
    /// declined because it also asks for something the backend does not claim; and at least one held.
    ///
    /// Where most laws of a profile ask for a capability, as in [`Profile::Persistence`], one of these must have held:
    /// a backend that claims none of them has every such law declined, and nothing is known of it.
    pub fn conforms_to(&self) -> Vec<Profile> {
        Profile::ALL.into_iter().filter(|profile| self.conforms(*profile)).collect()
    }

    /// The profiles of which a must-law failed.
    fn broken(&self) -> Vec<Profile> {
        let failed = |entry: &&Entry| entry.law.level == Level::Must && matches!(entry.verdict, Verdict::Failed(_));
        let failed: Vec<&Entry> = self.entries.iter().filter(failed).collect();
        let is_broken = |profile: &Profile| failed.iter().any(|entry| entry.law.profiles.contains(profile));
        Profile::ALL.into_iter().filter(is_broken).collect()
    }

    /// The profiles of which too little was looked at: no must-law failed, and the backend does not
    /// [conform](Self::conforms_to) either.
    pub fn not_looked_at(&self) -> Vec<Profile> {
        let broken = self.broken();
        Profile::ALL.into_iter().filter(|profile| !broken.contains(profile) && !self.conforms(*profile)).collect()
    }

    /// What the report comes to, in one line.
    fn conclusion(&self) -> String {
        let names = |profiles: Vec<Profile>| profiles.iter().map(Profile::to_string).collect::<Vec<_>>().join(", ");
        let (kept, broken, unseen) = (self.conforms_to(), self.broken(), self.not_looked_at());
        let mut line = if kept.is_empty() { "nothing".to_owned() } else { names(kept) };
        if !broken.is_empty() {
            line += &format!("; breaks: {}", names(broken));
        }
        if !unseen.is_empty() {
            let claims_power =
                self.capabilities.as_ref().is_some_and(|claims| claims.put_durability == Durability::Power)
                    || self.heads_capabilities.as_ref().is_some_and(|claims| claims.durability == Durability::Power);
            let at_its_word = claims_power && unseen.contains(&Profile::Crash);
            line += &format!("; not looked at: {}", names(unseen));
            line += if at_its_word { " (durability is taken at its word)" } else { "" };
        }
        line
    }

    fn conforms(&self, profile: Profile) -> bool {
        let asks = |law: &&Law| law.level == Level::Must && law.profiles.contains(&profile);
        let laws: Vec<&Law> = super::laws().iter().filter(asks).collect();
        let (about_claims, others): (Vec<&Law>, Vec<&Law>) = laws.iter().partition(|law| !law.claims.is_empty());
        let deciding = if about_claims.len() > others.len() { &about_claims } else { &laws };
        let came_of =
            |law: &&Law| -> Vec<Option<&Verdict>> { law.modes().iter().map(|mode| self.verdict(law, *mode)).collect() };
        let not_broken = |verdict: Option<&Verdict>| matches!(verdict, Some(Verdict::Passed | Verdict::Declined(_)));
        laws.iter().flat_map(came_of).all(not_broken)
            && deciding.iter().flat_map(came_of).any(|verdict| matches!(verdict, Some(Verdict::Passed)))
    }

    /// `None`: it was not run.
    fn verdict(&self, law: &Law, mode: Mode) -> Option<&Verdict> {
        let entry = self.entries.iter().find(|entry| entry.law.id == law.id && entry.mode == mode);
        entry.map(|entry| &entry.verdict)
    }
}

/// How many laws were passed, declined, failed, and not run, each counted once for each mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "said above, for all of them")]
pub struct Counts {
    pub passed: usize,
    pub declined: usize,
    pub failed: usize,
    pub not_run: usize,
}

impl Report {
    /// What came of the laws, in numbers.
    pub fn counts(&self) -> Counts {
        let all: usize = super::laws().iter().map(|law| law.modes().len()).sum();
        let mut counts = Counts { not_run: all.saturating_sub(self.entries.len()), ..Counts::default() };
        for entry in &self.entries {
            match entry.verdict {
                Verdict::Passed => counts.passed += 1,
                Verdict::Declined(_) => counts.declined += 1,
                Verdict::Failed(_) => counts.failed += 1,
            }
        }
        counts
    }

    /// The whole report as one JSON object, `"schema": 1`.
    pub fn to_json(&self) -> String {
        let Counts { passed, declined, failed, not_run } = self.counts();
        let conforms_to: Vec<_> = self.conforms_to().iter().map(Profile::to_string).collect();
        let laws: Vec<_> = self.entries.iter().map(Entry::to_json).collect();
        json!({
            "schema": 1,
            "backend": self.backend,
            "contract_version": self.contract_version,
            "seed": self.seed,
            "conforms_to": conforms_to,
            "not_looked_at": self.not_looked_at().iter().map(Profile::to_string).collect::<Vec<_>>(),
            "passed": passed,
            "declined": declined,
            "failed": failed,
            "not_run": not_run,
            "capabilities": self.capabilities.as_ref().map(|claims| json!({
                "put_durability": format!("{:?}", claims.put_durability),
                "block_bytes_max": claims.block_bytes_max,
                "atomic_put_many": claims.atomic_put_many,
                "atomic_commit": claims.atomic_commit,
                "side_tables": claims.side_tables,
                "atomic_side_table_writes": claims.atomic_side_table_writes,
            })),
            "heads_capabilities": self.heads_capabilities.as_ref().map(|claims| json!({
                "durability": format!("{:?}", claims.durability),
                "atomic_heads": claims.atomic_heads,
            })),
            "claims": self.claims().iter().map(Claimed::to_json).collect::<Vec<_>>(),
            "laws": laws,
        })
        .to_string()
    }
}

impl Entry {
    fn to_json(&self) -> Value {
        let Self { law, mode, verdict, duration } = self;
        let mut entry = json!({
            "law": law.path(),
            "mode": mode.to_string(),
            "level": law.level.to_string(),
            "promise": law.promise,
            "duration_ms": duration.as_secs_f64() * 1000.0,
        });
        match verdict {
            Verdict::Passed => entry["verdict"] = json!("passed"),
            Verdict::Declined(why) => {
                entry["verdict"] = json!("declined");
                entry["why"] = json!(why);
            }
            Verdict::Failed(failure) => {
                entry["verdict"] = json!("failed");
                entry["did"] = json!(failure.did());
                entry["expected"] = json!(failure.expected());
                entry["saw"] = json!(failure.saw());
            }
        }
        entry
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { law, mode, verdict, duration } in &self.entries {
            let path = law.path_in(*mode);
            match verdict {
                Verdict::Passed => writeln!(f, "ok        {path} ({duration:.1?})")?,
                Verdict::Declined(why) => writeln!(f, "declined  {path}: {why}")?,
                Verdict::Failed(failure) => {
                    writeln!(f, "FAILED    {}", law.failure_text(*mode, &self.backend, failure))?
                }
            }
        }
        let Counts { passed, declined, failed, not_run } = self.counts();
        writeln!(f, "{passed} passed, {declined} declined, {failed} failed, {not_run} not run (seed {})", self.seed)?;
        for claim in self.claims() {
            writeln!(f, "{}  {claim}", if claim.claimed { "claims  " } else { "declines" })?;
        }
        let (backend, version) = (&self.backend, self.contract_version);
        writeln!(f, "{backend} conforms to (contract version {version}): {}", self.conclusion())
    }
}
