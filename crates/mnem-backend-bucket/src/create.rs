//! Creating a store. Its object `mnem` is created last: without it, there is no store yet.

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
        None => Err(damaged(objects, FORMAT, "it was absent right after it was written")),
    }
}

/// Fails unless there is nothing but what a creation leaves that was cut off. A store that lost its `mnem` is damaged.
pub(crate) fn check_remains(objects: &Objects) -> Result<(), StoreError> {
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
            Err(damaged(objects, FORMAT, format!("it is missing, but there are objects in {folder}")))
        }
        Some(folder) => foreign(folder),
        None => Ok(()),
    }
}

/// Creates an object, and then creates it again, with other bytes, until the service itself says that it exists. A
/// service that says "made" instead, or replaces the bytes, does not look whether an object exists, and every promise of
/// the store depends on that.
fn probe(options: &OpenOptions, objects: &Objects) -> Result<(), StoreError> {
    create_once(options, objects, PROBE, || PutPayload::from_static(PROBED))?;
    let ignored = || StoreError::Backend {
        backend: BACKEND,
        operation: format!("create a store at {}", objects.location()),
        outcome: Outcome::NotApplied,
        source: Cause::new(ServiceFault::NoCreateIfAbsent),
    };
    let mut patience = Patience::new(options);
    loop {
        match objects.create(PROBE, PutPayload::from_static(PROBED_AGAIN)) {
            Creation::Made => return Err(ignored()),
            Creation::Exists(_) => break,
            // It changes nothing on a service that keeps the condition.
            Creation::Refused(error) | Creation::Failed(error) => {
                return Err(failed(objects, "create", PROBE, Outcome::NotApplied, error));
            }
            Creation::Unsure(error) => patience.wait(objects, PROBE, error)?,
        }
    }
    match objects.start(PROBE)? {
        Some(start) if start.bytes == PROBED_AGAIN => Err(ignored()),
        _ => Ok(()),
    }
}

/// The bytes of the object that is probed. Those of the second attempt are never seen on a service that can keep a store.
pub(crate) const PROBED: &[u8] = b"mnem-backend-bucket\n";
const PROBED_AGAIN: &[u8] = b"mnem-backend-bucket: this service ignores If-None-Match\n";

/// How long requests are repeated.
struct Patience {
    attempts: u32,
    begin: Instant,
    give_up: Duration,
}

impl Patience {
    fn new(options: &OpenOptions) -> Self {
        Self { attempts: 0, begin: Instant::now(), give_up: options.give_up }
    }

    /// Waits before the next attempt to create an object. Fails when it is time to give up.
    fn wait(&mut self, objects: &Objects, name: &str, error: object_store::Error) -> Result<(), StoreError> {
        self.attempts += 1;
        if self.attempts >= WRITE_ATTEMPTS_MIN && self.begin.elapsed() >= self.give_up {
            return Err(failed(objects, "create", name, Outcome::Unknown, error));
        }
        thread::sleep(objects.pause_after(self.attempts));
        Ok(())
    }
}

/// Creates an object, with retries. On `Ok` the object exists; another writer may have created it.
fn create_once(
    options: &OpenOptions,
    objects: &Objects,
    name: &str,
    payload: impl Fn() -> PutPayload,
) -> Result<(), StoreError> {
    let mut patience = Patience::new(options);
    loop {
        let (error, is_final) = match objects.create(name, payload()) {
            Creation::Made => return Ok(()),
            Creation::Refused(error) | Creation::Failed(error) => (error, patience.attempts == 0),
            Creation::Exists(error) | Creation::Unsure(error) => (error, false),
        };
        if is_final {
            return Err(failed(objects, "create", name, Outcome::NotApplied, error));
        }
        if let Ok(Some(_)) = objects.start(name) {
            return Ok(());
        }
        patience.wait(objects, name, error)?;
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
