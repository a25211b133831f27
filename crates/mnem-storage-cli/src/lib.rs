//! The program `mnem-store` as a library: import, export, verify, copy and inspect stores of any backend.
//!
//! [`run`] takes the drivers of the backends. To ship the program with your own backend, add your driver:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     // With your own driver after the built-in ones:
//!     // `DRIVERS.iter().copied().chain([&yours::DRIVER as &dyn Driver])`.
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
mod typed_paths;
mod utc;

use std::process::ExitCode;

pub use mnem_storage::DRIVERS;
use mnem_storage::driver::Driver;

use crate::{
    context::Context,
    error::{Exit, Failure},
};

/// Runs the program with the arguments of this process. Call it from `main` and return its exit code.
///
/// `drivers` lists the backends in order of preference. Their names are the values of `--backend`. A new store gets the
/// backend that suits its path, else the first that accepts the path. The first call in a process sets its drivers;
/// later calls reuse them.
pub fn run(drivers: impl IntoIterator<Item = &'static dyn Driver>) -> ExitCode {
    drivers::set(drivers);
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    terminal::quiet_about_contained_panics();
    stop::prepare();
    let context = Context::new(cli.global, &cli.command);
    logs::begin(&context);
    let ran = memory::is_enough(cli.command.memory_bytes_min())
        .and_then(|()| context.refuse_secrets(&cli.command))
        .and_then(|()| commands::run(&context, cli.command));
    stop::last_words();
    let exit = match ran {
        // The work finished before the signal took effect, so the signal does not change the status.
        Ok(exit) => return exit.into(),
        // A reader that closes the pipe early is not an error.
        Err(Failure::OutputClosed) => Exit::Done,
        Err(failure) => report::report(&failure, &context),
    };
    match stop::asked() {
        Some(signal) => signal::end_by(signal),
        None => exit.into(),
    }
}
