//! Running all laws without a test harness.

use std::{
    fmt,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    CONTRACT_VERSION, Fixture, Law, Level, Profile, Verdict,
    case::Case,
    fixture::{AnyFixture, Erased},
    random::Seeds,
};
use crate::{Capabilities, HeadsCapabilities};

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
    /// [`CONTRACT_VERSION`](super::CONTRACT_VERSION) of the laws.
    pub contract_version: u32,
    /// What the random laws began with: [`Options::seed`] repeats them.
    pub seed: u64,
    /// What the store claims of its blocks; `None` without blocks, or when it could not be opened.
    pub capabilities: Option<Capabilities>,
    /// What it claims of its heads; `None` without heads, or when it could not be opened.
    pub heads_capabilities: Option<HeadsCapabilities>,
    /// One for each law, in the order of the list. Laws that the options left out are missing here, and cost their profiles.
    pub entries: Vec<Entry>,
}

/// What came of one law.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The law.
    pub law: &'static Law,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took, setting up and cleaning up included.
    pub duration: Duration,
}

impl Options {
    /// Runs only the laws whose path (`blocks::put_twice_is_ok`) contains this text.
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

/// Runs every chosen law, one after the other. Does not panic, and ends: each law has the fixture's deadline.
pub fn run<F: Fixture + Clone>(fixture: &F, options: &Options) -> Report {
    let fixture: Arc<dyn AnyFixture> = Arc::new(Erased(Arc::new(fixture.clone())));
    let environment = Seeds::from_environment();
    let seeds = Seeds {
        first: options.seed.unwrap_or(environment.first),
        rounds: options.rounds.unwrap_or(environment.rounds),
    };
    let chosen = |law: &&Law| options.only.as_ref().is_none_or(|text| law.path().contains(text));
    let entries = super::laws().iter().filter(chosen).map(|law| {
        let begin = Instant::now();
        let verdict = law.run_erased(Arc::clone(&fixture), seeds);
        Entry { law, verdict, duration: begin.elapsed() }
    });
    let entries = entries.collect();
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

/// What the store claims, asked like a law: in a thread with a deadline, so that neither a panic nor a deadlock gets out.
fn claims(fixture: Arc<dyn AnyFixture>, seeds: Seeds) -> (Option<Capabilities>, Option<HeadsCapabilities>) {
    let deadline = fixture.deadline();
    let (send, claims) = mpsc::channel();
    let asking = thread::Builder::new().spawn(move || {
        if let Ok(case) = Case::new(fixture, seeds) {
            let blocks = case.handles().as_blocks().map(|blocks| blocks.capabilities());
            let heads = case.handles().as_heads().map(|heads| heads.heads_capabilities());
            // Nobody listens any more when the deadline has passed.
            let _ = send.send((blocks, heads));
        }
    });
    asking.ok().and_then(|_| claims.recv_timeout(deadline).ok()).unwrap_or_default()
}

impl Report {
    /// Whether no must-law failed.
    pub fn is_ok(&self) -> bool {
        self.entries.iter().all(|entry| entry.law.level != Level::must || !matches!(entry.verdict, Verdict::Failed(_)))
    }

    /// The profiles to which the backend conforms: every must-law that asks for the profile was run and held, or was declined because it
    /// also asks for something the backend does not claim; and at least one held.
    pub fn conforms_to(&self) -> Vec<Profile> {
        Profile::ALL.into_iter().filter(|profile| self.conforms(*profile)).collect()
    }

    fn conforms(&self, profile: Profile) -> bool {
        let mut held = 0;
        for law in super::laws().iter().filter(|law| law.level == Level::must && law.profiles.contains(&profile)) {
            match self.entries.iter().find(|entry| entry.law.id == law.id).map(|entry| &entry.verdict) {
                Some(Verdict::Passed) => held += 1,
                Some(Verdict::Declined(_)) => {}
                Some(Verdict::Failed(_)) | None => return false,
            }
        }
        held > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = [0; 3];
        for Entry { law, verdict, duration } in &self.entries {
            let (count, text) = match verdict {
                Verdict::Passed => (0, format!("ok        {law} ({duration:.1?})")),
                Verdict::Declined(why) => (1, format!("declined  {law}: {why}")),
                Verdict::Failed(failure) => (2, format!("FAILED    {}", law.failure_text(&self.backend, failure))),
            };
            counts[count] += 1;
            writeln!(f, "{text}")?;
        }
        let [passed, declined, failed] = counts;
        let not_run = super::laws().len() - self.entries.len();
        writeln!(f, "{passed} passed, {declined} declined, {failed} failed, {not_run} not run")?;
        let profiles: Vec<_> = self.conforms_to().iter().map(Profile::to_string).collect();
        let profiles = if profiles.is_empty() { "nothing".into() } else { profiles.join(", ") };
        writeln!(f, "{} conforms to (contract version {}): {profiles}", self.backend, self.contract_version)
    }
}
