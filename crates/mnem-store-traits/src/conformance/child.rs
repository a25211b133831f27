//! A second process, for fixtures whose tests run under Rust's own test harness.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

use super::{FixtureError, Handles, obey, show::error_text};

const PLACE: &str = "MNEM_CONFORMANCE_PLACE";
const SCRIPT: &str = "MNEM_CONFORMANCE_SCRIPT";
/// What the child answers stands after this; the rest of its output is the harness's.
const ANSWER: &str = "second process: ";

/// Runs the test of this name (`second_process`, `module::second_process`) of the running test binary once more, in a
/// process of its own, and returns what [`as_second_process`] answered there. `place` is handed to the function given
/// to [`as_second_process`], as it is. All that
/// [`Fixture::obey_in_second_process`](super::Fixture::obey_in_second_process) has to do.
///
/// # Errors
/// The process could not be started, or failed; what it printed is in the error.
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

/// The body of the test that [`in_second_process`] names: opens the store and obeys. Does nothing in any other process.
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
