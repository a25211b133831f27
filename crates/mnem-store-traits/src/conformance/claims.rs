//! What a report says about each capability, claimed or not.

use std::fmt;

use serde_json::{Value, json};

use super::{Claim, Law, Mode, Profile, Report, Verdict};

/// One capability: whether it is claimed, and what the laws found out about it. `Display` puts this into words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Claimed {
    /// The capability and the value in question: `put_durability = Power`.
    pub capability: String,
    /// Whether the store claims it.
    pub claimed: bool,
    /// The laws that held. If the capability is claimed, these are laws that need the claim; otherwise, laws that check
    /// that the store refuses it.
    pub kept: Vec<&'static Law>,
    /// The laws among these that failed.
    pub broken: Vec<&'static Law>,
    /// The laws among these that were declined or not selected. If no law checked a claim, the report says that it was
    /// not tested.
    pub not_run: Vec<&'static Law>,
}

impl Claimed {
    /// Sorts the laws by their verdict in [`Mode::Direct`].
    fn new(report: &Report, capability: String, claimed: bool, asks: impl Fn(&Law) -> bool) -> Self {
        let mut told = Self { capability, claimed, kept: Vec::new(), broken: Vec::new(), not_run: Vec::new() };
        for law in super::laws().iter().filter(|law| asks(law)) {
            let entry = report.entries.iter().find(|entry| entry.law.id == law.id && entry.mode == Mode::Direct);
            match entry.map(|entry| &entry.verdict) {
                Some(Verdict::Passed) => told.kept.push(law),
                Some(Verdict::Failed(_)) => told.broken.push(law),
                Some(Verdict::Declined(_)) | None => told.not_run.push(law),
            }
        }
        told
    }

    pub(crate) fn to_json(&self) -> Value {
        let paths = |laws: &[&Law]| laws.iter().map(|law| law.path()).collect::<Vec<_>>();
        json!({
            "capability": self.capability,
            "claimed": self.claimed,
            "kept": paths(&self.kept),
            "broken": paths(&self.broken),
            "not_run": paths(&self.not_run),
            "says": self.standing(),
        })
    }

    /// The conclusion, in words.
    fn standing(&self) -> String {
        let Self { claimed, kept, broken, not_run, .. } = self;
        let first = |laws: &[&Law]| laws.first().map(|law| law.path()).unwrap_or_default();
        match (claimed, kept.len(), broken.len(), not_run.len()) {
            (_, _, 1.., _) if *claimed => format!("claimed, and broken: {}", first(broken)),
            (_, _, 1.., _) => format!("not claimed, and not refused: {}", first(broken)),
            (true, 0, 0, n) => {
                format!("claimed but not tested: {} did not run, such as {}", laws(n), first(not_run))
            }
            (true, k, 0, 0) => format!("claimed, and kept: {}", laws(k)),
            (true, k, 0, n) => {
                format!(
                    "claimed, and kept as far as tested: {}; {n} {} not run, such as {}",
                    laws(k),
                    were(n),
                    first(not_run)
                )
            }
            (false, 0, 0, 0) => "not claimed: not observable from outside, and callers must not rely on it".into(),
            (false, 1.., 0, _) => format!("not claimed, and refused as it must be: {}", first(kept)),
            (false, 0, 0, _) => format!("not claimed: the refusal was not tested: {}", first(not_run)),
        }
    }
}

fn laws(n: usize) -> String {
    if n == 1 { "1 law".into() } else { format!("{n} laws") }
}

fn were(n: usize) -> &'static str {
    if n == 1 { "was" } else { "were" }
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.capability, self.standing())
    }
}

impl Report {
    /// Every capability, claimed or not, and what the laws found out about it. Empty if the store could not be opened.
    pub fn claims(&self) -> Vec<Claimed> {
        let (blocks, heads) = (self.capabilities.as_ref(), self.heads_capabilities.as_ref());
        let mut claims = Vec::new();
        if let Some(blocks) = blocks {
            let limit = format!("block_bytes_max = {}", blocks.block_bytes_max);
            claims.push(Claimed::new(self, limit, true, |law| law.profiles.contains(&Profile::Limits)));
            claims.push(Claimed::new(self, "side_tables".into(), blocks.side_tables, |law| {
                if blocks.side_tables { law.profiles.contains(&Profile::SideTables) } else { law.id == REFUSES_TABLES }
            }));
        }
        for claim in
            Claim::ALL.into_iter().filter(|claim| if claim.is_of_heads() { heads.is_some() } else { blocks.is_some() })
        {
            let claimed = claim.is_made_in(blocks, heads);
            claims.push(Claimed::new(self, claim.to_string(), claimed, |law| claimed && law.claims.contains(&claim)));
        }
        claims
    }
}

/// The law that checks that side tables are refused if they are not claimed.
const REFUSES_TABLES: &str = "side_tables_are_offered_where_claimed";
