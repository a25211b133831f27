//! Runs all laws without a test harness.

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

/// Which laws to run and with which seed. `Options::default()` runs every law.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    only: Option<String>,
    seed: Option<u64>,
    rounds: Option<u64>,
}

/// The verdict of every law that was selected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// [`Fixture::name`].
    pub backend: String,
    /// The [`CONTRACT_VERSION`] of the laws.
    pub contract_version: u32,
    /// The first seed of the randomized laws. Pass it to [`Options::seed`] to repeat the run.
    pub seed: u64,
    /// The capabilities of the store. `None` if it has no blocks or could not be opened.
    pub capabilities: Option<Capabilities>,
    /// The capabilities of its heads. `None` if it has no heads or could not be opened.
    pub heads_capabilities: Option<HeadsCapabilities>,
    /// One entry for each law and each of its modes, in the order of the list. Laws that the options left out are
    /// missing, and the backend then does not conform to their profiles.
    pub entries: Vec<Entry>,
}

/// The verdict of one law in one mode.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The law.
    pub law: &'static Law,
    /// The layer between the law and the store.
    pub mode: Mode,
    /// The verdict.
    pub verdict: Verdict,
    /// How long it took, including setup and cleanup.
    pub duration: Duration,
}

impl Options {
    /// Runs only laws whose path (`blocks::put_twice_is_ok`, `buffered::blocks::put_twice_is_ok`) contains this text.
    #[must_use]
    pub fn only(mut self, text: impl Into<String>) -> Self {
        self.only = Some(text.into());
        self
    }

    /// Sets the seed for the first round of the randomized laws. The default is the environment variable
    /// `MNEM_CONFORMANCE_SEED`, or else a fixed seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the number of rounds of each randomized law; each round uses the next seed. The default is the environment
    /// variable `MNEM_CONFORMANCE_ROUNDS`, or else a small number.
    #[must_use]
    pub fn rounds(mut self, rounds: u64) -> Self {
        self.rounds = Some(rounds);
        self
    }
}

/// Runs every selected law, one after the other or as many at once as [`Fixture::parallel`] says.
///
/// Does not panic, and always ends: each law has the fixture's deadline. A law that is still running at its deadline
/// keeps the fixture alive.
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

/// Runs laws about races last and one at a time, because they need the whole machine. If the store is slow it mostly
/// waits, and they run beside the others.
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
    // The long laws are at the end of the list, so start there.
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

/// The capabilities of the store.
fn claims(fixture: Arc<dyn AnyFixture>, seeds: Seeds) -> (Option<Capabilities>, Option<HeadsCapabilities>) {
    let claims = Case::ask(fixture, seeds, |case| {
        let blocks = case.handles().as_blocks().map(|blocks| blocks.capabilities());
        let heads = case.handles().as_heads().map(|heads| heads.heads_capabilities());
        (blocks, heads)
    });
    claims.unwrap_or_default()
}

impl Report {
    /// Whether no must-law failed and at least one law held. A report in which every law was declined proves nothing.
    pub fn is_ok(&self) -> bool {
        let broken = |entry: &Entry| entry.law.level == Level::Must && matches!(entry.verdict, Verdict::Failed(_));
        self.counts().passed > 0 && !self.entries.iter().any(broken)
    }

    /// The profiles to which the backend conforms.
    ///
    /// For each of these profiles, every must-law that needs it was run and held, or was declined because it also needs
    /// something the backend does not claim. At least one of them held.
    ///
    /// If most laws of a profile need a capability, as in [`Profile::Persistence`], the law that held must be one of
    /// those. Otherwise a backend without these capabilities would conform although nearly all laws were declined.
    pub fn conforms_to(&self) -> Vec<Profile> {
        Profile::ALL.into_iter().filter(|profile| self.conforms(*profile)).collect()
    }

    /// The profiles with a must-law that failed.
    fn broken(&self) -> Vec<Profile> {
        let failed = |entry: &&Entry| entry.law.level == Level::Must && matches!(entry.verdict, Verdict::Failed(_));
        let failed: Vec<&Entry> = self.entries.iter().filter(failed).collect();
        let is_broken = |profile: &Profile| failed.iter().any(|entry| entry.law.profiles.contains(profile));
        Profile::ALL.into_iter().filter(is_broken).collect()
    }

    /// The profiles that were not tested enough: no must-law failed, but the backend does not
    /// [conform](Self::conforms_to) either.
    pub fn not_tested(&self) -> Vec<Profile> {
        let broken = self.broken();
        Profile::ALL.into_iter().filter(|profile| !broken.contains(profile) && !self.conforms(*profile)).collect()
    }

    /// The conclusion of the report, in one line.
    fn conclusion(&self) -> String {
        let names = |profiles: Vec<Profile>| profiles.iter().map(Profile::to_string).collect::<Vec<_>>().join(", ");
        let (kept, broken, unseen) = (self.conforms_to(), self.broken(), self.not_tested());
        let mut line = if kept.is_empty() { "nothing".to_owned() } else { names(kept) };
        if !broken.is_empty() {
            line += &format!("; breaks: {}", names(broken));
        }
        if !unseen.is_empty() {
            let claims_power =
                self.capabilities.as_ref().is_some_and(|claims| claims.put_durability == Durability::Power)
                    || self.heads_capabilities.as_ref().is_some_and(|claims| claims.durability == Durability::Power);
            let at_its_word = claims_power && unseen.contains(&Profile::Crash);
            line += &format!("; not tested: {}", names(unseen));
            line += if at_its_word { " (durability was not tested)" } else { "" };
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

    /// The verdict, or `None` if the law was not run.
    fn verdict(&self, law: &Law, mode: Mode) -> Option<&Verdict> {
        let entry = self.entries.iter().find(|entry| entry.law.id == law.id && entry.mode == mode);
        entry.map(|entry| &entry.verdict)
    }
}

/// The number of laws that passed, were declined, failed, or were not run. A law counts once for each of its modes.
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
    /// Counts the verdicts.
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

    /// The whole report as one JSON object with `"schema": 1`.
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
            "not_tested": self.not_tested().iter().map(Profile::to_string).collect::<Vec<_>>(),
            "passed": passed,
            "declined": declined,
            "failed": failed,
            "not_run": not_run,
            "capabilities": self.capabilities.as_ref().map(|claims| json!({
                "put_durability": format!("{:?}", claims.put_durability),
                "block_bytes_max": claims.block_bytes_max,
                "cumulative_durability": claims.cumulative_durability,
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
