//! A program that writes on several threads and sometimes collects garbage, while its own writers wait.
//!
//! ```text
//! cargo run -p mnem-storage --example collector -- memory
//! ```
//!
//! A writer may rely on a dead block: it puts a block that is already present, the put returns `Ok`, and its next commit
//! links to the block. If the block is collected between the two calls, the commit lands without it. So each writer holds
//! a lock in shared mode until the blocks that it put are reachable, and the collector takes the lock exclusively.

use std::{
    env,
    process::ExitCode,
    sync::{Arc, PoisonError, RwLock},
    thread,
};

use mnem_storage::{
    BlockstoreExt as _, Bytes, Cid, CollectError, CollectOptions, CollectReport, DAG_JSON, OpenOptions, RAW, Store,
    StoreError, WriteBatch, cid_of, collect, unwatched,
};

/// A store whose writers and collector exclude each other. Nothing else in the process uses the store.
struct Guarded {
    store: Arc<dyn Store>,
    /// Shared from the first put of a piece of work until the commit that makes it reachable.
    writers: RwLock<()>,
}

impl Guarded {
    /// `exclusive`: no other handle and no other process writes. `check`: no head or block is missing unnoticed.
    fn open(path: &str) -> Result<Self, StoreError> {
        let store = OpenOptions::new().create(true).exclusive(true).check(true).open(path)?;
        Ok(Self { store, writers: RwLock::new(()) })
    }

    /// Stores a note, and makes an operation that links only to this note the head. All older blocks are then dead.
    fn replace(&self, note: &str) -> Result<(), StoreError> {
        let _writing = self.writers.read().unwrap_or_else(PoisonError::into_inner);
        let note = self.store.put_as(RAW, Bytes::from(note.to_owned()))?;
        let data = Bytes::from(format!(r#"{{"note":{{"/":"{note}"}}}}"#));
        let operation = cid_of(DAG_JSON, &data);
        let mut heads = self.store.heads()?;
        loop {
            let mut batch = WriteBatch::new();
            batch.put(operation, data.clone()).require(note).swap(heads, operation);
            match self.store.commit(&batch) {
                Err(StoreError::HeadsMoved { actual }) => heads = actual,
                other => return other,
            }
        }
    }

    fn collect(&self) -> Result<CollectReport, CollectError> {
        let _alone = self.writers.write().unwrap_or_else(PoisonError::into_inner);
        collect(&*self.store, &CollectOptions::new(), &mut unwatched)
    }
}

/// All blocks that the heads reach, each of them read.
fn reached(store: &dyn Store) -> Result<Vec<Cid>, StoreError> {
    mnem_storage::Walk::from_roots(store, store.heads()?).map(|block| block.map(|(cid, _)| cid)).collect()
}

fn live(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let memory = Guarded::open(path)?;
    memory.replace("nothing yet")?;
    let removed = thread::scope(|scope| {
        let writers = ["Ada", "Bo"].map(|name| {
            let memory = &memory;
            // Both write the same notes again and again, so they find blocks that are dead by then.
            scope.spawn(move || (0..40).try_for_each(|n| memory.replace(&format!("{name}, or somebody: {}", n % 5))))
        });
        let mut removed = 0;
        while writers.iter().any(|writer| !writer.is_finished()) {
            removed += memory.collect()?.removed;
        }
        for writer in writers {
            writer.join().map_err(|_| "a writer panicked")??;
        }
        removed += memory.collect()?.removed;
        Ok::<u64, Box<dyn std::error::Error>>(removed)
    })?;
    let (reached, left) = (reached(&*memory.store)?.len(), memory.store.cids()?.count());
    println!("removed {removed} blocks; the head reaches {reached} of {left}");
    if reached != left {
        return Err("something dead is left".into());
    }
    Ok(memory.store.close()?)
}

fn main() -> ExitCode {
    match live(&env::args().nth(1).unwrap_or_else(|| "memory".to_owned())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
