//! Random tests that can be repeated: seeds, choices, and shrinking what failed.

use std::fmt::Display;

use super::{Failure, case::Case};

/// Where random laws begin, and how far they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    pub(crate) first: u64,
    pub(crate) rounds: u64,
}

impl Seeds {
    const SEED: &str = "MNEM_CONFORMANCE_SEED";
    const ROUNDS: &str = "MNEM_CONFORMANCE_ROUNDS";
    /// Few, since every law has them in every run. The environment asks for more.
    const ROUNDS_DEFAULT: u64 = 5;

    /// What the environment asks for; the same seeds in every run unless it does.
    pub(crate) fn from_environment() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let seed = number(Self::SEED);
        let rounds = if seed.is_some() { 1 } else { Self::ROUNDS_DEFAULT };
        Self { first: seed.unwrap_or(1), rounds: number(Self::ROUNDS).unwrap_or(rounds).max(1) }
    }
}

impl Seeds {
    /// As few rounds as there may be, unless somebody asked for a number.
    pub(crate) fn fewest(self) -> Self {
        if self.rounds == Self::ROUNDS_DEFAULT { Self { rounds: 1, ..self } } else { self }
    }
}

/// splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n` − 1; 0 if `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % (n as u64).max(1)) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Up to `most` numbers below `n`, repeats included.
    pub(crate) fn some(&mut self, most: usize, n: usize) -> Vec<usize> {
        (0..self.below(most + 1)).map(|_| self.below(n)).collect()
    }
}

/// Runs `attempt` on sequences of `length` random steps, one for each seed, and reports the shortest sequence found
/// that fails.
///
/// Steps must make sense in any order and selection, so that leaving some out gives another sequence.
pub(crate) fn random<Op: Clone + Display>(
    case: &Case,
    length: usize,
    mut choose: impl FnMut(&mut Rng) -> Op,
    mut attempt: impl FnMut(&[Op]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Seeds { first, rounds } = case.seeds();
    for seed in first..first.saturating_add(rounds) {
        let mut rng = Rng::new(seed);
        let steps: Vec<Op> = (0..length).map(|_| choose(&mut rng)).collect();
        if let Err(failure) = attempt(&steps) {
            let (steps, failure) = shrink(steps, failure, &mut attempt);
            let list: Vec<String> = steps.iter().map(ToString::to_string).collect();
            let list = if list.is_empty() { "none: it fails without a step".to_owned() } else { list.join("; ") };
            let did = format_args!(
                "{}\n            after {length} random steps, of which these fail by themselves: {}\n            again with {}={seed}",
                failure.did(),
                list,
                Seeds::SEED
            );
            return Err(Failure::new(did, failure.expected(), failure.saw()));
        }
    }
    Ok(())
}

/// Attempts at a shorter sequence: enough for the lengths in use, and an end for a failure that comes and goes.
const ATTEMPTS_MAX: usize = 400;

/// Leaves out halves, quarters, … single steps, as long as what is left fails.
fn shrink<Op: Clone>(
    mut steps: Vec<Op>,
    mut failure: Failure,
    attempt: &mut impl FnMut(&[Op]) -> Result<(), Failure>,
) -> (Vec<Op>, Failure) {
    let mut attempts = 0;
    let mut piece = steps.len() / 2;
    while piece > 0 {
        let mut begin = 0;
        while begin < steps.len() && attempts < ATTEMPTS_MAX {
            let end = (begin + piece).min(steps.len());
            let shorter = [&steps[..begin], &steps[end..]].concat();
            attempts += 1;
            match attempt(&shorter) {
                Err(found) => (steps, failure) = (shorter, found),
                Ok(()) => begin = end,
            }
        }
        piece /= 2;
    }
    (steps, failure)
}
