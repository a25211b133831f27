//! Starts a second process, for fixtures whose tests run under Rust's own test harness.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

use super::{FixtureError, Handles, obey, show::error_text};

const PLACE: &str = "MNEM_CONFORMANCE_PLACE";
const SCRIPT: &str = "MNEM_CONFORMANCE_SCRIPT";
/// Marks the start of the child's answer in its output; the rest of the output comes from the test harness.
const ANSWER: &str = "second process: ";

/// Runs the test `test` of the current test binary again, in a new process, and returns the answer of
/// [`as_second_process`] from there.
///
/// `test` is the full name of a test that calls [`as_second_process`]: `second_process`, or `module::second_process`.
/// The child process passes `place` on unchanged. Most fixtures implement
/// [`Fixture::obey_in_second_process`](super::Fixture::obey_in_second_process) with this one call.
///
/// # Errors
/// The process could not be started, or it failed. The error contains its output.
pub fn in_second_process(test: &str, place: impl AsRef<OsStr>, script: &str) -> Result<String, FixtureError> {
    let output = Command::new(env::current_exe()?)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(PLACE, place)
        .env(SCRIPT, script)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the second process failed with {}: {said}{complaint}", output.status).into());
    }
    let answers = said.lines().filter_map(|line| line.split_once(ANSWER));
    let answer: String = answers.map(|(_, answer)| format!("{answer}\n")).collect();
    if answer.is_empty() {
        return Err(format!(
            "the second process answered nothing: is there a test {test} that calls as_second_process()?\n{said}"
        )
        .into());
    }
    Ok(answer)
}

/// The body of the test that [`in_second_process`] names.
///
/// In a process that [`in_second_process`] started, calls `open` with the `place` given there and executes the script
/// on the handles. In any other process, does nothing.
pub fn as_second_process(open: impl FnOnce(OsString) -> Result<Handles, FixtureError>) {
    let (Some(place), Ok(script)) = (env::var_os(PLACE), env::var(SCRIPT)) else { return };
    let answer = match open(place) {
        Ok(handles) => obey(&handles, &script),
        Err(error) => format!("could not open the store: {}", error_text(&*error)),
    };
    for line in answer.lines() {
        println!("{ANSWER}{line}");
    }
}
