//! A complete embedder. Its code is the same in every build, whichever backends are compiled in.
//!
//! ```text
//! cargo run -p mnem-storage --example embed -- memory
//! cargo run -p mnem-storage --example embed --no-default-features --features simple -- memory
//! ```

use std::{env, process::ExitCode};

use mnem_storage::{BlockstoreExt as _, Bytes, OpHeadsStore as _, RAW, StoreError, WriteBatch, cid_of};

/// Remembers a text as the only current operation, and reads it back.
fn remember(path: &str, text: &str) -> Result<Bytes, StoreError> {
    let store = mnem_storage::open_or_init(path)?;
    let data = Bytes::copy_from_slice(text.as_bytes());
    let op = cid_of(RAW, &data);
    let before = store.heads()?;
    store.commit(WriteBatch::new().put(op, data).update(op, before))?;
    let data = store.get_required(&op)?;
    println!("{op} is in {path}, {} head(s)", store.heads()?.len());
    store.close()?;
    Ok(data)
}

fn main() -> ExitCode {
    let path = env::args().nth(1).unwrap_or_else(|| "memory".to_owned());
    match remember(&path, "what I learned today") {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.in_full());
            ExitCode::FAILURE
        }
    }
}
