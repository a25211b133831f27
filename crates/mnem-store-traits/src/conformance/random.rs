//! Randomized tests that can be reproduced: seeds, choices, and shrinking of failing sequences.

use std::fmt::Display;

use super::{Failure, case::Case};

/// The first seed of the randomized laws, and the number of rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    pub(crate) first: u64,
    pub(crate) rounds: u64,
}

impl Seeds {
    const SEED: &str = "MNEM_CONFORMANCE_SEED";
    const ROUNDS: &str = "MNEM_CONFORMANCE_ROUNDS";
    /// Few, because every test run includes the randomized laws. The environment can ask for more.
    const ROUNDS_DEFAULT: u64 = 5;

    /// Reads the seed and the rounds from the environment. Without these variables, every run uses the same seeds.
    pub(crate) fn from_environment() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let seed = number(Self::SEED);
        let rounds = if seed.is_some() { 1 } else { Self::ROUNDS_DEFAULT };
        Self { first: seed.unwrap_or(1), rounds: number(Self::ROUNDS).unwrap_or(rounds).max(1) }
    }
}

impl Seeds {
    /// Reduces the rounds to one, unless the environment asked for a number.
    pub(crate) fn fewest(self) -> Self {
        if self.rounds == Self::ROUNDS_DEFAULT { Self { rounds: 1, ..self } } else { self }
    }
}

/// The splitmix64 generator.
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

    /// A number from 0 to `n` − 1, or 0 if `n` is 0.
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

/// Runs `attempt` on a sequence of `length` random steps for each seed. Reports the shortest failing sequence that it
/// finds.
///
/// Steps must be valid in any order and selection, because shrinking leaves some of them out.
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

/// The most attempts at a shorter sequence. Enough for the lengths in use, and a bound for failures that come and go.
const ATTEMPTS_MAX: usize = 400;

/// Leaves out halves, quarters, … and finally single steps, as long as the rest still fails.
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
