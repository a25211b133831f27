//! Blocks: one file each, named by its CID.

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, Durability, Outcome, StoreError,
    backend::{check_block, check_read, check_size, drain_checked, pages},
};

use crate::{
    SimpleStore,
    engine::{
        medium::{Contents, Kind, Metadata, WholeSync},
        sought::Sought,
        unfinished::Unfinished,
    },
    error::{BACKEND, at, damaged},
    handle::{Handle, hold},
    limits::BLOCK_BYTES_MAX,
    tables::{self, BlockPlace},
};

impl SimpleStore {
    fn read_block(&self, operation: &'static str, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        self.handle.gate.check_open(operation)?;
        let place = self.handle.paths.block(cid);
        if !self.handle.is_folder_in(&self.handle.paths.objects(), &place.shard)? {
            return Ok(None);
        }
        match self.handle.read(&place.file, BLOCK_BYTES_MAX)? {
            Contents::Absent | Contents::NotAFile => Ok(None),
            // No writer creates such a file, so its bytes are not the block's, whatever the hash function.
            Contents::TooLong(_) => Err(StoreError::Corrupt { backend: BACKEND, cid: *cid }),
            Contents::Bytes(data) => {
                check_read(BACKEND, cid, &data)?;
                Ok(Some(data))
            }
        }
    }

    /// A listing of a damaged store that skips folders it cannot read.
    fn cids_lenient(&self) -> CidIter<'_> {
        let shards = (0..).map_while(|index| self.handle.paths.shard(index));
        Box::new(shards.flat_map(|shard| match shard_cids(&self.handle, &shard) {
            Ok(cids) => cids.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        }))
    }

    fn put_unchecked(&self, operation: &'static str, blocks: &[(Cid, Bytes)]) -> Result<(), StoreError> {
        let _writing = self.handle.begin_write(operation)?;
        store(&self.handle, blocks)
    }
}

impl Blockstore for SimpleStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        Ok(self.read_block("get", cid)?.map(Bytes::from))
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_MAX)?;
        check_block(cid, &data)?;
        self.put_unchecked("put", &[(*cid, data)])
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        let _writing = self.handle.begin_write("delete")?;
        remove(&self.handle, std::slice::from_ref(cid))
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.handle.gate.check_open("list blocks")?;
        if self.handle.lenient {
            self.handle.require_folder(&self.handle.paths.objects())?;
            return Ok(self.cids_lenient());
        }
        Ok(pages(move |after: Option<Cid>| {
            self.handle.gate.check_open("list blocks")?;
            self.handle.require_folder(&self.handle.paths.objects())?;
            // Iterate over all possible shards instead of listing them, so that no listing can miss one.
            let first = after.map_or(0, |cid| tables::shard_index(&tables::cid_name(&cid)) + 1);
            for shard in (first..).map_while(|index| self.handle.paths.shard(index)) {
                let cids = shard_cids(&self.handle, &shard)?;
                if !cids.is_empty() {
                    return Ok(cids.into_iter().collect());
                }
            }
            Ok(Vec::new())
        }))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.size(cid)?.is_some())
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.handle.gate.check_open("look up a block")?;
        is_present(&self.handle, &self.handle.paths.block(cid))
    }

    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let Some(data) = self.read_block("get", cid)? else { return Ok(false) };
        f(&data);
        Ok(true)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_MAX)?;
        self.put_unchecked("put", &[(*cid, data)])
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let blocks = drain_checked(blocks, BLOCK_BYTES_MAX)?;
        self.put_unchecked("put_many", &blocks)
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        let _writing = self.handle.begin_write("delete_many")?;
        remove(&self.handle, &cids)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST
            .with_put_durability(self.handle.durability)
            .with_block_bytes_max(BLOCK_BYTES_MAX)
            .with_side_tables(true)
    }
}

