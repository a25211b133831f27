//! Media without locks.

use crate::conformance::{
    Failure, Fault,
    case::Case,
    data::block,
    expect::{ensure, holds, put},
    failure::LawResult,
    show::error_text,
};

/// The folder for a lock, and the one around it.
const FOLDERS: u32 = 2;

pub(crate) fn opening_without_locks_is_refused(case: &mut Case) -> LawResult {
    let kept = block("kept");
    put(&*case.blocks()?, &kept)?;
    // Failing writes cannot show whether the store would sync, and need not: there is nothing to sync.
    for fault in [Some(Fault::WritesAfter(0)), None] {
        refused("of a store that is there", case.open_without_locks(fault)?)?;
        holds(&*case.blocks()?, &kept, "once there are locks")?;
    }
    // The folder for its lock, and the one around it, may be made before the lock is tried; nothing else may.
    for fault in [Some(Fault::WritesAfter(FOLDERS)), None] {
        refused("of a new place", case.unopened()?.open_without_locks(fault)?)?;
    }
    Ok(())
}

/// Where a write fails, an opening that has written too much before it holds its lock reports another error.
fn refused(what: &str, opened: Result<(), crate::conformance::FixtureError>) -> Result<(), Failure> {
    let did = format_args!("Fixture::open() {what} on a medium without locks");
    let said = opened.as_ref().map_or_else(|error| error_text(&**error), |()| "Ok".to_owned());
    let expected = "an error that names the locks, and nothing written before it but folders for the lock";
    ensure(opened.is_err() && names_locks(&said), did, expected, said)
}

/// Whether a word of the text is about locks; a block or a clock is not.
fn names_locks(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut words = lower.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.any(|word| ["lock", "flock", "unlock"].iter().any(|about| word.starts_with(about)))
}
