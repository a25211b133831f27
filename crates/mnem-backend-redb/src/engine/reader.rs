//! Reads: their snapshot, the blocks that need no lookup or hash, and reading on after a failure.

use std::sync::Arc;

use mnem_store_traits::{
    Cid, StoreError,
    backend::{Present, check_read},
    driver::Sharing,
};
use redb::{ReadOnlyTable, StorageError};

use crate::{
    Check, CommitDurability, Verify,
    engine::{
        attempt,
        file::OpenFile,
        keys::Key,
        nearby::{Presence, Stored},
        snapshot::{Generation, Invalidate, Snapshot, SnapshotCache, SnapshotGuard},
        verified::Verified,
    },
    error::{At, BACKEND, Panic, contain, is_latched},
    limits::NEARBY_LOOKUPS_MIN,
};

/// Reads a file, and keeps between reads what the next one can use.
pub(crate) struct Reader {
    pub(crate) file: OpenFile,
    /// The snapshot of the next read, unless a commit comes first.
    snapshots: SnapshotCache,
    /// Blocks that are known to be present.
    present: Present,
    /// Blocks that were hashed before; `None`: every read hashes its block.
    verified: Option<Verified>,
}

impl Reader {
    pub(crate) fn new(file: OpenFile) -> Self {
        let verified = (file.options.verify == Verify::OncePerHandle).then(Verified::new);
        Self { file, snapshots: SnapshotCache::default(), present: Present::default(), verified }
    }

