//! The whole program `mnem-store` with one more backend, as a third party would ship it.
//!
//! ```text
//! cargo run -p mnem-example-sqlite --example mnem-store -- import docs/data/wordnet-animals.car --heads --store animals.sqlite
//! cargo run -p mnem-example-sqlite --example mnem-store -- verify --store animals.sqlite
//! ```

use std::process::ExitCode;

use mnem_storage_cli::{DRIVERS, run};

fn main() -> ExitCode {
    // After the drivers of this build. Stores of this backend are recognised by their content; new ones need the
    // extension `.sqlite` or `--backend sqlite`.
    run(DRIVERS.iter().copied().chain([&mnem_example_sqlite::DRIVER as _]))
}
