//! Protocols that are broken on purpose: the explorer must notice each, or its silence proves nothing.

use std::ops::Range;

use crate::{Act, Counts, Engine, Scope, Violation, explored};

/// A break, and where it shows.
#[derive(Clone, Copy, Debug)]
pub struct Planted<B> {
    /// What is broken.
    pub name: &'static str,
    /// A seed that shows it. Earlier seeds show it later, or not.
    pub seed: u64,
    /// Where it is.
    pub at: Break<B>,
}

/// Where a break is.
#[derive(Clone, Copy, Debug)]
pub enum Break<B> {
    /// In how the store is called. Every engine can have these.
    Caller(Caller),
    /// In the engine's storage, or in the calls that reach it.
    Medium(B),
}

/// A break in how the store is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Every call that writes is acknowledged before it is made.
    AcknowledgedFirst,
    /// A commit changes the heads, then puts its blocks.
    HeadFirst,
    /// A commit puts its blocks, then changes the heads.
    TwoSteps,
}

impl Caller {
    /// The calls that are made instead of one.
    pub(crate) fn steps(broken: Option<Self>, act: &Act) -> Vec<Act> {
        let Act::Commit { puts, heads, .. } = act else { return vec![act.clone()] };
        let (puts, heads) = (Act::PutMany(puts.clone()), Act::ChangeHeads(heads.clone()));
        match broken {
            Some(Self::HeadFirst) => vec![heads, puts],
            Some(Self::TwoSteps) => vec![puts, heads],
            Some(Self::AcknowledgedFirst) | None => vec![act.clone()],
        }
    }
}

/// The first image that shows a break.
#[derive(Debug)]
pub struct Shown {
    /// The violation that revealed it.
    pub violation: Violation,
    /// What was looked at until then.
    pub counts: Counts,
}

/// Looks for a break in the workloads of these seeds. `None`: nothing shows it.
pub fn first_shown<E: Engine>(planted: &Planted<E::Break>, seeds: Range<u64>, scope: &Scope) -> Option<Shown> {
    let mut counts = Counts::default();
    for seed in seeds {
        let (more, violation) = explored::<E>(seed, Some(planted), scope);
        counts.add(&more);
        if let Some(violation) = violation {
            return Some(Shown { violation, counts });
        }
    }
    None
}

/// Looks for each of the breaks in so many seeds, and prints what shows it.
///
/// # Panics
/// Nothing shows one of them.
pub fn every_break_shows<E: Engine>(
    breaks: &[Planted<E::Break>],
    from: fn(&Planted<E::Break>) -> u64,
    seeds: u64,
    scope: &Scope,
) {
    let mut missed = Vec::new();
    for planted in breaks {
        let first = from(planted);
        match first_shown::<E>(planted, first..first + seeds, scope) {
            Some(Shown { violation, counts }) => {
                println!("{:<52}{:>8} images  {}", planted.name, counts.images, violation.headline());
            }
            None => missed.push(planted.name),
        }
    }
    assert!(missed.is_empty(), "no image of {seeds} seeds shows {missed:?}");
}
