//! The options of every command.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{ArgAction, ValueEnum, ValueHint};
use mnem_storage::driver::Sharing;

use crate::{
    drivers,
    limits::{CACHE_BYTES_USUAL, READING_CACHE_BYTES},
    output::{Count, Size},
};

/// The global options, accepted before and after the command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options for every command")]
pub(crate) struct Global {
    /// Path or URL of the store [env: MNEM_STORE]
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) store: Option<PathBuf>,
    /// Print JSON: one object, or one object per line for listings; errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only requested data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Report each store that is opened or created, and log recoveries and lost commits; -vv logs every step
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Show progress on standard error (auto: if it is a terminal)
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,
    #[arg(long, global = true, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds, help = lock_wait_help())]
    pub(crate) lock_wait: Option<Duration>,
    #[arg(long, global = true, value_name = "BYTES", value_parser = size, help = cache_help())]
    pub(crate) cache: Option<ByteSize>,
    /// Sharing mode of a redb file; every process must open it in the same mode
    #[arg(long, global = true, value_name = "MODE", default_value = "exclusive-writer")]
    pub(crate) sharing: Mode,
    /// Allow a file system without file locks; make sure that nothing else uses the store
    #[arg(long, global = true)]
    pub(crate) without_locks: bool,
    /// Allow a file system that cannot sync folders; a power cut may lose new files
    #[arg(long, global = true)]
    pub(crate) without_folder_sync: bool,
}

/// Who else may have the store open: see [`Sharing`].
///
/// The values have no help text of their own: it would appear in the help of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    #[value(name = "exclusive-writer")]
    Exclusive,
    #[value(name = "single-writer")]
    Single,
    #[value(name = "multi-writer")]
    Multi,
}

impl From<Mode> for Sharing {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Exclusive => Self::ExclusiveWriter,
            Mode::Single => Self::SingleWriter,
            Mode::Multi => Self::MultiWriter,
        }
    }
}

/// When to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

fn lock_wait_help() -> String {
    let defaults = drivers::list(|driver| driver.lock_wait().as_secs().to_string());
    format!("Seconds to wait for a lock held by another process [default: {defaults}]")
}

fn cache_help() -> String {
    let [writing, reading] = [CACHE_BYTES_USUAL, READING_CACHE_BYTES].map(|bytes| Size(bytes as u64));
    format!("Size of the store's cache; simple has none [default: {writing} to write, {reading} to read]")
}

/// Parses a number of bytes with an optional unit.
pub(crate) fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "expected a number of bytes, with or without a unit: 20000000, 20MB or 20MiB".to_owned())
}

/// A whole number in `range`.
pub(crate) fn whole_number(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && range.contains(number)).ok_or_else(|| {
        format!("expected a whole number from {} to {}", Count((*range.start()).into()), Count((*range.end()).into()))
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
