//! Stores of others in few lines: the requests of a commit, and nothing else.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mnem_backend_bucket::BucketStore;
use mnem_benches::Block;
use mnem_storage::{Blockstore as _, Cid, OpHeadsStore as _};
use mnem_store_traits::WriteBatch;
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, UpdateVersion, path::Path,
};
use tokio::runtime::Runtime;

use super::service::Service;

/// A way to keep blocks and heads in an object storage.
pub(super) trait Remote: Send + Sync {
    /// Lands the blocks and replaces one head, of which the caller is the only user.
    fn commit(&self, blocks: &[Block], head: Cid, before: Option<Cid>) -> Result<()>;

    /// Whether these blocks and these heads, and no other heads, are there.
    fn holds(&self, blocks: &[Block], heads: &[Cid]) -> Result<()>;
}

impl Remote for BucketStore {
    fn commit(&self, blocks: &[Block], head: Cid, before: Option<Cid>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.update(head, before);
        batch.extend(blocks.iter().cloned());
        Ok(mnem_storage::Store::commit(self, &batch)?)
    }

    fn holds(&self, blocks: &[Block], heads: &[Cid]) -> Result<()> {
        ensure!(self.heads()? == sorted(heads), "other heads");
        let cids: Vec<Cid> = blocks.iter().map(|(cid, _)| *cid).collect();
        let mut right = 0;
        self.get_many(&cids, &mut |at, data| {
            right += usize::from(blocks.get(at).is_some_and(|(_, expected)| data.as_ref() == Some(expected)));
            ControlFlow::Continue(())
        })?;
        ensure!(right == blocks.len(), "{right} blocks of {}", blocks.len());
        Ok(())
    }
}

fn sorted(heads: &[Cid]) -> Vec<Cid> {
    let mut heads = heads.to_vec();
    heads.sort_unstable();
    heads
}

fn head_path(head: &Cid) -> Path {
    Path::from(format!("heads/{head}"))
}

fn block_path(cid: &Cid) -> Path {
    Path::from(format!("blocks/{cid}"))
}

/// An object for each block and for each head.
pub(super) struct ObjectPerBlock {
    service: Service,
    runtime: Arc<Runtime>,
}

impl ObjectPerBlock {
    pub(super) fn new(service: &Service, runtime: &Arc<Runtime>) -> Self {
        Self { service: service.clone(), runtime: Arc::clone(runtime) }
    }
}

/// Requests of one commit at the same time.
const AT_ONCE: usize = 16;

impl Remote for ObjectPerBlock {
    fn commit(&self, blocks: &[Block], head: Cid, before: Option<Cid>) -> Result<()> {
        self.runtime.block_on(async {
            let put = |(cid, data): &Block| {
                let (path, data) = (block_path(cid), data.clone());
                async move { self.service.put(&path, data.into()).await }
            };
            let puts = stream::iter(blocks).map(put);
            let _: Vec<_> = puts.buffer_unordered(AT_ONCE).try_collect().await?;
            self.service.put(&head_path(&head), Vec::new().into()).await?;
            if let Some(before) = before {
                self.service.delete(&head_path(&before)).await?;
            }
            Ok(())
        })
    }

    fn holds(&self, blocks: &[Block], heads: &[Cid]) -> Result<()> {
        let objects = self.service.at_once();
        self.runtime.block_on(async {
            let listed: Vec<_> = objects.list(Some(&Path::from("heads"))).try_collect().await?;
            ensure!(listed.len() == heads.len(), "other heads");
            for head in heads {
                objects.head(&head_path(head)).await?;
            }
            for (cid, data) in blocks {
                ensure!(objects.get(&block_path(cid)).await?.bytes().await? == *data, "{cid} is another block");
            }
            Ok(())
        })
    }
}

/// An object for the blocks of each commit, and one that lists all of these and the heads.
pub(super) struct OneManifest {
    service: Service,
    runtime: Arc<Runtime>,
    /// As it was last read or written by this handle. Commits of one handle take turns.
    last: Mutex<(Manifest, Option<UpdateVersion>)>,
}

/// One line for each pack, and one for each head.
#[derive(Clone, Debug, Default)]
struct Manifest {
    packs: Vec<String>,
    heads: Vec<String>,
}

impl Manifest {
    fn encode(&self) -> Vec<u8> {
        let lines = self.packs.iter().map(|pack| format!("pack {pack}\n"));
        lines.chain(self.heads.iter().map(|head| format!("head {head}\n"))).collect::<String>().into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut manifest = Self::default();
        for line in std::str::from_utf8(bytes)?.lines() {
            match line.split_once(' ') {
                Some(("pack", name)) => manifest.packs.push(name.into()),
                Some(("head", name)) => manifest.heads.push(name.into()),
                _ => bail!("no line of a manifest: {line}"),
            }
        }
        Ok(manifest)
    }
}

impl OneManifest {
    pub(super) fn new(service: &Service, runtime: &Arc<Runtime>) -> Self {
        Self { service: service.clone(), runtime: Arc::clone(runtime), last: Mutex::default() }
    }

    fn path() -> Path {
        Path::from("manifest")
    }

    async fn read(service: &dyn ObjectStore) -> Result<(Manifest, Option<UpdateVersion>)> {
        let found = service.get_opts(&Self::path(), GetOptions::new()).await?;
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        Ok((Manifest::decode(&found.bytes().await?)?, Some(version)))
    }

    async fn replace(
        &self,
        manifest: &Manifest,
        version: Option<&UpdateVersion>,
    ) -> object_store::Result<UpdateVersion> {
        let mode = version.map_or(PutMode::Create, |version| PutMode::Update(version.clone()));
        let options = PutOptions { mode, ..PutOptions::default() };
        let done = self.service.put_opts(&Self::path(), manifest.encode().into(), options).await?;
        Ok(UpdateVersion { e_tag: done.e_tag, version: done.version })
    }
}

impl Remote for OneManifest {
    fn commit(&self, blocks: &[Block], head: Cid, before: Option<Cid>) -> Result<()> {
        let pack: Vec<u8> = blocks.iter().flat_map(|(_, data)| data.iter().copied()).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.block_on(async {
            self.service.put(&Path::from(format!("packs/{head}")), pack.into()).await?;
            loop {
                let (mut manifest, version) = last.clone();
                manifest.packs.push(head.to_string());
                manifest.heads.retain(|other| before.is_none_or(|before| *other != before.to_string()));
                manifest.heads.push(head.to_string());
                match self.replace(&manifest, version.as_ref()).await {
                    Ok(version) => {
                        *last = (manifest, Some(version));
                        return Ok(());
                    }
                    Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => {
                        *last = Self::read(&self.service).await?;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        })
    }

    fn holds(&self, blocks: &[Block], heads: &[Cid]) -> Result<()> {
        let objects = self.service.at_once();
        self.runtime.block_on(async {
            let (manifest, _) = Self::read(&*objects).await?;
            let found: Result<Vec<Cid>, _> = manifest.heads.iter().map(|head| head.parse()).collect();
            ensure!(sorted(&found?) == sorted(heads), "other heads");
            let mut bytes = 0;
            for pack in &manifest.packs {
                let pack = objects.get(&Path::from(format!("packs/{pack}"))).await.context("a pack is missing")?;
                bytes += pack.meta.size;
            }
            ensure!(bytes == blocks.iter().map(|(_, data)| data.len() as u64).sum::<u64>(), "other blocks");
            Ok(())
        })
    }
}
