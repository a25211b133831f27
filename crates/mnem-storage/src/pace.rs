//! Limits the size of a durable call, so that no call takes long.

use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The target time of a call. A process that is asked to end waits for at most two calls, because no signal interrupts
/// a sync.
const CALL_TIME: Duration = Duration::from_millis(400);

/// The maximum growth of the limit from one call to the next, because one measurement may be wrong.
const GROWTH_MAX: u64 = 4;

/// The maximum size of the next call, in bytes or blocks. Bounded by memory, and by the times of the previous calls.
pub(crate) struct Pace {
    limit: AtomicU64,
    /// If a store is too slow for the smallest call, even smaller ones would not help.
    bounds: RangeInclusive<u64>,
    /// What a call takes whatever its size, in microseconds: in a bucket, a delete waits for readers. Unknown at first,
    /// then the time of a smallest call, less what larger ones show to depend on the size.
    fixed: AtomicU64,
}

const UNKNOWN: u64 = u64::MAX;

impl Pace {
    /// `first` is the limit for the first call, before anything was measured.
    pub(crate) fn new(first: u64, min: u64, max: u64) -> Self {
        let min = min.min(max);
        Self { limit: AtomicU64::new(first.clamp(min, max)), bounds: min..=max, fixed: AtomicU64::new(UNKNOWN) }
    }

    /// The maximum size of the next call.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Records that a call of this size took this time.
    pub(crate) fn learn(&self, size: u64, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let micros = took.saturating_sub(self.learn_fixed(size, took)).max(1);
        let took = Duration::from_micros(micros);
        let fitting = u128::from(size) * CALL_TIME.as_micros() / u128::from(micros);
        let most = self.limit().saturating_mul(GROWTH_MAX);
        let fitting = u64::try_from(fitting).unwrap_or(u64::MAX).min(most);
        // A small call says little about larger ones.
        let next = if took < CALL_TIME { fitting.max(self.limit()) } else { fitting };
        self.limit.store(next.clamp(*self.bounds.start(), *self.bounds.end()), Ordering::Relaxed);
    }
}

impl Pace {
    /// The part of a call's time that does not depend on its size, in microseconds.
    fn learn_fixed(&self, size: u64, micros: u64) -> u64 {
        let smallest = *self.bounds.start();
        let known = self.fixed.load(Ordering::Relaxed);
        let fixed = match known {
            UNKNOWN if self.limit() <= smallest => micros,
            UNKNOWN => return 0,
            // The line through a smallest call and this one begins here.
            _ if size > smallest => {
                let each = u128::from(micros.saturating_sub(known)) / u128::from(size - smallest);
                known.saturating_sub(u64::try_from(each * u128::from(smallest)).unwrap_or(u64::MAX))
            }
            _ => known.min(micros),
        };
        self.fixed.store(fixed, Ordering::Relaxed);
        fixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn calls_grow_while_they_are_fast() {
        let pace = Pace::new(4 * MIB, MIB / 4, 192 * MIB);
        assert_eq!(pace.limit(), 4 * MIB);
        pace.learn(4 * MIB, Duration::from_millis(10));
        assert_eq!(pace.limit(), 16 * MIB, "not by more than the growth of one step");
        pace.learn(16 * MIB, Duration::from_millis(200));
        assert_eq!(pace.limit(), 32 * MIB);
        // Fast and small: nothing is known about larger calls.
        pace.learn(1000, Duration::from_millis(300));
        assert_eq!(pace.limit(), 32 * MIB);
        for _ in 0..9 {
            pace.learn(pace.limit(), Duration::ZERO);
        }
        assert_eq!(pace.limit(), 192 * MIB, "memory bounds it");
    }

    /// A delete in a bucket takes time like this.
    #[test]
    fn calls_grow_if_only_their_number_takes_time() {
        let pace = Pace::new(64, 64, 8192);
        let took = |size: u64| Duration::from_micros(1_100_000 + 10 * size);
        for expected in [256, 1024, 4096, 8192] {
            pace.learn(pace.limit(), took(pace.limit()));
            assert_eq!(pace.limit(), expected);
        }
        // A slow line is not a fixed cost: after one larger call, the calls stay small.
        let pace = Pace::new(64, 64, 8192);
        let took = |size: u64| Duration::from_millis(size * 15);
        let limits = [(); 6].map(|()| {
            pace.learn(pace.limit(), took(pace.limit()));
            pace.limit()
        });
        assert_eq!(limits, [256, 64, 64, 64, 64, 64]);
    }

    #[test]
    fn calls_shrink_when_they_are_slow() {
        let pace = Pace::new(4 * MIB, MIB / 4, 192 * MIB);
        pace.learn(4 * MIB, Duration::from_millis(1600));
        assert_eq!(pace.limit(), MIB);
        pace.learn(MIB, Duration::from_secs(3600));
        assert_eq!(pace.limit(), 256 * 1024);
        assert_eq!(Pace::new(4 * MIB, MIB, 1000).limit(), 1000);
    }
}
