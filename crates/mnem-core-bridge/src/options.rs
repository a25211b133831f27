//! How long puts may wait.

use std::time::Duration;

use mnem_store_traits::{Buffered, Store};

/// How much may be staged, and for how long. The defaults are meant to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "options do nothing until a bridge is made with them"]
pub struct Options {
    pub(crate) staged_bytes_max: usize,
    pub(crate) staged_time_max: Option<Duration>,
    pub(crate) pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            staged_bytes_max: Buffered::<Box<dyn Store>>::STAGED_BYTES_MAX,
            staged_time_max: Some(Self::STAGED_TIME_MAX),
            pause: Self::PAUSE,
        }
    }
}

impl Options {
    /// How long a put is staged at most, unless set: 1 s.
    pub const STAGED_TIME_MAX: Duration = Duration::from_secs(1);

    /// After how long without a put everything staged lands, unless set: 10 ms, and 100 ms where the last put looks like
    /// one of a commit. A commit that pauses for longer takes one more transaction.
    pub const PAUSE: Duration = Duration::from_millis(10);

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that may be staged, names included. A put beyond them lands everything, itself too. 0: every put is durable when it returns.
    pub fn staged_bytes_max(mut self, bytes: usize) -> Self {
        self.staged_bytes_max = bytes;
        self
    }

    /// How long a put may be staged. `None`: until something else lands it, however long that takes; then no put lands
    /// by itself, and the bridge has no thread.
    pub fn staged_time_max(mut self, time: Option<Duration>) -> Self {
        self.staged_time_max = time;
        self
    }

    /// After how long without a put everything staged lands; ten times as long where the last put looks like one of a commit.
    pub fn pause(mut self, time: Duration) -> Self {
        self.pause = time;
        self
    }
}
