//! The file `state`, as a handle that only reads keeps it open.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use mnem_store_traits::{StoreError, driver::FileIdentity};

use crate::{
    engine::{
        files::File,
        state::{STATE_BYTES, State},
    },
    error::at,
    source::Source,
};

/// The file `state`. Every read of a reader asks it first, so it stays open between reads. A writer overwrites it in
/// place. If its path leads to another file or to none, because the file was removed or replaced or the store was moved,
/// it is opened again; each time, if the system does not identify files.
#[derive(Debug, Default)]
pub(crate) struct StateFile(RwLock<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    file: Arc<dyn File>,
    identity: FileIdentity,
    /// The bytes that were read last, and their meaning, whose MAC need not be checked again.
    bytes: [u8; STATE_BYTES],
    state: Option<State>,
}

impl StateFile {
    /// What the file says now. `None`: it is missing or invalid.
    pub(crate) fn read(&self, source: &Source<'_>) -> Result<Option<State>, StoreError> {
        let path = source.layout.state();
        let mut file = None;
        if let Some(kept) = &*self.0.read().unwrap_or_else(PoisonError::into_inner)
            // A failure may concern only this open file, so it is no error yet.
            && source.files.identity(&path).is_ok_and(|now| now.is_some() && now == kept.identity)
            && let Ok(bytes) = read(&*kept.file)
        {
            if bytes == kept.bytes {
                return Ok(kept.state);
            }
            file = Some(kept.file.clone());
        }
        let file = match file {
            Some(file) => Some(file),
            None => source.files.open(&path, false).map_err(at("open", &path))?,
        };
        let kept = match file {
            None => None,
            Some(file) => {
                let identity = file.identity().map_err(at("look at", &path))?;
                let bytes = read(&*file).map_err(at("read", &path))?;
                Some(Kept { file, identity, bytes, state: State::decode(&bytes, source.keys) })
            }
        };
        let state = kept.as_ref().and_then(|kept| kept.state);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(state)
    }
}

fn read(file: &dyn File) -> io::Result<[u8; STATE_BYTES]> {
    let mut bytes = [0; STATE_BYTES];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}
