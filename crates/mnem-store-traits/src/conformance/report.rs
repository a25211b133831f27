//! Running all laws without a test harness.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    CONTRACT_VERSION, Fixture, Law, Level, Profile, Verdict,
    fixture::{AnyFixture, Erased},
};

/// What to run. `Options::default()` is every law.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    only: Option<String>,
}

/// What came of every law that was chosen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// [`Fixture::name`].
    pub backend: String,
    /// [`CONTRACT_VERSION`](super::CONTRACT_VERSION) of the laws.
    pub contract_version: u32,
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
}

/// Runs every chosen law, one after the other. Does not panic, and ends: each law has the fixture's deadline.
pub fn run<F: Fixture + Clone>(fixture: &F, options: &Options) -> Report {
    let fixture: Arc<dyn AnyFixture> = Arc::new(Erased(Arc::new(fixture.clone())));
    let chosen = |law: &&Law| options.only.as_ref().is_none_or(|text| law.path().contains(text));
    let entries = super::laws().iter().filter(chosen).map(|law| {
        let begin = Instant::now();
        let verdict = law.run_erased(Arc::clone(&fixture));
        Entry { law, verdict, duration: begin.elapsed() }
    });
    Report { backend: fixture.name().to_owned(), contract_version: CONTRACT_VERSION, entries: entries.collect() }
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
