//! `mnem-store`: import, export, verify, copy and explain stores of versioned knowledge graphs.

mod args;
mod cid_arg;
mod cid_text;
mod commands;
mod context;
mod error;
mod hints;
mod json_lines;
mod limits;
mod output;
mod progress;
mod terminal;

use std::process::ExitCode;

use crate::{context::Context, error::Failure};

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let context = Context::new(cli.global);
    match commands::run(&context, cli.command) {
        Ok(exit) => exit.into(),
        // Whoever read our output has seen enough.
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => error::report(&failure, &context).into(),
    }
}
