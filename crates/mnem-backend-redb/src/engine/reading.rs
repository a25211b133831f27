//! Reads: which state of the file they see, and reading on after a failure.

use std::sync::Arc;

use mnem_store_traits::StoreError;

use crate::{
    Check, CommitDurability,
    engine::snapshot::{Ends, Held, Snapshot},
    error::{contain, is_latched},
    handle::Handle,
    open,
};
use mnem_store_traits::driver::Sharing;

impl Handle {
    /// Runs `f` on what the last commit left. What `f` returns may own its place in the snapshot, but not borrow.
    pub(crate) fn read<R>(
        &self,
        operation: &'static str,
        mut f: impl FnMut(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        match self.read_once(operation, &mut f) {
            Err(error) if is_latched(&error) && self.salvage(operation, &error)? => self.read_once(operation, &mut f),
            result => result,
        }
    }

    fn read_once<R>(
        &self,
        operation: &'static str,
        f: &mut impl FnMut(&Snapshot) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let held = Held::new(self.snapshot(operation)?);
        contain(|| {
            let result = f(held.snapshot());
            held.release();
            result
        })
        .map_err(|panic| self.panicked(operation, panic))?
    }

    /// The state that a read which begins now has to see.
    fn snapshot(&self, operation: &'static str) -> Result<Arc<Snapshot>, StoreError> {
        // Where other processes may write, only a new snapshot shows what they did.
        match self.options.sharing {
            Sharing::ExclusiveWriter => self.kept.get(|| self.begin_read(operation)),
            Sharing::SingleWriter | Sharing::MultiWriter => self.begin_read(operation).map(Arc::new),
        }
    }

    fn begin_read(&self, operation: &'static str) -> Result<Snapshot, StoreError> {
        self.check_readable()?;
        let begun = {
            let session = self.session();
            let session = session.as_ref().ok_or_else(|| self.gate.closed(operation))?;
            contain(|| session.begin_read())
        };
        let begun = begun.map_err(|panic| self.panicked(operation, panic))?;
        begun.map(Snapshot::new).map_err(|error| self.at(operation).redb(error))
    }

    /// Lets reads go on after redb latched a failure of the medium: opens the file a second time, repaired in memory. `false` if that
    /// is not possible.
    fn salvage(&self, operation: &'static str, latched: &StoreError) -> Result<bool, StoreError> {
        // Others may be writing the file; a repaired copy of what it was would not follow them.
        let alone = match self.options.sharing {
            Sharing::ExclusiveWriter => true,
            Sharing::SingleWriter => !self.options.read_only,
            Sharing::MultiWriter => false,
        };
        // What a failed sync left behind is in the file, and not durable: nothing may be acknowledged on the strength of it.
        self.poison(latched);
        // Without syncs the file lacks what redb alone knows, and reading it would make that absent.
        if !alone || self.options.durability == CommitDurability::None || self.options.check == Check::AsItIs {
            return Ok(false);
        }
        self.look_again(operation)?;
        self.forget_kept(Ends::Era);
        Ok(true)
    }

    /// Opens the file a second time, unless another reader did so meanwhile.
    fn look_again(&self, operation: &'static str) -> Result<(), StoreError> {
        let mut session = self.session_mut();
        let session = session.as_mut().ok_or_else(|| self.gate.closed(operation))?;
        if session.salvaged.as_ref().is_some_and(|(_, seam)| !seam.failed()) {
            return Ok(());
        }
        let old = session.salvaged.take();
        contain(|| drop(old)).map_err(|panic| self.panicked(operation, panic))?;
        session.salvaged = Some(open::salvage(session.seam.medium(), &self.path, &self.options)?);
        Ok(())
    }
}
