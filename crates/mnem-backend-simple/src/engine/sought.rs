//! Looks up the files of many blocks, shard by shard.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use mnem_store_traits::{Cid, StoreError};

use crate::{
    engine::medium::{Kind, Metadata},
    handle::Handle,
    tables::{self, BlockPlace},
};

/// Blocks that are looked up together. This costs one call per shard and one per block, with no path to resolve for the
/// latter.
pub(crate) struct Sought {
    shards: Vec<Shard>,
    /// For each block the index of its shard, and the index of its file in the shard.
    places: Vec<(usize, usize)>,
}

struct Shard {
    path: PathBuf,
    names: Vec<String>,
}

impl Sought {
    pub(crate) fn new<'a>(handle: &Handle, cids: impl IntoIterator<Item = &'a Cid>) -> Self {
        let (mut shards, mut places) = (Vec::<Shard>::new(), Vec::new());
        let mut known = BTreeMap::new();
        let objects = handle.paths.objects();
        for cid in cids {
            let name = tables::cid_name(cid);
            let shard = *known.entry(tables::shard_index(&name)).or_insert_with(|| {
                shards.push(Shard { path: objects.join(tables::shard_of(&name)), names: Vec::new() });
                shards.len() - 1
            });
            places.push((shard, shards[shard].names.len()));
            shards[shard].names.push(name);
        }
        Self { shards, places }
    }

    /// Looks up the shards and the files in them.
    pub(crate) fn look(&self, handle: &Handle) -> Result<Looks<'_>, StoreError> {
        let objects = handle.paths.objects();
        let shards = self.shards.iter().map(|shard| match handle.is_folder_in(&objects, &shard.path)? {
            true => handle.metadata_in(&shard.path, &shard.names).map(Some),
            false => Ok(None),
        });
        Ok(Looks { sought: self, shards: shards.collect::<Result<_, _>>()? })
    }

    /// The place of the block with this index.
    pub(crate) fn place(&self, block: usize) -> BlockPlace {
        let (shard, file) = self.places[block];
        let shard = &self.shards[shard];
        BlockPlace { shard: shard.path.clone(), file: shard.path.join(&shard.names[file]) }
    }

    /// The files of the blocks with these indices.
    pub(crate) fn files(&self, blocks: &[usize]) -> impl Iterator<Item = PathBuf> {
        blocks.iter().map(|block| self.place(*block).file)
    }

    /// The shards of the blocks with these indices.
    pub(crate) fn shards_of(&self, blocks: impl IntoIterator<Item = usize>) -> BTreeSet<&Path> {
        let shards: BTreeSet<usize> = blocks.into_iter().map(|block| self.places[block].0).collect();
        shards.into_iter().map(|shard| &*self.shards[shard].path).collect()
    }
}

/// The result of a lookup.
pub(crate) struct Looks<'a> {
    sought: &'a Sought,
    /// The files of each shard; `None` if there is no such folder.
    shards: Vec<Option<Vec<Option<Metadata>>>>,
}

impl Looks<'_> {
    /// The file of each block, in the order of the blocks; `None` if there is no regular file of its name.
    pub(crate) fn files(&self) -> impl Iterator<Item = Option<Metadata>> {
        let file = |&(shard, file): &(usize, usize)| self.shards[shard].as_ref().and_then(|files| files[file]);
        self.sought.places.iter().map(file).map(|found| found.filter(|found| found.kind == Kind::File))
    }

    /// The shards that exist.
    pub(crate) fn shards(&self) -> BTreeSet<&Path> {
        let there = self.sought.shards.iter().zip(&self.shards).filter(|(_, files)| files.is_some());
        there.map(|(shard, _)| &*shard.path).collect()
    }
}
