//! The durations of many calls.

use std::time::{Duration, Instant};

/// The duration of each of many calls.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        Self(times.into_iter().collect())
    }
}

impl Times {
    /// Runs `call` and records its duration.
    pub fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = call();
        self.0.push(start.elapsed());
        value
    }

    /// Adds the times of another series, for instance of another thread.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The number of calls.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no calls.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum of all durations.
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }

    /// The duration that this fraction of the calls did not exceed: 0.5 is the median, 0.99 the 99th percentile. Zero
    /// if there are no calls.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).or(sorted.last()).copied().unwrap_or_default()
    }
}
