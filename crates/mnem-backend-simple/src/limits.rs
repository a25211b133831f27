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

/// How often a file is looked at and opened when it goes away in between.
pub(crate) const OPENINGS_MAX: usize = 16;

/// Pauses between attempts to find a file that must exist. Their sum outlasts a two-step rename by a busy process, and is short enough that a
/// caller learns of damage at once.
pub(crate) const ABSENCE_PAUSES: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(16),
    Duration::from_millis(32),
];

/// The longest name of a block's file.
pub(crate) const BLOCK_NAME_CHARS_MAX: usize = 138;
