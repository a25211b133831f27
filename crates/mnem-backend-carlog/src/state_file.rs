//! The file `state`, as a handle that only reads keeps it open.

use std::sync::{Arc, PoisonError, RwLock};

use mnem_store_traits::StoreError;

use crate::{
    engine::{
        files::File,
        state::{STATE_BYTES, State},
    },
    error::at,
    source::Source,
};

/// The file `state`. Every read of a reader asks it first, so it stays open between reads. A writer overwrites it in
/// place. Should it be removed or replaced all the same, it is opened again.
#[derive(Debug, Default)]
pub(crate) struct StateFile(RwLock<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    file: Arc<dyn File>,
    /// The bytes that were read last, and their meaning, whose MAC need not be checked again.
    bytes: [u8; STATE_BYTES],
    state: Option<State>,
}

impl StateFile {
    /// What the file says now. `None`: it is missing or invalid.
    pub(crate) fn read(&self, source: &Source<'_>) -> Result<Option<State>, StoreError> {
        let path = || source.layout.state();
        let mut file = None;
        if let Some(kept) = &*self.0.read().unwrap_or_else(PoisonError::into_inner)
            && kept.file.is_named().map_err(|error| at("look at", &path())(error))?
        {
            if read(&*kept.file, source)? == kept.bytes {
                return Ok(kept.state);
            }
            file = Some(kept.file.clone());
        }
        let file = match file {
            Some(file) => Some(file),
            None => source.files.open(&path(), false).map_err(|error| at("open", &path())(error))?,
        };
        let kept = match file {
            None => None,
            Some(file) => {
                let bytes = read(&*file, source)?;
                Some(Kept { file, bytes, state: State::decode(&bytes, source.keys) })
            }
        };
        let state = kept.as_ref().and_then(|kept| kept.state);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(state)
    }
}

fn read(file: &dyn File, source: &Source<'_>) -> Result<[u8; STATE_BYTES], StoreError> {
    let mut bytes = [0; STATE_BYTES];
    file.read_at(&mut bytes, 0).map_err(|error| at("read", &source.layout.state())(error))?;
    Ok(bytes)
}
