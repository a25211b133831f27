//! Durations of many calls.

use std::time::{Duration, Instant};

/// How long each of many calls took.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Runs `call`, and keeps how long it took.
    pub fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = call();
        self.0.push(start.elapsed());
        value
    }

    /// Adds the times of another series, as of another thread.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many calls there were.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them together.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }

    /// The time that this part of the calls did not exceed: 0.5 is the median, 0.99 the 99th percentile. Zero when there were no calls.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).or(sorted.last()).copied().unwrap_or_default()
    }
}
