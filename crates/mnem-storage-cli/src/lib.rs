//! The program `mnem-store` as a library: import, export, verify, copy and explain stores of versioned knowledge graphs, of any backend.
//!
//! [`run`] takes the drivers of the backends, so that the author of a backend ships the whole program over it:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     // Their driver behind those of this build: `DRIVERS.iter().copied().chain([&theirs::DRIVER as &dyn Driver])`.
//!     mnem_storage_cli::run(mnem_storage_cli::DRIVERS.iter().copied())
//! }
//! ```

mod args;
mod cid_arg;
mod cid_list;
mod cid_short;
mod cid_text;
mod cli;
mod commands;
mod common_words;
mod context;
mod drivers;
mod error;
mod file_arg;
mod hints;
#[cfg(unix)]
mod inherited;
mod json_lines;
mod left_out;
mod limits;
mod logs;
mod memory;
mod new_file;
mod output;
mod progress;
mod report;
mod signal;
mod stop;
mod streams;
mod target;
mod terminal;

use std::process::ExitCode;

pub use mnem_storage::DRIVERS;
use mnem_storage::driver::Driver;

use crate::{
    context::Context,
    error::{Exit, Failure},
};

/// Runs the program with the arguments of this process: what `main` does, and nothing else.
///
/// `drivers`: the backends, in order of preference. Theirs are the values of `--backend`; new stores get the first one that does not object to
/// the path, unless another suits it. The drivers of a process are those of its first call.
pub fn run(drivers: impl IntoIterator<Item = &'static dyn Driver>) -> ExitCode {
    drivers::set(drivers);
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    terminal::quiet_about_contained_panics();
    stop::prepare();
    let context = Context::new(cli.global);
    logs::begin(&context);
    let ran = memory::is_enough(cli.command.memory_bytes_min()).and_then(|()| commands::run(&context, cli.command));
    stop::last_words();
    let exit = match ran {
        // Work that was complete when a signal came is complete.
        Ok(exit) => return exit.into(),
        // The reader of the output has seen enough.
        Err(Failure::OutputClosed) => Exit::Done,
        Err(failure) => report::report(&failure, &context),
    };
    match stop::asked() {
        Some(signal) => signal::end_by(signal),
        None => exit.into(),
    }
}
