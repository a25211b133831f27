//! Limits on staged puts.

use std::time::Duration;

use mnem_store_traits::{Buffered, Store};

/// How much may be staged, and for how long. The defaults suit most programs.
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
    /// Default of [`staged_time_max`](Self::staged_time_max): 1 s.
    pub const STAGED_TIME_MAX: Duration = Duration::from_secs(1);

    /// Default of [`pause`](Self::pause): 10 ms, and 100 ms if the last put looks like one of a commit. A commit that
    /// pauses for longer takes one more transaction.
    pub const PAUSE: Duration = Duration::from_millis(10);

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Maximum size of staged blocks in bytes, including their CIDs. A put that exceeds it lands everything, itself
    /// included. 0: every put is durable when it returns.
    pub fn staged_bytes_max(mut self, bytes: usize) -> Self {
        self.staged_bytes_max = bytes;
        self
    }

    /// How long a put may be staged. `None`: until something else lands it, however long that takes. Then no put lands
    /// by itself, and the bridge has no thread.
    pub fn staged_time_max(mut self, time: Option<Duration>) -> Self {
        self.staged_time_max = time;
        self
    }

    /// The time without a put after which everything staged lands; ten times as long if the last put looks like one of
    /// a commit.
    pub fn pause(mut self, time: Duration) -> Self {
        self.pause = time;
        self
    }
}
