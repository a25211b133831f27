//! The faults that a store can show after a crash.

use std::error::Error;

use mnem_store_traits::StoreError;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// The store does not open.
    NotOpened,
    /// A read fails.
    Failed,
    /// Two answers contradict each other.
    Contradiction,
    /// A head is present without a block of its commit.
    HeadWithoutBlock,
    /// Something acknowledged is missing.
    Lost,
    /// Something is present that was never written, or that was deleted.
    Phantom,
    /// Part of an all-or-nothing operation is present, or rows out of order.
    Half,
    /// The store does not take or keep further writes.
    NotUsable,
    /// An error does not name the attempted operation, or has no cause.
    NotNamed,
    /// A panic.
    Panicked,
}

/// A result whose error contains the kind of fault and a description.
pub type Checked<T> = Result<T, (Wrong, String)>;

/// Fails with `wrong` and `what` unless the condition holds.
///
/// # Errors
/// The condition does not hold.
pub fn ensure(holds: bool, wrong: Wrong, what: impl FnOnce() -> String) -> Checked<()> {
    if holds { Ok(()) } else { Err((wrong, what())) }
}

/// Every message in the chain of an error.
pub fn whole(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Turns a failed read into [`Wrong::Failed`].
pub(crate) fn answered<T>(what: &str, answer: Result<T, StoreError>) -> Checked<T> {
    answer.map_err(|error| (Wrong::Failed, format!("{what}: {error:?}")))
}
