//! Blocks, and databases of both crates.

use std::{path::Path, sync::Arc};

use mnem_core::{
    id::{CODEC_RAW, Cid, Multihash},
    store::{Blockstore, OpHeadsStore},
};
use mnem_store_traits::Bytes;
use redb::Database;

pub(crate) type Stores = (Box<dyn Blockstore>, Box<dyn OpHeadsStore>);

pub(crate) fn block(n: u32) -> (Cid, Bytes) {
    let data = Bytes::from(format!("block {n}"));
    (Cid::new(CODEC_RAW, Multihash::sha2_256(&data)), data)
}

pub(crate) fn database(path: &Path) -> Arc<Database> {
    Arc::new(Database::create(path).expect("a database"))
}

/// The stores of the published crate and ours, each over a database of its own.
pub(crate) fn both(folder: &Path) -> [Stores; 2] {
    let [theirs, ours] = ["theirs", "ours"].map(|name| database(&folder.join(name)));
    [
        (
            Box::new(published::RedbBlockstore::new(Arc::clone(&theirs))),
            Box::new(published::RedbOpHeadsStore::new(theirs)),
        ),
        (
            Box::new(mnem_backend_redb::RedbBlockstore::new(Arc::clone(&ours))),
            Box::new(mnem_backend_redb::RedbOpHeadsStore::new(ours)),
        ),
    ]
}
