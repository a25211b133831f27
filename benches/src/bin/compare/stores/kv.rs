//! A store over any key-value database: the same checks and the same heads over each of the peers' databases.

use std::{collections::BTreeSet, fmt::Debug, sync::Mutex};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cause, Cid, CidIter, HeadChange, HeadsCapabilities, OpHeadsStore, Outcome,
    Store, StoreError, WriteBatch,
    backend::{check_block, check_read, drain_checked, pages},
    cid_from_bytes,
};

const PAGE: usize = 1000;

/// The keys and values of a database, and one value for the heads.
pub(crate) trait Kv: Debug + Send + Sync {
    const NAME: &'static str;

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    fn has(&self, key: &[u8]) -> Result<bool, StoreError>;

    /// Stores everything durably before it returns, atomically if the database can.
    fn write(&self, puts: &[(Vec<u8>, Bytes)], heads: Option<&[u8]>) -> Result<(), StoreError>;

    fn delete(&self, key: &[u8]) -> Result<(), StoreError>;

    /// The value of the heads; empty before the first write.
    fn heads(&self) -> Result<Vec<u8>, StoreError>;

    /// Up to `count` keys after `after`, ascending.
    fn keys(&self, after: Option<&[u8]>, count: usize) -> Result<Vec<Vec<u8>>, StoreError>;
}

/// Turns an error of the database into one of the contract.
pub(crate) fn failed<E: std::error::Error + Send + Sync + 'static>(
    backend: &'static str,
    operation: &'static str,
) -> impl FnOnce(E) -> StoreError {
    move |error| StoreError::Backend {
        backend,
        operation: operation.into(),
        outcome: Outcome::Unknown,
        source: Cause::new(error),
    }
}

/// Adapts a [`Kv`] to the contract: blocks are hashed on put and on get, and present ones are not written again.
#[derive(Debug)]
pub(crate) struct KvStore<K> {
    kv: K,
    /// Held from reading the heads to writing them.
    changing_heads: Mutex<()>,
}

impl<K: Kv> KvStore<K> {
    pub(crate) fn new(kv: K) -> Self {
        Self { kv, changing_heads: Mutex::new(()) }
    }

    fn put_checked(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let key = cid.to_bytes();
        if self.kv.has(&key)? { Ok(()) } else { self.kv.write(&[(key, data)], None) }
    }

    fn absent(&self, blocks: Vec<(Cid, Bytes)>) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        let mut absent = Vec::with_capacity(blocks.len());
        for (cid, data) in blocks {
            let key = cid.to_bytes();
            if !self.kv.has(&key)? {
                absent.push((key, data));
            }
        }
        absent.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(absent)
    }

    fn land(&self, puts: &[(Vec<u8>, Bytes)], change: &HeadChange) -> Result<(), StoreError> {
        let _alone = self.changing_heads.lock().unwrap_or_else(|e| e.into_inner());
        let heads: BTreeSet<Cid> = self.heads()?.into_iter().collect();
        let bytes: Vec<u8> = change.apply(&heads)?.iter().flat_map(Cid::to_bytes).collect();
        self.kv.write(puts, Some(&bytes))
    }
}

fn not_a_cid(backend: &'static str) -> StoreError {
    failed(backend, "read a key")(std::io::Error::other("not a CID"))
}

impl<K: Kv> Blockstore for KvStore<K> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let found = self.kv.get(&cid.to_bytes())?;
        if let Some(data) = &found {
            check_read(K::NAME, cid, data)?;
        }
        Ok(found)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_block(cid, &data)?;
        self.put_checked(cid, data)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.put_checked(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.kv.delete(&cid.to_bytes())
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.kv.has(&cid.to_bytes())
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        let keys = pages(|after: Option<Vec<u8>>| self.kv.keys(after.as_deref(), PAGE));
        Ok(Box::new(keys.map(|key| cid_from_bytes(&key?).map_err(|_| not_a_cid(K::NAME)))))
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let blocks = drain_checked(blocks, self.capabilities().block_bytes_max)?;
        let absent = self.absent(blocks)?;
        if absent.is_empty() { Ok(()) } else { self.kv.write(&absent, None) }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
    }
}

impl<K: Kv> OpHeadsStore for KvStore<K> {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        let bytes = self.kv.heads()?;
        let mut rest = bytes.as_slice();
        let mut heads = Vec::new();
        while !rest.is_empty() {
            heads.push(Cid::read_bytes(&mut rest).map_err(|_| not_a_cid(K::NAME))?);
        }
        Ok(heads)
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.land(&[], &HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.land(&[], &HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST
    }
}

impl<K: Kv> Store for KvStore<K> {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(self.capabilities().block_bytes_max)?;
        for cid in batch.required() {
            if !self.has(cid)? {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            }
        }
        let absent = self.absent(batch.puts().iter().map(|put| (put.cid, put.data.clone())).collect())?;
        match batch.head() {
            Some(change) => self.land(&absent, change),
            None => self.kv.write(&absent, None),
        }
    }
}
