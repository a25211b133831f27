//! Panics of the engine below a backend, turned into errors.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    /// The depth of calls of [`contain`] in this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Decrements the depth when it is dropped, also by unwinding.
struct Level;

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Runs code of an engine that may panic, as redb does on pages that contradict each other. `Err` holds the panic's
/// payload.
///
/// Do not run a caller's code inside: its panics are its own. The engine's objects may be unfit to be used or dropped
/// afterwards.
///
/// # Errors
/// The payload of the panic.
pub fn contain<R>(f: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let _level = Level;
    catch_unwind(AssertUnwindSafe(f))
}

/// Whether this thread is inside [`contain`]. For a panic hook, which need not print a panic that becomes an error.
pub fn is_contained() -> bool {
    DEPTH.with(|depth| depth.get() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_and_what_follows_is_not_contained() {
        assert!(!is_contained());
        let inner = contain(|| contain(|| assert!(!is_contained(), "contained")).is_err() && is_contained());
        assert_eq!(inner.ok(), Some(true));
        assert!(!is_contained());
    }
}
