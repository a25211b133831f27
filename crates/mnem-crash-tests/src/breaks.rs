//! Deliberate breaks of the protocol. The explorer must notice each of them; otherwise finding nothing would prove
//! nothing.

use std::ops::Range;

use crate::{Act, Counts, Engine, Scope, Violation, explored};

/// A break, with a seed that reveals it.
#[derive(Clone, Copy, Debug)]
pub struct Planted<B> {
    /// A description of the break.
    pub name: &'static str,
    /// The first seed from which the search reveals it quickly.
    pub seed: u64,
    /// The place of the break.
    pub at: Break<B>,
}

/// The place of a break.
#[derive(Clone, Copy, Debug)]
pub enum Break<B> {
    /// In the calls to the store. Every engine can have these.
    Caller(Caller),
    /// In the engine's storage, or in its calls to the storage.
    Medium(B),
}

/// A break in the calls to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Every writing call is acknowledged before it is made.
    AcknowledgedFirst,
    /// A commit changes the heads first, and then puts its blocks.
    HeadFirst,
    /// A commit puts its blocks first, and then changes the heads in a separate step.
    TwoSteps,
}

impl Caller {
    /// The calls that replace one call.
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

/// The first image that reveals a break.
#[derive(Debug)]
pub struct Shown {
    /// The violation that revealed it.
    pub violation: Violation,
    /// The work done until then.
    pub counts: Counts,
}

/// Searches the workloads of these seeds for a break. Returns `None` if nothing reveals it.
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

/// Searches for each break in so many seeds, and prints what reveals it.
///
/// # Panics
/// Nothing reveals one of the breaks.
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
