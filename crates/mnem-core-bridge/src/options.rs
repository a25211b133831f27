//! How long puts may wait.

use std::time::Duration;

use mnem_store_traits::{Buffered, Store};

/// How much may be staged, and for how long. The defaults are meant to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "options do nothing until a bridge is made with them"]
pub struct Options {
    pub(crate) staged_bytes_max: usize,
    pub(crate) staged_time_max: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            staged_bytes_max: Buffered::<Box<dyn Store>>::STAGED_BYTES_MAX,
            staged_time_max: Some(Self::STAGED_TIME_MAX),
        }
    }
}

impl Options {
    /// How long puts are staged unless set: 10 ms. Long enough for the puts of a small commit to share its transaction,
    /// and short enough that a crash takes next to nothing which the published backend would have kept.
    pub const STAGED_TIME_MAX: Duration = Duration::from_millis(10);

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that may be staged, names included. A put beyond them lands everything, itself too. 0: every put is durable when it returns.
    pub fn staged_bytes_max(mut self, bytes: usize) -> Self {
        self.staged_bytes_max = bytes;
        self
    }

    /// How long a put may be staged. `None`: until something else lands it, and the bridge has no thread.
    pub fn staged_time_max(mut self, time: Option<Duration>) -> Self {
        self.staged_time_max = time;
        self
    }
}