    /// Runs `f` on the snapshot of the last commit. The result of `f` may own a guard into the snapshot, but not borrow
    /// from it.
    pub(crate) fn read<R>(
        &self,
        operation: &'static str,
        mut f: impl FnMut(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        match self.read_once(operation, &mut f) {
            Err(error) if is_latched(&error) && self.recover(operation, &error)? => self.read_once(operation, &mut f),
            result => result,
        }
    }

    fn read_once<R>(
        &self,
        operation: &'static str,
        f: &mut impl FnMut(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let guard = SnapshotGuard::new(self.snapshot(operation)?);
        contain(|| {
            let result = f(guard.snapshot());
            guard.release();
            result
        })
        .map_err(|panic| self.panicked(operation, panic))?
    }

    /// The snapshot of a read that begins now.
    fn snapshot(&self, operation: &'static str) -> Result<Arc<Snapshot>, StoreError> {
        // If other processes may write, only a new snapshot shows their commits.
        match self.file.options.sharing {
            Sharing::ExclusiveWriter => self.snapshots.get(|| self.begin_read(operation)),
            Sharing::SingleWriter | Sharing::MultiWriter => self.begin_read(operation).map(Arc::new),
        }
    }

    fn begin_read(&self, operation: &'static str) -> Result<Snapshot, StoreError> {
        self.file.check_readable()?;
        let begun = {
            let session = self.file.session();
            let session = session.as_ref().ok_or_else(|| self.file.gate.closed(operation))?;
            contain(|| session.begin_read())
        };
        let begun = begun.map_err(|panic| self.panicked(operation, panic))?;
        begun.map(Snapshot::new).map_err(|error| self.file.at(operation).redb(error))
    }

    /// The stored bytes of a block, not verified.
    pub(crate) fn find(&self, at: At<'_>, snapshot: &Snapshot, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        let objects = snapshot.objects(at, self.file.layout)?;
        // A snapshot without a generation serves one read, so it has no earlier lookup to continue from. In a file that
        // may be damaged, read nothing beyond the requested row.
        if snapshot.generation().is_some() && self.file.options.check != Check::AsItIs {
            match snapshot.nearby.find(objects, key) {
                Ok(None) | Err(StorageError::Corrupted(_)) => {}
                found => return found.map_err(|error| at.redb(error)),
            }
        }
        objects.get_owned(key).map_err(|error| at.redb(error))
    }

    /// Whether the blocks of all these keys are present, in one snapshot. The fastest order of many keys is ascending.
    pub(crate) fn all_present<'a>(
        &self,
        operation: &'static str,
        keys: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<bool, StoreError> {
        let at = self.file.at(operation);
        // Most calls look for a single block that is to be put, and it is absent.
        let are_many = keys.clone().nth(NEARBY_LOOKUPS_MIN).is_some();
        self.read(operation, |snapshot| {
            let mut presence = Presence::new(snapshot.objects(at, self.file.layout)?);
            for key in keys.clone() {
                if !self.is_present(at, snapshot, &mut presence, key, are_many)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Whether the block of each key is present, in one snapshot and in the order of the keys. The fastest order is
    /// ascending.
    pub(crate) fn are_present(&self, operation: &'static str, keys: &[Key]) -> Result<Vec<bool>, StoreError> {
        let at = self.file.at(operation);
        // In a file that may be damaged, read nothing beyond the requested rows.
        let are_many = keys.len() > NEARBY_LOOKUPS_MIN && self.file.options.check != Check::AsItIs;
        self.read(operation, |snapshot| {
            let mut presence = Presence::new(snapshot.objects(at, self.file.layout)?);
            keys.iter().map(|key| self.is_present(at, snapshot, &mut presence, key, are_many)).collect()
        })
    }

    fn is_present(
        &self,
        at: At<'_>,
        snapshot: &Snapshot,
        presence: &mut Presence<'_, ReadOnlyTable<&'static [u8], &'static [u8]>>,
        key: &[u8],
        are_many: bool,
    ) -> Result<bool, StoreError> {
        if snapshot.generation().is_some_and(|generation| self.present.contains(key, generation.0)) {
            return Ok(true);
        }
        // Do not remember it: a caller that looks up many blocks in order looks up other blocks next.
        if are_many && presence.is_near(key).map_err(|error| at.redb(error))? {
            return Ok(true);
        }
        if !presence.contains(key).map_err(|error| at.redb(error))? {
            return Ok(false);
        }
        if let Some(generation) = snapshot.generation() {
            self.present.insert(key, generation.0);
        }
        Ok(true)
    }

    /// Hashes the bytes of a block that a read returns, unless this handle hashes each block once and has already done
    /// so.
    pub(crate) fn verify(
        &self,
        cid: &Cid,
        key: &Key,
        data: &[u8],
        generation: Option<Generation>,
    ) -> Result<(), StoreError> {
        let (Some(verified), Some(generation)) = (&self.verified, generation) else {
            return check_read(BACKEND, cid, data);
        };
        if !verified.contains(key, generation) {
            check_read(BACKEND, cid, data)?;
            verified.insert(key, generation);
        }
        Ok(())
    }

    /// Drops the cached snapshot, or leaks it after a panic of redb.
    pub(crate) fn invalidate(&self, what: Invalidate) {
        if self.file.has_panicked() {
            self.snapshots.leak();
        } else if contain(|| self.snapshots.invalidate(what)).is_err() {
            self.file.set_panicked();
        }
    }

    /// The error of a call in which redb panicked. Refuses writes from now on.
    pub(crate) fn panicked(&self, operation: &'static str, panic: Panic) -> StoreError {
        self.file.set_panicked();
        self.snapshots.leak();
        let error = self.file.at(operation).panicked(panic);
        self.file.poison(&error);
        error
    }

    /// Lets reads go on after redb latched a failure of the medium, by opening the file a second time, repaired in
    /// memory. Returns `false` if that is not possible.
    fn recover(&self, operation: &'static str, latched: &StoreError) -> Result<bool, StoreError> {
        let options = &self.file.options;
        // Other processes may be writing the file, and a copy repaired in memory would not follow them.
        let alone = match options.sharing {
            Sharing::ExclusiveWriter => true,
            Sharing::SingleWriter => !options.read_only,
            Sharing::MultiWriter => false,
        };
        // The pages of the failed sync are in the file but not durable, so nothing may be acknowledged because of them.
        self.file.poison(latched);
        // Without syncs the file lacks commits that only redb's memory holds; reading the file would make them
        // disappear.
        if !alone || options.durability == CommitDurability::None || options.check == Check::AsItIs {
            return Ok(false);
        }
        self.reopen_repaired(operation)?;
        self.invalidate(Invalidate::Generation);
        Ok(true)
    }

    /// Opens the file a second time, unless another reader has done so meanwhile.
    fn reopen_repaired(&self, operation: &'static str) -> Result<(), StoreError> {
        let mut session = self.file.session_mut();
        let session = session.as_mut().ok_or_else(|| self.file.gate.closed(operation))?;
        if session.recovered.as_ref().is_some_and(|(_, seam)| !seam.failed()) {
            return Ok(());
        }
        let old = session.recovered.take();
        contain(|| drop(old)).map_err(|panic| self.panicked(operation, panic))?;
        let again = attempt::reopen_repaired(session.seam.medium(), &self.file.path, &self.file.options)?;
        session.recovered = Some((again.database, again.seam));
        Ok(())
    }
}
