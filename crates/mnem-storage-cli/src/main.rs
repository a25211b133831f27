//! `mnem-store`: import, export, verify, copy and explain stores of versioned knowledge graphs.

mod args;
mod cid_arg;
mod cid_short;
mod cid_text;
mod commands;
mod context;
mod error;
mod file_arg;
mod hints;
mod json_lines;
mod left_out;
mod limits;
mod memory;
mod new_file;
mod output;
mod progress;
mod reachable;
mod salvage;
mod stop;
mod streams;
mod target;
mod terminal;

use std::process::ExitCode;

use crate::{
    context::Context,
    error::{Exit, Failure},
};

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    terminal::quiet_about_redb();
    stop::prepare();
    let context = Context::new(cli.global);
    let ran = memory::is_enough_for(&cli.command).and_then(|()| commands::run(&context, cli.command));
    stop::last_words();
    let exit = match ran {
        Ok(exit) => exit,
        // Whoever read our output has seen enough.
        Err(Failure::OutputClosed) => Exit::Done,
        Err(failure) => error::report(&failure, &context),
    };
    match stop::asked() {
        // Also where everything was done by then: whoever called it is to know that it shall stop.
        Some(signal) => stop::end_by(signal),
        None => exit.into(),
    }
}
