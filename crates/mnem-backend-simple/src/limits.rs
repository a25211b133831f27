//! The limits of this backend, in one place.

use std::time::Duration;

/// Largest block, in bytes: 64 MiB. A block is read and written whole.
pub(crate) const BLOCK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Longest text of heads that is read, in bytes: 64 MiB.
pub(crate) const HEADS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Longest `format` file that is read, in bytes.
pub(crate) const FORMAT_BYTES_MAX: u64 = 256;

/// Pause between two attempts to take a lock. Short, because a busy holder releases it only for moments.
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// Readings of a folder, at most, if each reading finds new names.
pub(crate) const READINGS_MAX: usize = 8;

/// Attempts to check and open a file that disappears in between, at most.
pub(crate) const OPENINGS_MAX: usize = 16;

/// Pauses between attempts to find a file that must exist. Together they outlast a two-step rename of a busy process,
/// yet report damage without a noticeable delay.
pub(crate) const ABSENCE_PAUSES: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(16),
    Duration::from_millis(32),
];

/// The longest name of a block's file, in characters.
pub(crate) const BLOCK_NAME_CHARS_MAX: usize = 138;
