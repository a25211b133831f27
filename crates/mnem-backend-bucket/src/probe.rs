//! What is at a place, without opening it.

use std::{fs, io::Read as _, path::Path};

use mnem_store_traits::{
    StoreError,
    driver::{Entry, Probe},
};

use crate::{
    engine::objects::Objects,
    error::{BACKEND, unavailable},
    limits::READ_ATTEMPTS,
    tables::{CHECKPOINTS, FORMAT, LOG, PACKS, PROBE},
};

/// How every `mnem` object of this backend begins.
const SIGN: &[u8] = b"mnem-backend-bucket ";

const NOT_OURS: &str = "its object `mnem` is that of another program";
const NO_FORMAT: &str = "the object `mnem` is missing, but there are other objects of a store";

/// Probes a bucket: at most two requests.
pub(crate) fn probe_objects(objects: &Objects) -> Result<Probe, StoreError> {
    if let Some(found) = format_of(objects)? {
        return Ok(found);
    }
    let listed = objects.list("", READ_ATTEMPTS)?;
    let names = listed.objects.iter().map(|(name, _)| name).chain(&listed.folders);
    let found = names.fold(Probe::Absent, |found, name| with_name(found, name));
    // Another handle may have finished the creation meanwhile.
    match found {
        Probe::Absent => Ok(Probe::Absent),
        found => Ok(format_of(objects)?.unwrap_or(found)),
    }
}

fn format_of(objects: &Objects) -> Result<Option<Probe>, StoreError> {
    Ok(objects.start(FORMAT)?.map(|start| of_format(&start.bytes)))
}

fn of_format(begin: &[u8]) -> Probe {
    if begin.starts_with(SIGN) { Probe::Store } else { Probe::Foreign(NOT_OURS.into()) }
}

/// What a place without `mnem` is, if it has this name too.
fn with_name(found: Probe, name: &str) -> Probe {
    match (name, found) {
        (_, foreign @ Probe::Foreign(_)) => foreign,
        (LOG | PACKS | CHECKPOINTS, _) => Probe::Damaged(NO_FORMAT.into()),
        (FORMAT | PROBE, Probe::Absent) => Probe::Unfinished,
        (FORMAT | PROBE, found) => found,
        (other, _) => Probe::Foreign(format!("it holds `{other}` and no object `{FORMAT}`")),
    }
}

/// Probes a folder. Without the threads of the engine, since every driver is asked about every path.
pub(crate) fn probe_folder(path: &Path) -> Result<Probe, StoreError> {
    Ok(match Entry::at(path, BACKEND)? {
        Entry::Absent | Entry::EmptyFolder => Probe::Absent,
        Entry::Folder => probe_files(path)?,
        Entry::File(_) => Probe::Foreign("it is a file, not a folder".into()),
        Entry::Other(what) => Probe::Foreign(what.into()),
        _ => Probe::Foreign("it is not a folder".into()),
    })
}

fn probe_files(folder: &Path) -> Result<Probe, StoreError> {
    let format = folder.join(FORMAT);
    if let Some(begin) = begin_of(&format)? {
        return Ok(of_format(&begin));
    }
    let failed = |error| unavailable(&format!("list {}", folder.display()), error);
    let mut found = Probe::Absent;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        // A file under its temporary name, which a cut-off creation leaves: `probe#1`.
        let name = name.to_string_lossy();
        let name = name.split_once('#').map_or(&*name, |(name, _)| name);
        found = with_name(found, name);
        if matches!(found, Probe::Foreign(_)) {
            break;
        }
    }
    // Another handle may have finished the creation meanwhile.
    Ok(begin_of(&format)?.map_or(found, |begin| of_format(&begin)))
}

/// The first bytes of a regular file; `None` if nothing is there. Something else has none.
fn begin_of(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match Entry::at(path, BACKEND)? {
        Entry::Absent => return Ok(None),
        Entry::File(_) => {}
        _ => return Ok(Some(Vec::new())),
    }
    let mut begin = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(SIGN.len() as u64).read_to_end(&mut begin)) {
        Ok(_) => Ok(Some(begin)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unavailable(&format!("read {}", path.display()), error)),
    }
}
