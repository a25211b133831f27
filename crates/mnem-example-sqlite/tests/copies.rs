//! Copies beside writers, as the facade tests them of its own backends.

#[path = "../../mnem-storage/tests/copy_live.rs"]
mod copy_live;
#[path = "../../mnem-storage/tests/fixtures.rs"]
#[expect(dead_code, reason = "the facade's tests use the rest of them")]
mod fixtures;

/// Whose stores are copied while they are written to.
static COPIED_DRIVERS: &[&dyn mnem_storage::driver::Driver] = &[&mnem_example_sqlite::DRIVER];
