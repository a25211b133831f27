//! Opening a store: reading what it is, and its log.

use std::{fs, path::Path, sync::Arc, time::Instant};

use mnem_store_traits::{
    StoreError,
    driver::{Entry, FileIdentity, Location, identity},
};
use object_store::{ObjectStore, local::LocalFileSystem};

use crate::{
    BucketStore, OpenOptions,
    address::{Address, Bucket},
    counted::{Counted, Requests},
    create::{check_remains, create, sync_folder},
    engine::{format::Format, objects::Objects},
    error::{BACKEND, damaged, not_a_store, unavailable},
    handle::Handle,
    limits::{FORMAT_BYTES_MAX, LEASE_MAX, PROBE_PAUSE},
    tables::{FORMAT, LOG, number_of, slot},
};

pub(crate) fn open(options: &OpenOptions, at: &Location) -> Result<BucketStore, StoreError> {
    check(options)?;
    match Address::of(at)? {
        Address::Folder(path) => open_folder(options, at, &path),
        Address::Bucket(bucket) => open_service(options, at, service_of(at, &bucket)?, bucket.prefix),
    }
}

fn open_folder(options: &OpenOptions, at: &Location, path: &Path) -> Result<BucketStore, StoreError> {
    let none = |reason: &str| StoreError::NotAStore { location: at.clone(), reason: reason.into() };
    let io = |verb: &str| {
        let operation = format!("{verb} {}", path.display());
        move |error| unavailable(&operation, error)
    };
    match Entry::at(path, BACKEND)? {
        Entry::Folder | Entry::EmptyFolder => {}
        Entry::Other(what) => return Err(none(what)),
        Entry::Absent if !options.may_create() => return Err(none("it does not exist")),
        Entry::Absent => match fs::create_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(none("its parent folder does not exist; create it first"));
            }
            // Another handle may make the same store.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.map_err(io("create folder"))?,
        },
        _ => return Err(none("it is not a folder")),
    }
    let folder = fs::canonicalize(path).map_err(io("find"))?;
    if options.may_create() {
        let parent = folder.parent().unwrap_or(&folder);
        sync_folder(parent).map_err(io("sync the folder of"))?;
    }
    let service = LocalFileSystem::new_with_prefix(&folder).map_err(|error| io("open folder")(error.into()))?;
    let found = fs::metadata(&folder).map_err(io("look at"))?;
    let requests = Requests::default();
    let service = Arc::new(Counted::new(Arc::new(service.with_fsync(true)), &requests));
    let objects = Objects::new(service, object_store::path::Path::default(), at.clone(), options.pause);
    // Another handle's file has its name before its folder is synced.
    let opened = identity(&found);
    let objects = objects.checked_by({
        let folder = folder.clone();
        move || check_folder(&folder, opened)
    });
    let settled = move || sync_folder(&folder.join(LOG)).and_then(|()| sync_folder(&folder));
    Ok(open_at(options, objects.settled_by(settled))?.counted_by(requests).identified_by(opened))
}

/// Fails if a folder was moved or removed. Its files would seem absent, and the next one would be written into a new
/// folder.
fn check_folder(folder: &Path, opened: FileIdentity) -> std::io::Result<()> {
    if identity(&fs::metadata(folder)?) == opened {
        return Ok(());
    }
    Err(std::io::Error::new(
        std::io::ErrorKind::NotFound,
        "the folder was moved or removed, and another one is in its place",
    ))
}

fn open_service(
    options: &OpenOptions,
    at: &Location,
    service: Arc<dyn ObjectStore>,
    prefix: object_store::path::Path,
) -> Result<BucketStore, StoreError> {
    let requests = Requests::default();
    let objects = Objects::new(Arc::new(Counted::new(service, &requests)), prefix, at.clone(), options.pause);
    Ok(open_at(options, objects)?.counted_by(requests))
}

/// The objects of a bucket, with short retries, for probing it.
pub(crate) fn objects_to_probe(at: &Location, bucket: &Bucket) -> Result<Objects, StoreError> {
    Ok(Objects::new(service_of(at, bucket)?, bucket.prefix.clone(), at.clone(), PROBE_PAUSE))
}

