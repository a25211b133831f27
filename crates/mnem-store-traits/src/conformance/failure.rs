//! How a broken law is reported.

use std::fmt;

/// The step that broke a law: what was done, what the contract promises for it, and what was seen instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    did: String,
    expected: String,
    saw: String,
}

/// Why a law ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(Failure),
    Declined(String),
}

/// What a law returns.
pub(crate) type LawResult = Result<(), Stop>;

impl Failure {
    pub(crate) fn new(did: impl fmt::Display, expected: impl fmt::Display, saw: impl fmt::Display) -> Self {
        Self { did: did.to_string(), expected: expected.to_string(), saw: saw.to_string() }
    }

    /// The step that showed the failure.
    pub fn did(&self) -> &str {
        &self.did
    }

    /// What the contract promises for that step.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What was seen instead.
    pub fn saw(&self) -> &str {
        &self.saw
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did       {}\n  expected  {}\n  saw       {}", self.did, self.expected, self.saw)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
