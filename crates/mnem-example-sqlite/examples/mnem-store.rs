//! The whole program `mnem-store` over one more backend: what a third party ships.
//!
//! ```text
//! cargo run -p mnem-example-sqlite --example mnem-store -- import docs/data/wordnet-animals.car --heads --store animals.sqlite
//! cargo run -p mnem-example-sqlite --example mnem-store -- verify --store animals.sqlite
//! ```

use std::process::ExitCode;

use mnem_storage_cli::{DRIVERS, run};

fn main() -> ExitCode {
    // Behind the drivers of this build: their stores are known by what they hold, and new ones by `.sqlite` or `--backend sqlite`.
    run(DRIVERS.iter().copied().chain([&mnem_example_sqlite::DRIVER as _]))
}
