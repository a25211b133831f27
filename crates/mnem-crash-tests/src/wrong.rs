//! What can be wrong with a store after a crash.

use std::error::Error;

use mnem_store_traits::StoreError;

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// It does not open.
    NotOpened,
    /// A read fails.
    Failed,
    /// Two answers contradict each other.
    Contradiction,
    /// A head is there and a block of its commit is not.
    HeadWithoutBlock,
    /// Something acknowledged is not there.
    Lost,
    /// Something is there that nobody wrote, or that was deleted.
    Phantom,
    /// Part of an operation that is all or nothing, or rows out of their order.
    Half,
    /// The store does not take or keep new work.
    NotUsable,
    /// An error does not name what was tried, or has no cause.
    NotNamed,
    /// A panic.
    Panicked,
}

/// A result whose error says what is wrong, and the details.
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
