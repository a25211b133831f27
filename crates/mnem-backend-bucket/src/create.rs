//! Making a store. Its object `mnem` comes last: without it there is no store yet.

use std::{
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use mnem_store_traits::{Cause, Outcome, StoreError, driver::ServiceFault};
use object_store::PutPayload;

use crate::{
    OpenOptions,
    engine::{
        format::{Format, token},
        objects::{Creation, Objects},
    },
    error::{BACKEND, damaged, failed, not_a_store},
    limits::{FORMAT_BYTES_MAX, READ_ATTEMPTS, WRITE_ATTEMPTS_MIN},
    open::{already_there, read_format},
    tables::{CHECKPOINTS, FORMAT, LOG, PACKS, PROBE},
};

/// Makes a store, or returns the one that another handle makes at the same time.
pub(crate) fn create(options: &OpenOptions, objects: &Objects) -> Result<Format, StoreError> {
    check_remains(objects)?;
    probe(options, objects)?;
    let own = Format { store: token()?, lease: Duration::from_millis(options.lease.as_millis() as u64) };
    let content = own.encode();
    debug_assert!(content.len() as u64 <= FORMAT_BYTES_MAX);
    create_once(options, objects, FORMAT, || PutPayload::from(content.clone()))?;
    match read_format(objects)? {
        Some(found) if found.store != own.store && options.create_new => Err(already_there(objects)),
        Some(found) => Ok(found),
        None => Err(damaged(objects, FORMAT, "it disappeared as soon as it was written")),
    }
}

/// Fails unless there is nothing but what a creation leaves that was cut off.
fn check_remains(objects: &Objects) -> Result<(), StoreError> {
    let found = objects.list("", READ_ATTEMPTS)?;
    let foreign = |name: &str| {
        let reason = format!("it has no object {FORMAT}, and it holds other objects, such as {name:?}");
        Err(not_a_store(objects, reason))
    };
    for (name, _) in &found.objects {
        match name.as_str() {
            PROBE => {}
            // Another handle made it since.
            FORMAT => return Ok(()),
            other => return foreign(other),
        }
    }
    match found.folders.first() {
        Some(folder) if [LOG, PACKS, CHECKPOINTS].contains(&folder.as_str()) => {
            Err(damaged(objects, FORMAT, format!("it is missing, yet there are objects in {folder}")))
        }
        Some(folder) => foreign(folder),
        None => Ok(()),
    }
}

/// Creates an object twice. A service that says "made" both times does not look whether the object exists, and every
/// promise of the store depends on that.
fn probe(options: &OpenOptions, objects: &Objects) -> Result<(), StoreError> {
    let made = || create_once(options, objects, PROBE, || PutPayload::from_static(b"mnem-backend-bucket\n"));
    if made()? && made()? {
        return Err(StoreError::Backend {
            backend: BACKEND,
            operation: format!("create a store at {}", objects.location()),
            outcome: Outcome::NotApplied,
            source: Cause::new(ServiceFault::NoCreateIfAbsent),
        });
    }
    Ok(())
}

/// Creates an object, by as many attempts as it takes, and returns whether the last one made it. The object exists.
fn create_once(
    options: &OpenOptions,
    objects: &Objects,
    name: &str,
    payload: impl Fn() -> PutPayload,
) -> Result<bool, StoreError> {
    let begin = Instant::now();
    let mut attempts = 0;
    loop {
        let error = match objects.create(name, payload())? {
            Creation::Made => return Ok(true),
            Creation::Refused(error) if attempts == 0 => {
                return Err(failed(objects, "create", name, Outcome::NotApplied, error));
            }
            Creation::Exists(error) | Creation::Refused(error) | Creation::Unsure(error) => error,
        };
        if let Ok(Some(_)) = objects.start(name) {
            return Ok(false);
        }
        attempts += 1;
        if attempts >= WRITE_ATTEMPTS_MIN && begin.elapsed() >= options.give_up {
            return Err(failed(objects, "create", name, Outcome::Unknown, error));
        }
        thread::sleep(objects.pause_after(attempts));
    }
}

/// Makes the names in a folder durable, where folders can be synced. One that is not there has none.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match std::fs::File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.sync_all(),
    }
}