/// The CIDs of one shard. Empty if the shard does not exist.
pub(crate) fn shard_cids(handle: &Handle, shard: &Path) -> Result<BTreeSet<Cid>, StoreError> {
    if !handle.is_folder(shard)? {
        return Ok(BTreeSet::new());
    }
    let shard_name = shard.file_name().unwrap_or_default();
    handle.names(shard, |entry| {
        let name =
            entry.name.to_str().filter(|name| entry.kind == Kind::File && tables::shard_of(name) == shard_name)?;
        tables::cid_of_name(name)
    })
}

/// The length of the block's file. `None` if there is no regular file of its name.
pub(crate) fn is_present(handle: &Handle, place: &BlockPlace) -> Result<Option<u64>, StoreError> {
    Ok(find(handle, place)?.map(|found| found.file_bytes))
}

/// The metadata of the block's file. `None` if there is no regular file of its name.
pub(crate) fn find(handle: &Handle, place: &BlockPlace) -> Result<Option<Metadata>, StoreError> {
    if !handle.is_folder_in(&handle.paths.objects(), &place.shard)? {
        return Ok(None);
    }
    Ok(handle.metadata(&place.file)?.filter(|found| found.kind == Kind::File))
}

/// Removes blocks: first all files, then one sync per shard, or one of the whole file system if there are many shards.
fn remove(handle: &Handle, cids: &[Cid]) -> Result<(), StoreError> {
    let sought = Sought::new(handle, cids);
    let looks = sought.look(handle)?;
    for (block, _) in looks.files().enumerate().filter(|(_, found)| found.is_some()) {
        let file = sought.place(block).file;
        // `false` means that another process has removed the file since.
        handle.fs.remove_file(&file).map_err(at("remove", &file))?;
    }
    // Includes shards of absent blocks: another process may have just removed a block and not synced that yet.
    let shards = looks.shards();
    match handle.whole_sync(shards.len()) {
        Some(whole) => sync_shards_whole(handle, whole, &shards),
        None => shards.iter().try_for_each(|shard| handle.sync_folder(shard, Outcome::Unknown)),
    }
}

/// Stores verified blocks and makes them durable, including those already present: first all files, then all names,
/// then each folder once. If many blocks are absent and the file system can be synced as a whole, it is synced once for
/// the files and once for their names.
pub(crate) fn store(handle: &Handle, blocks: &[(Cid, Bytes)]) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    let blocks: Vec<_> = blocks.iter().filter(|(cid, _)| seen.insert(*cid)).collect();
    let sought = Sought::new(handle, blocks.iter().map(|(cid, _)| cid));
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for (block, found) in sought.look(handle)?.files().enumerate() {
        match found {
            Some(_) => present.push(block),
            None => absent.push((sought.place(block), &blocks[block].1)),
        }
    }
    settle_present(handle, sought.files(&present))?;
    let shards = sought.shards_of(0..blocks.len());
    // Open it before the files are written, so that it reports every failure to write them back.
    let mut whole = handle.whole_sync(absent.len());
    let files = absent.iter().map(|(_, data)| match &whole {
        Some(_) => Unfinished::write_unsynced(handle, data),
        None => Unfinished::write(handle, data),
    });
    let files = files.collect::<Result<Vec<_>, _>>()?;
    if let Some(whole) = &mut whole {
        handle.sync_whole(&mut **whole, Outcome::NotApplied)?;
    }
    for shard in &shards {
        handle.make_folder(shard)?;
    }
    for (file, (place, _)) in files.into_iter().zip(&absent) {
        publish(handle, file, place)?;
    }
    match whole {
        Some(whole) => sync_shards_whole(handle, whole, &shards),
        None => sync_shards(handle, &shards),
    }
}

