//! The files of many blocks, looked for shard by shard.

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

/// Blocks that are looked for together. A look costs one call for each shard and one for each block, which the file system need not find its way to.
pub(crate) struct Sought {
    shards: Vec<Shard>,
    /// The shard of each block, and the file's place in it.
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

    /// Looks at the shards and the files in them.
    pub(crate) fn look(&self, handle: &Handle) -> Result<Looks<'_>, StoreError> {
        let objects = handle.paths.objects();
        let shards = self.shards.iter().map(|shard| match handle.is_folder_in(&objects, &shard.path)? {
            true => handle.metadata_in(&shard.path, &shard.names).map(Some),
            false => Ok(None),
        });
        Ok(Looks { sought: self, shards: shards.collect::<Result<_, _>>()? })
    }

    /// Where the block of this number lies.
    pub(crate) fn place(&self, block: usize) -> BlockPlace {
        let (shard, file) = self.places[block];
        let shard = &self.shards[shard];
        BlockPlace { shard: shard.path.clone(), file: shard.path.join(&shard.names[file]) }
    }

    /// The files of the blocks of these numbers.
    pub(crate) fn files(&self, blocks: &[usize]) -> impl Iterator<Item = PathBuf> {
        blocks.iter().map(|block| self.place(*block).file)
    }

    /// The shards of the blocks of these numbers.
    pub(crate) fn shards_of(&self, blocks: impl IntoIterator<Item = usize>) -> BTreeSet<&Path> {
        let shards: BTreeSet<usize> = blocks.into_iter().map(|block| self.places[block].0).collect();
        shards.into_iter().map(|shard| &*self.shards[shard].path).collect()
    }
}

/// What a look found.
pub(crate) struct Looks<'a> {
    sought: &'a Sought,
    /// The files of each shard; `None` where there is no such folder.
    shards: Vec<Option<Vec<Option<Metadata>>>>,
}

impl Looks<'_> {
    /// The file of each block, in the order of the blocks; `None` where there is no regular file of its name.
    pub(crate) fn files(&self) -> impl Iterator<Item = Option<Metadata>> {
        let file = |&(shard, file): &(usize, usize)| self.shards[shard].as_ref().and_then(|files| files[file]);
        self.sought.places.iter().map(file).map(|found| found.filter(|found| found.kind == Kind::File))
    }

    /// The shards that are there.
    pub(crate) fn shards(&self) -> BTreeSet<&Path> {
        let there = self.sought.shards.iter().zip(&self.shards).filter(|(_, files)| files.is_some());
        there.map(|(shard, _)| &*shard.path).collect()
    }
}
