//! Media without locks.

use crate::conformance::{
    Failure, Fault,
    case::Case,
    data::block,
    expect::{ensure, holds, put},
    failure::LawResult,
    show::error_text,
};

pub(crate) fn opening_without_locks_is_refused(case: &mut Case) -> LawResult {
    let kept = block("kept");
    put(&*case.blocks()?, &kept)?;
    // Failing writes cannot show whether the store would sync, and need not: there is nothing to sync.
    for fault in [Some(Fault::WritesAfter(0)), None] {
        refused("of a store that is there", case.open_without_locks(fault)?)?;
        holds(&*case.blocks()?, &kept, "once there are locks")?;
    }
    // With failing writes it could say that it cannot make the folder that its lock is to be in.
    refused("of a new place", case.unopened()?.open_without_locks(None)?)?;
    Ok(())
}

/// Writes fail in one of the two attempts. An opening that writes before it holds its lock then reports another error.
fn refused(what: &str, opened: Result<(), crate::conformance::FixtureError>) -> Result<(), Failure> {
    let did = format_args!("Fixture::open() {what} on a medium without locks");
    let said = opened.as_ref().map_or_else(|error| error_text(&**error), |()| "Ok".to_owned());
    let fine = opened.is_err() && said.to_lowercase().contains("lock");
    ensure(fine, did, "an error that names the locks, and nothing written to a store before it", said)
}