/// Gives a block its name. An unsynced file never replaces one that may be synced. Where a rename takes two steps, no
/// file replaces another, because a reader could find neither.
fn publish(handle: &Handle, mut file: Unfinished<'_>, place: &BlockPlace) -> Result<(), StoreError> {
    let is_synced = handle.durability >= Durability::Power;
    if is_synced && handle.replaces_in_one_step() {
        return file.publish(&place.file);
    }
    if file.publish_new(&place.file)? {
        return Ok(());
    }
    if is_present(handle, place)?.is_some() {
        return settle_present(handle, [place.file.clone()]);
    }
    if is_synced {
        return file.publish(&place.file);
    }
    Err(damaged(&place.file, "something other than a file has the name of a block"))
}

/// Makes the bytes of present blocks durable. The sync of their shards makes their names durable.
///
/// A file gets its name only after its bytes are synced, so there is nothing to do unless a handle with weaker
/// durability has written to this store. Such a handle leaves a mark before its first block, so the mark exists
/// whenever such a block does.
///
/// Looks for the mark once, after all the blocks were found.
pub(crate) fn settle_present(handle: &Handle, files: impl IntoIterator<Item = PathBuf>) -> Result<(), StoreError> {
    let mut files = files.into_iter().peekable();
    if files.peek().is_none()
        || handle.durability < Durability::Power
        || handle.metadata(&handle.paths.unsynced())?.is_none()
    {
        return Ok(());
    }
    files.try_for_each(|file| handle.sync_file(&file))
}

/// Makes the entries of these shards durable, and the shards themselves. If there are many and the file system can be
/// synced as a whole, it is.
///
/// All relevant names were seen before this call, so any sync that begins now covers them, whoever created them.
/// Nothing is cached for later calls: between two calls another process may have removed a block, put it again, and
/// been killed before it synced.
pub(crate) fn sync_shards(handle: &Handle, shards: &BTreeSet<&Path>) -> Result<(), StoreError> {
    match handle.whole_sync(shards.len()) {
        Some(whole) => sync_shards_whole(handle, whole, shards),
        None => sync_each_shard(handle, shards),
    }
}

/// As [`sync_shards`], folder by folder.
pub(crate) fn sync_each_shard(handle: &Handle, shards: &BTreeSet<&Path>) -> Result<(), StoreError> {
    for shard in shards {
        handle.sync_folder(shard, Outcome::Unknown)?;
    }
    // An existing shard may have just been created by another process that has not synced it yet.
    let all_linked = {
        let linked = hold(&handle.linked_shards);
        shards.iter().all(|shard| linked.contains(*shard))
    };
    if all_linked || handle.durability < Durability::Power {
        return Ok(());
    }
    handle.sync_folder(&handle.paths.objects(), Outcome::Unknown)?;
    hold(&handle.linked_shards).extend(shards.iter().map(|shard| shard.to_path_buf()));
    Ok(())
}

/// As [`sync_shards`], with a sync of the whole file system.
fn sync_shards_whole(
    handle: &Handle,
    mut whole: Box<dyn WholeSync>,
    shards: &BTreeSet<&Path>,
) -> Result<(), StoreError> {
    handle.sync_whole(&mut *whole, Outcome::Unknown)?;
    // Nothing is left to write. This sync reports what the other one may not: that the file system has shut down
    // meanwhile.
    handle.sync_folder(&handle.paths.objects(), Outcome::Unknown)?;
    hold(&handle.linked_shards).extend(shards.iter().map(|shard| shard.to_path_buf()));
    Ok(())
}

/// Makes the existing shards durable and records that, so that later writes into them need not.
pub(crate) fn link_present_shards(handle: &Handle) -> Result<(), StoreError> {
    let objects = handle.paths.objects();
    let mut present = HashSet::new();
    handle.for_each_entry(&objects, |entry| {
        let Some(name) = entry.name.to_str().filter(|name| tables::is_shard_name(name)) else { return Ok(()) };
        if entry.kind != Kind::Folder {
            return Err(damaged(&objects.join(name), "a shard is not a folder"));
        }
        present.insert(objects.join(name));
        Ok(())
    })?;
    handle.sync_folder_always(&objects, Outcome::NotApplied)?;
    hold(&handle.linked_shards).extend(present);
    Ok(())
}
