//! Error reports on standard error.

use std::error::Error;

use serde::Serialize;

use crate::{
    context::Context,
    error::{Exit, Failure},
    hints,
    output::Versioned,
    terminal::{self, Printable},
};

#[derive(Serialize)]
struct Told<'a> {
    error: &'a str,
    kind: &'a str,
    causes: &'a [String],
    hint: &'a str,
    exit: u8,
}

/// Reports a failure on standard error, and returns the exit status.
pub(crate) fn report(failure: &Failure, context: &Context) -> Exit {
    let error = failure.without_method(failure.to_string());
    let causes = causes(failure, &error).into_iter().map(|cause| context.as_typed(cause)).collect::<Vec<_>>();
    let error = context.as_typed(error);
    let hint = hints::hint(failure, context);
    if context.json() {
        tell_json(&Told {
            error: &error,
            kind: failure.kind(),
            causes: &causes,
            hint: &hint,
            exit: failure.exit().code(),
        });
        return failure.exit();
    }
    let [red, cyan, plain] =
        if terminal::stderr_has_colour() { ["\x1b[1;31m", "\x1b[1;36m", "\x1b[0m"] } else { [""; 3] };
    terminal::say(format_args!("{red}error:{plain} {}", Printable(error)));
    for cause in causes {
        terminal::say(format_args!("  caused by: {}", Printable(cause)));
    }
    terminal::say(format_args!("{cyan}hint:{plain} {}", Printable(hint)));
    failure.exit()
}

/// Reports a usage error of the parser as JSON.
pub(crate) fn report_usage_as_json(error: &clap::Error) {
    let text = error.to_string();
    let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let tip = rest.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let hint = tip.map_or_else(|| format!("run `{} --help`", command_in_usage(rest)), str::to_owned);
    tell_json(&Told { error: message, kind: "usage", causes: &[], hint: &hint, exit: Exit::Usage.code() });
}

/// The command of a usage line: its words before the options and arguments.
fn command_in_usage(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("mnem-store");
    let is_word = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    usage.split(' ').take_while(is_word).collect::<Vec<_>>().join(" ")
}

fn tell_json(told: &Told<'_>) {
    if let Ok(json) = serde_json::to_string(&Versioned::new(told)) {
        terminal::say(json);
    }
}

/// The chain of sources, outermost first, without those whose text the line before contains.
fn causes(failure: &Failure, said: &str) -> Vec<String> {
    let mut causes = failure.details();
    let mut source = failure.source();
    while let Some(error) = source {
        let text = failure.without_method(error.to_string());
        if !causes.last().map_or(said, String::as_str).contains(&text) {
            causes.push(text);
        }
        source = error.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use mnem_storage::{CopyError, StoreError};

    use super::*;

    #[test]
    fn the_usage_names_the_command() {
        let text = "\nUsage: mnem-store heads swap --expected <CID> <NEW>\n\nFor more information";
        assert_eq!(command_in_usage(text), "mnem-store heads swap");
        assert_eq!(command_in_usage("Usage: mnem-store [OPTIONS] <COMMAND>"), "mnem-store");
        assert_eq!(command_in_usage(""), "mnem-store");
    }

    #[test]
    fn a_cause_that_was_told_is_left_out() {
        let store = StoreError::NeedsRecovery { location: "a.redb".into() };
        let source = CopyError::Source(store.clone().into());
        let failure =
            Failure::Copy { from: "a.redb".into(), to: "b.redb".into(), merges: false, salvages: false, source };
        assert_eq!(causes(&failure, &failure.to_string()), [store.to_string()]);
        assert_eq!(failure.exit(), Exit::NeedsRecovery);
        assert_eq!(causes(&failure, &format!("failed: {store}")), Vec::<String>::new());
    }
}
