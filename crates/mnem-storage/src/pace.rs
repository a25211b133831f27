//! How much is stored in one commit, so that none takes long.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long a commit should take. A process that is asked to end waits for at most two of them, and no signal ends a sync.
const COMMIT_TIME: Duration = Duration::from_millis(400);

/// The first commit, before anything was measured.
const FIRST_BYTES: u64 = 4 * 1024 * 1024;

/// The smallest limit: a store so slow is not helped by smaller commits.
const BYTES_MIN: u64 = 256 * 1024;

/// How much larger a commit may be than the limit before it, at most: one measurement may be wrong.
const GROWTH_MAX: u64 = 4;

/// The size of the next commit: bounded by memory, and by how long the commits before it took.
pub(super) struct Pace {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Pace {
    /// `bytes_max`: what memory allows.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(FIRST_BYTES.min(bytes_max)), bytes_max }
    }

    /// How many bytes the next commit may have.
    pub(super) fn limit(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A commit of so many bytes took so long.
    pub(super) fn learn(&self, bytes: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let fitting = u128::from(bytes) * COMMIT_TIME.as_micros() / u128::from(micros);
        let most = self.limit().saturating_mul(GROWTH_MAX).min(self.bytes_max);
        let fitting = u64::try_from(fitting).unwrap_or(u64::MAX).min(most);
        // A small commit says nothing about larger ones.
        let next = if took < COMMIT_TIME { fitting.max(self.limit()) } else { fitting };
        self.bytes.store(next.max(BYTES_MIN.min(self.bytes_max)), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn commits_grow_while_they_are_fast() {
        let pace = Pace::new(192 * MIB);
        assert_eq!(pace.limit(), 4 * MIB);
        pace.learn(4 * MIB, Duration::from_millis(10));
        assert_eq!(pace.limit(), 16 * MIB, "not by more than the growth of one step");
        pace.learn(16 * MIB, Duration::from_millis(200));
        assert_eq!(pace.limit(), 32 * MIB);
        // Fast and small: nothing is known about larger ones.
        pace.learn(1000, Duration::from_millis(300));
        assert_eq!(pace.limit(), 32 * MIB);
        for _ in 0..9 {
            pace.learn(pace.limit(), Duration::ZERO);
        }
        assert_eq!(pace.limit(), 192 * MIB, "memory bounds it");
    }

    #[test]
    fn commits_shrink_when_they_are_slow() {
        let pace = Pace::new(192 * MIB);
        pace.learn(4 * MIB, Duration::from_millis(1600));
        assert_eq!(pace.limit(), MIB);
        pace.learn(MIB, Duration::from_secs(3600));
        assert_eq!(pace.limit(), 256 * 1024);
        assert_eq!(Pace::new(1000).limit(), 1000);
    }
}
