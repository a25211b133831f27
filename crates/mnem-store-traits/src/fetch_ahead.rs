//! Reading blocks together with those that are needed next.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasherDefault, Hasher},
    ops::ControlFlow,
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blockstore, StoreError,
    limits::{FETCH_AHEAD_BLOCKS_MAX, FETCH_AHEAD_BYTES_MAX},
};

/// Reads blocks one after the other, and asks the store for several at once if that pays. A store over a network then
/// needs far fewer round trips. A store that does not claim [`batched_reads`](crate::Capabilities::batched_reads) is
/// asked for each block alone, when it is needed.
///
/// With each block, the caller names the blocks that are likely to follow. The answers for those are kept until they
/// are requested. [`Walk`](crate::Walk) reads this way.
///
/// Holds in memory up to 128 blocks and 4 MiB, and one block more. A request fills half of the free room, so that
/// blocks that are needed late never take all of it.
///
/// ```
/// use mnem_store_traits::{Bytes, BlockstoreExt, FetchAhead, MemoryStore, RAW};
///
/// let store = MemoryStore::new();
/// let cids = ["one", "two", "three"].map(|text| store.put_as(RAW, Bytes::from(text)).unwrap());
/// let mut ahead = FetchAhead::new();
/// for (n, cid) in cids.iter().enumerate() {
///     let block = ahead.get(&store, cid, cids[n + 1..].iter().copied())?; // over a network, one request for all three
///     assert!(block.is_some());
/// }
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
#[derive(Default)]
pub struct FetchAhead {
    /// Blocks that were read and not yet requested, including absent ones. A key is a part of a CID, so it may collide
    /// with that of another CID.
    fetched: HashMap<u64, (Cid, Option<Bytes>), BuildHasherDefault<AsIs>>,
    /// Bytes of these blocks.
    bytes: u64,
    /// The request, kept to reuse its memory.
    request: Vec<Cid>,
    /// The number of blocks to read one by one, because a request for them failed.
    alone: usize,
    /// Whether the store says that batched reads pay; `None` before it was asked.
    pays: Option<bool>,
}

impl FetchAhead {
    /// Nothing is read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The block, as [`Blockstore::get`] returns it. It is read now, or was read together with an earlier one.
    ///
    /// `next` yields the CIDs that will be requested after this one, in their order. It is used only if the store must
    /// be asked, and only as far as a request goes. A CID that was named here must be requested later: until then its
    /// block is kept.
    ///
    /// # Errors
    /// As [`Blockstore::get`] for this block. A failure to read ahead is not an error: the block is read again when it
    /// is requested.
    pub fn get<S: Blockstore + ?Sized>(
        &mut self,
        store: &S,
        cid: &Cid,
        next: impl Iterator<Item = Cid>,
    ) -> Result<Option<Bytes>, StoreError> {
        if !*self.pays.get_or_insert_with(|| store.capabilities().batched_reads) {
            return store.get(cid);
        }
        if let Some(data) = self.take(cid) {
            return Ok(data);
        }
        if self.alone > 0 {
            self.alone -= 1;
            return store.get(cid);
        }
        self.fill_request(cid, next);
        match self.send(store) {
            Some(data) => Ok(data),
            // There was no answer, or the error of some block: this block alone gives its own answer.
            None => store.get(cid),
        }
    }

    fn take(&mut self, cid: &Cid) -> Option<Option<Bytes>> {
        let Entry::Occupied(entry) = self.fetched.entry(key(cid)) else { return None };
        if entry.get().0 != *cid {
            return None;
        }
        let (_, data) = entry.remove();
        self.bytes -= bytes_of(&data);
        Some(data)
    }

    fn fill_request(&mut self, cid: &Cid, next: impl Iterator<Item = Cid>) {
        let room = match FETCH_AHEAD_BYTES_MAX.saturating_sub(self.bytes) {
            0 => 0,
            _ => FETCH_AHEAD_BLOCKS_MAX.saturating_sub(self.fetched.len()) / 2,
        };
        self.request.clear();
        self.request.push(*cid);
        // If one was read already, so were those after it.
        self.request.extend(next.take_while(|cid| !self.fetched.contains_key(&key(cid))).take(room.saturating_sub(1)));
    }

    /// The answer for the first block of the request. Keeps the others.
    fn send<S: Blockstore + ?Sized>(&mut self, store: &S) -> Option<Option<Bytes>> {
        let Self { fetched, bytes, request, alone, .. } = self;
        let bytes_max = FETCH_AHEAD_BYTES_MAX.saturating_sub(*bytes) / 2;
        let (mut first, mut answers, mut came) = (None, 0, 0);
        let ended = store.get_many(request, &mut |index, data| {
            answers += 1;
            came += bytes_of(&data);
            match request.get(index) {
                Some(_) if index == 0 => first = Some(data),
                Some(cid) => {
                    if let Entry::Vacant(entry) = fetched.entry(key(cid)) {
                        *bytes += bytes_of(&data);
                        entry.insert((*cid, data));
                    }
                }
                None => {}
            }
            if came < bytes_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if ended.is_err() {
            *alone = request.len().saturating_sub(answers);
        }
        first
    }
}

fn bytes_of(data: &Option<Bytes>) -> u64 {
    data.as_ref().map_or(0, |data| data.len() as u64)
}

/// Eight bytes of the digest, and the codec: cheaper to look up than a whole CID.
fn key(cid: &Cid) -> u64 {
    let digest = cid.hash().digest().last_chunk().copied();
    digest.map_or(0, u64::from_le_bytes) ^ cid.codec()
}

/// The hash of a key that is already a hash. Keys that were made to collide cost a comparison with at most 128 entries.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
}

impl fmt::Debug for FetchAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchAhead").field("blocks", &self.fetched.len()).field("bytes", &self.bytes).finish()
    }
}
