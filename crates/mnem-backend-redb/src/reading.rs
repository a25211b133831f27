//! Read transactions, and reading on after a failure.

use std::mem::ManuallyDrop;

use mnem_store_traits::StoreError;
use redb::ReadTransaction;

use crate::{
    CommitDurability, Concurrency,
    error::{contain, is_latched},
    handle::Handle,
    open,
};

impl Handle {
    /// Runs `f` in a read transaction of its own. What `f` returns may own its place in the snapshot, but not borrow.
    pub(crate) fn read<R>(
        &self,
        operation: &'static str,
        mut f: impl FnMut(&ReadTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        match self.read_once(operation, &mut f) {
            Err(error) if is_latched(&error) && self.salvage(operation, &error)? => self.read_once(operation, &mut f),
            result => result,
        }
    }

    fn read_once<R>(
        &self,
        operation: &'static str,
        f: &mut impl FnMut(&ReadTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let begun = {
            let session = self.session();
            let session = session.as_ref().ok_or_else(|| Self::closed(operation))?;
            contain(|| session.begin_read())
        };
        let transaction =
            begun.map_err(|panic| self.panicked(operation, panic))?.map_err(|error| self.at(operation).redb(error))?;
        // Not dropped by an unwinding: what panicked once may panic again, and that would end the process.
        let transaction = ManuallyDrop::new(transaction);
        contain(|| {
            let result = f(&transaction);
            drop(ManuallyDrop::into_inner(transaction));
            result
        })
        .map_err(|panic| self.panicked(operation, panic))?
    }

    /// Lets reads go on after redb latched a failure of the medium: opens the file a second time, repaired in memory. `false` if that
    /// is not possible.
    fn salvage(&self, operation: &'static str, latched: &StoreError) -> Result<bool, StoreError> {
        // Others may be writing the file; a repaired copy of what it was would not follow them.
        let alone = match self.options.concurrency {
            Concurrency::ExclusiveWriter => true,
            Concurrency::SingleWriter => !self.options.read_only,
            Concurrency::MultiWriter => false,
        };
        // Without syncs the file lacks what redb alone knows, and reading it would make that absent.
        if !alone || self.options.durability == CommitDurability::None {
            return Ok(false);
        }
        // What a failed sync left behind is in the file, and not durable: nothing may be acknowledged on the strength of it.
        self.poison(latched);
        let mut session = self.session_mut();
        let session = session.as_mut().ok_or_else(|| Self::closed(operation))?;
        if session.salvaged.as_ref().is_some_and(|(_, seam)| !seam.failed()) {
            return Ok(true); // by another reader, meanwhile
        }
        let old = session.salvaged.take();
        contain(|| drop(old)).map_err(|panic| self.panicked(operation, panic))?;
        session.salvaged = Some(open::salvage(session.seam.medium(), &self.path, &self.options)?);
        Ok(true)
    }
}
