//! Every limit of this backend, in one place.

use std::time::Duration;

/// Largest block: 64 MiB. A block is read and written whole.
pub(crate) const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Longest text of heads that is read: 64 MiB.
pub(crate) const HEADS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Longest `format` file that is read.
pub(crate) const FORMAT_BYTES_MAX: u64 = 256;

/// Pause between two attempts at a lock. Short, since a busy holder leaves it for moments only.
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// How often a folder is read at most, when each reading finds new names.
pub(crate) const READINGS_MAX: usize = 8;
