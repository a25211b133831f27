//! Options that every command takes.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{ArgAction, ValueEnum, ValueHint};
use mnem_storage::driver::Sharing;

use crate::{
    drivers,
    limits::{CACHE_BYTES_USUAL, LISTING_CACHE_BYTES},
    output::Size,
};

/// Options that may stand before or after the command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options for every command")]
pub(crate) struct Global {
    /// The store: its path [env: MNEM_STORE]
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) store: Option<PathBuf>,
    /// Answer in JSON: an object, or one a line for listings; errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but the answer and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what is opened and made, and log recoveries and lost commits; -vv logs every step
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Show progress on standard error (auto: on a terminal)
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds, help = lock_wait_help())]
    pub(crate) lock_wait: Option<Duration>,
    #[arg(long, global = true, value_name = "BYTES", value_parser = size, help = cache_help())]
    pub(crate) cache: Option<ByteSize>,
    /// How a store is shared that cannot always be: in the mode in which others have it open
    #[arg(long, global = true, value_name = "MODE", default_value = "exclusive-writer")]
    pub(crate) concurrency: Mode,
    /// Open a store also where there are no file locks: nothing else may use it meanwhile
    #[arg(long, global = true)]
    pub(crate) without_locks: bool,
    /// Write to a store also where folders cannot be synced: a power cut may take new files away
    #[arg(long, global = true)]
    pub(crate) without_folder_sync: bool,
}

/// Who else may have a store open: see [`Sharing`]. The values have no help of their own, which would make that of every command long.
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
    format!("How long to wait for a lock that another process holds [default: {defaults}]")
}

fn cache_help() -> String {
    let listing = Size(LISTING_CACHE_BYTES as u64);
    format!("Memory for the cache of a store [default: {}; {listing} for listings]", Size(CACHE_BYTES_USUAL as u64))
}

/// A number of bytes, maybe with a unit.
pub(crate) fn size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "a size is a number of bytes, or one with a unit, as 20MB or 20MiB".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
