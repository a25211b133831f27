//! Catches expected panics without printing them.

use std::{
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

static INSTALLED: Once = Once::new();

/// Runs `f`, and returns a panic as text. Panics that are caught inside `f` are not printed either. Other threads are
/// not affected.
///
/// # Errors
/// The text of the panic.
pub fn quietly<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    INSTALLED.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                LAST.set(info.to_string());
            } else {
                loud(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f)).map_err(|_| LAST.take());
    QUIET.set(before);
    result
}

#[test]
fn a_panic_comes_back_as_text() {
    let panicked = quietly(|| panic!("planted"));
    assert!(panicked.is_err_and(|text: String| text.contains("planted")));
    assert_eq!(quietly(|| 7), Ok(7));
    assert!(!QUIET.get());
}
