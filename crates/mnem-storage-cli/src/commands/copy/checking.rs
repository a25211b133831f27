//! The check of the source's structure.

use std::{sync::Arc, thread::JoinHandle};

use mnem_storage::{CopyError, Store, StoreError};

use super::{Args, failed, open_source};
use crate::{context::Context, error::Result};

/// The source, and the check of its structure: see [`Context::checked_options`].
///
/// A first copy waits for the check, so that nothing is created if the source is damaged. An update of an earlier copy
/// takes about as long as the check, so the check runs beside it, in a thread of its own.
pub(crate) struct CheckedSource {
    pub(crate) store: Arc<dyn Store>,
    check: Option<JoinHandle<std::result::Result<(), StoreError>>>,
}

impl CheckedSource {
    pub(crate) fn open(context: &Context, args: &Args) -> Result<Self> {
        if !args.to.exists() {
            return Ok(Self { store: open_source(context, args)?, check: None });
        }
        let store = context.open_read_only_at(&args.from);
        let store = store.map_err(|error| failed(args, CopyError::Source(error.into())))?;
        let (options, from) = (context.checked_options().read_only(true), args.from.clone());
        let check = std::thread::spawn(move || options.open(from).map(drop));
        Ok(Self { store, check: Some(check) })
    }

    /// Waits for the end of the check. Only the first call returns its error.
    pub(crate) fn wait(&mut self) -> std::result::Result<(), StoreError> {
        match self.check.take().map(JoinHandle::join) {
            Some(Ok(checked)) => checked,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}