#[cfg(feature = "services")]
fn service_of(at: &Location, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let wrong = |error| StoreError::InvalidArgument { operation: "open", reason: format!("{at}: {error}") };
    crate::services::connect(bucket).map_err(wrong)
}

#[cfg(not(feature = "services"))]
fn service_of(at: &Location, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Err(StoreError::Unsupported {
        operation: format!("opening {at}"),
        reason: format!(
            "mnem-backend-bucket was compiled without its feature `services`, and has no {:?}",
            bucket.provider
        ),
    })
}

#[cfg(feature = "unstable-open-in")]
pub(crate) fn open_in(
    options: &OpenOptions,
    service: Arc<dyn ObjectStore>,
    prefix: &str,
) -> Result<BucketStore, StoreError> {
    check(options)?;
    let path = object_store::path::Path::parse(prefix).map_err(|error| StoreError::InvalidArgument {
        operation: "open",
        reason: format!("{prefix:?} is not a path of an object store: {error}"),
    })?;
    let location = Location::Url(format!("{service} below {prefix:?}"));
    open_service(options, &location, service, path)
}

fn check(options: &OpenOptions) -> Result<(), StoreError> {
    let refuse = |reason: String| Err(StoreError::InvalidArgument { operation: "open", reason });
    if options.may_create() && options.read_only {
        return refuse("`read_only` cannot be combined with `create` or `create_new`".into());
    }
    if options.exclusive && options.read_only {
        return refuse("a read-only handle cannot be exclusive".into());
    }
    if options.lease > LEASE_MAX {
        return refuse(format!("a lease of {:?} is above the limit of {LEASE_MAX:?}", options.lease));
    }
    Ok(())
}

impl OpenOptions {
    fn may_create(&self) -> bool {
        self.create || self.create_new
    }
}

pub(crate) fn open_at(options: &OpenOptions, objects: Objects) -> Result<BucketStore, StoreError> {
    let format = match read_format(&objects)? {
        Some(_) if options.create_new => return Err(already_there(&objects)),
        Some(format) => format,
        None if options.may_create() => create(options, &objects)?,
        None => {
            check_remains(&objects)?;
            return Err(not_a_store(&objects, format!("it has no object {FORMAT}")));
        }
    };
    if !options.read_only {
        // The handle that made the store may not have synced it yet.
        objects.settle().map_err(|error| unavailable("sync the store", error))?;
    }
    let handle = Handle::new(options, objects, format);
    read_log(&handle)?;
    handle.begin_alone();
    Ok(BucketStore::new(Arc::new(handle)))
}

pub(crate) fn already_there(objects: &Objects) -> StoreError {
    let reason = format!("{} is already a bucket store", objects.location());
    StoreError::InvalidArgument { operation: "open", reason }
}

pub(crate) fn read_format(objects: &Objects) -> Result<Option<Format>, StoreError> {
    let Some(start) = objects.start(FORMAT)? else { return Ok(None) };
    if start.size > FORMAT_BYTES_MAX {
        return Err(not_a_store(objects, format!("its object {FORMAT} has {} bytes", start.size)));
    }
    Format::decode(objects, &start.bytes).map(Some)
}

/// Reads the log to its end, from the latest checkpoint on. What was listed before must come before the end: otherwise the log has a hole, and what
/// follows the hole was acknowledged.
fn read_log(handle: &Handle) -> Result<(), StoreError> {
    handle.load_checkpoints()?;
    let from = handle.state().next;
    let listed = handle.objects.list_from(LOG, &slot(from))?;
    let last = listed.iter().filter_map(|name| number_of(name)).max();
    handle.look(Instant::now())?;
    let next = handle.state().next;
    match last {
        Some(last) if last >= next => {
            let why = format!("it is missing, but {} exists", slot(last));
            Err(damaged(&handle.objects, &slot(next), why))
        }
        _ => Ok(()),
    }
}
