//! A whole store: blocks, heads, side tables, and commits.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, HeadsCapabilities, OnBlock, OpHeadsStore, SideTable,
    Store, StoreError, WriteBatch,
    driver::{FileIdentity, StoreInfo},
};

use crate::{
    OpenOptions, SimpleBlockstore, SimpleOpHeadsStore, blockstore,
    engine::required::Required,
    handle::Handle,
    info,
    limits::BLOCK_BYTES_MAX,
    op_heads::HeadsLock,
    side_table::{self, SimpleSideTable},
};

/// An open store.
///
/// Share it in an [`Arc`]. Its views ([`blockstore`](Self::blockstore), [`op_heads`](Self::op_heads), side tables) are the same handle: they
/// stay usable when the store itself is dropped, and not when it is [closed](Store::close).
#[derive(Debug)]
pub struct SimpleStore {
    pub(crate) handle: Arc<Handle>,
    blocks: SimpleBlockstore,
    heads: SimpleOpHeadsStore,
}

/// Opens the store at `path`, creating it if need be, and returns its two plain views and its path.
///
/// Who wants commits or side tables opens a [`SimpleStore`] with [`OpenOptions`].
///
/// # Errors
/// As [`OpenOptions::open`].
#[expect(clippy::type_complexity, reason = "the signature that backends of this family share")]
pub fn open_or_init(
    path: impl AsRef<Path>,
) -> Result<(Arc<dyn Blockstore>, Arc<dyn OpHeadsStore>, PathBuf), StoreError> {
    let store = OpenOptions::new().create(true).open(path)?;
    Ok((Arc::new(store.blockstore()), Arc::new(store.op_heads()), store.path().to_owned()))
}

impl SimpleStore {
    pub(crate) fn new(handle: Arc<Handle>) -> Self {
        let blocks = SimpleBlockstore::new(handle.clone());
        let heads = SimpleOpHeadsStore::new(handle.clone());
        Self { handle, blocks, heads }
    }

    /// The path it was opened under, made absolute.
    pub fn path(&self) -> &Path {
        &self.handle.path
    }

    /// Device and number of the folder that was opened, which its path may no longer lead to. `None` where the system does not tell them.
    pub fn identity(&self) -> FileIdentity {
        self.handle.identity
    }

    /// Its blocks.
    pub fn blockstore(&self) -> SimpleBlockstore {
        self.blocks.clone()
    }

    /// Its heads.
    pub fn op_heads(&self) -> SimpleOpHeadsStore {
        self.heads.clone()
    }

    /// Counts and sizes. Looks at every file and reads none but the heads.
    ///
    /// # Errors
    /// [`StoreError::Backend`], [`StoreError::Damaged`], [`StoreError::Closed`].
    pub fn info(&self) -> Result<StoreInfo, StoreError> {
        info::info(&self.handle)
    }

    /// Everything in the store's folders that does not belong there, ascending by path: names that no writer makes, files in the wrong
    /// shard, symbolic links, folders where files belong, and the unfinished files of writers, killed or at work. Everything else ignores
    /// these; what lies inside a folder that does not belong there is not listed.
    ///
    /// # Errors
    /// [`StoreError::Backend`], [`StoreError::Closed`].
    pub fn foreign(&self) -> Result<Vec<PathBuf>, StoreError> {
        info::foreign(&self.handle)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for SimpleStore {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_MAX)?;
        let handle = &*self.handle;
        let _writing = handle.begin_write("commit")?;
        let blocks: Vec<(Cid, Bytes)> = batch.puts().iter().map(|put| (put.cid, put.data.clone())).collect();
        blockstore::store(handle, &blocks)?;
        let durable: HashSet<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
        let required = Required::settle(handle, batch.required(), &durable)?;
        match batch.head() {
            None => required.must_be_present(),
            // The blocks are durable by now, and the required ones that are still the same files; the head comes last.
            Some(change) => HeadsLock::take(handle)?.change(change, || required.must_be_present()),
        }
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(SimpleSideTable::open(&self.handle, name)?))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.handle.gate.check_open("list side tables")?;
        side_table::names(&self.handle)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.handle.close();
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
impl Blockstore for SimpleStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.blocks.get(cid)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.blocks.put(cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.blocks.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.blocks.cids()
    }
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.blocks.has(cid)
    }
    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.blocks.size(cid)
    }
    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.blocks.with_block(cid, f)
    }
    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.blocks.put_trusted(cid, data)
    }
    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.blocks.put_many(blocks)
    }
    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        self.blocks.get_many(cids, f)
    }
    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        self.blocks.delete_many(cids)
    }
    fn capabilities(&self) -> Capabilities {
        self.blocks.capabilities()
    }
}

#[deny(clippy::missing_trait_methods)]
impl OpHeadsStore for SimpleStore {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.heads.heads()
    }
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.heads.update(new, supersedes)
    }
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.heads.swap(expected, new)
    }
    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.heads.heads_capabilities()
    }
}
