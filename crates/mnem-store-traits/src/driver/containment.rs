//! Panics of the engine below a backend, turned into errors.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    /// How many calls of [`contain`] this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One level less when it is dropped, also by unwinding.
struct Level;

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Runs code of an engine that may panic, as redb does at pages that contradict each other. `Err` is what it panicked with.
///
/// No code of a caller belongs inside: its panics are its own. What the engine holds may be in no state to be used or dropped again.
///
/// # Errors
/// The payload of the panic.
pub fn contain<R>(f: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let _level = Level;
    catch_unwind(AssertUnwindSafe(f))
}

/// Whether this thread is inside of [`contain`]: for a panic hook, which need not print what comes back as an error.
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
