//! An agent's memory. Each thing that the agent learns is an operation: a DAG-CBOR block that links to the previous
//! operations. Several writers learn at the same time, and no operation is lost.
//!
//! ```text
//! cargo run -p mnem-storage --example agent -- memory
//! ```

use std::{env, process::ExitCode, thread};

use mnem_storage::{Cid, Retry, Store, StoreError, Walk, WriteBatch, from_dag_cbor, open_or_init};
use serde::{Deserialize, Serialize};

/// A note, and the operations that were current when it was learned.
#[derive(Serialize, Deserialize)]
struct Operation {
    note: String,
    parents: Vec<Cid>,
}

/// Makes the note the only current operation. It links to all operations that were current before.
fn learn(store: &dyn Store, note: &str) -> Result<Cid, StoreError> {
    loop {
        let parents = store.heads()?;
        let mut batch = WriteBatch::new();
        let cid = batch.put_dag_cbor(&Operation { note: note.to_owned(), parents: parents.clone() })?;
        match store.commit(batch.swap(parents, cid)) {
            // Another writer came first: link to its operation, too.
            Err(error) if error.retry() == Some(Retry::ReadHeads) => {}
            done => return done.map(|()| cid),
        }
    }
}

/// All notes, the latest first.
fn recall(store: &dyn Store) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut notes = Vec::new();
    for block in Walk::from_roots(store, store.heads()?) {
        let (_, data) = block?;
        notes.push(from_dag_cbor::<Operation>(&data)?.note);
    }
    Ok(notes)
}

fn live(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let store = open_or_init(path)?;
    let before = recall(&*store)?.len();
    thread::scope(|scope| {
        for agent in ["Ada", "Bo"] {
            let store = &*store;
            scope.spawn(move || {
                for n in before..before + 5 {
                    if let Err(error) = learn(store, &format!("{agent} learned {n}")) {
                        eprintln!("{agent} forgot {n}: {error}");
                    }
                }
            });
        }
    });
    let notes = recall(&*store)?;
    println!("{} notes, {} head; the last: {:?}", notes.len(), store.heads()?.len(), notes.first());
    if notes.len() != before + 10 || store.heads()?.len() != 1 {
        return Err("something was lost".into());
    }
    Ok(store.close()?)
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
