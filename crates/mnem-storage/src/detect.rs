//! Detecting the store at a place, and choosing the driver of a new one.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use mnem_store_traits::{
    StoreError,
    driver::{Driver, Location, Probe},
};

use crate::{
    DRIVERS,
    drivers::{BACKENDS, Backend, Sign},
};

/// The state of a place.
#[derive(Debug)]
pub(crate) enum Found {
    /// A store, or the remains of one.
    Store(&'static dyn Driver),
    /// A store that only its driver can finish creating.
    Unfinished(&'static dyn Driver),
    /// A store of a backend that this build lacks.
    Lacking(&'static Backend),
    /// No store. For each driver, its objection to creating one there, if any.
    Nothing(Vec<(&'static dyn Driver, Option<String>)>),
}

/// The driver of the store at `at`; `None` if there is none yet (an empty folder counts as nothing).
///
/// Each driver checks whether the store is one of its own. It does not check for damage, nor whether it knows the
/// version. If the place cannot be inspected, the error is that of the driver that the location selects.
///
/// ```
/// use mnem_storage::{ErrorKind, detect};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("memory");
/// # if !mnem_storage::DRIVERS.is_empty() {
/// assert!(detect(&path)?.is_none());
/// std::fs::write(&path, "a letter")?;
/// assert_eq!(detect(&path).err().map(|error| error.kind()), Some(ErrorKind::NotAStore));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// - [`StoreError::NotAStore`]: something else is there; the reason describes it.
/// - [`StoreError::Unsupported`]: a store of a backend that this build lacks.
/// - [`StoreError::Backend`]: the place could not be inspected.
pub fn detect(at: impl Into<Location>) -> Result<Option<&'static dyn Driver>, StoreError> {
    let at = at.into();
    match look(DRIVERS, &at)? {
        Found::Store(driver) => Ok(Some(driver)),
        Found::Lacking(backend) => Err(lacks(backend, &format!("opening the {} store at {at}", backend.name))),
        Found::Unfinished(_) | Found::Nothing(_) => Ok(None),
    }
}

pub(crate) fn look(drivers: &[&'static dyn Driver], at: &Location) -> Result<Found, StoreError> {
    let mut unfinished = None;
    let mut nothing = Vec::new();
    let mut failed = None;
    for driver in drivers.iter().copied() {
        match driver.probe(at) {
            Ok(Probe::Store | Probe::Damaged(_)) => return Ok(Found::Store(driver)),
            Ok(Probe::Unfinished) => unfinished = unfinished.or(Some(driver)),
            Ok(Probe::Absent) => nothing.push((driver, None)),
            Ok(Probe::Foreign(why)) => nothing.push((driver, Some(why))),
            // All drivers that cannot inspect a place fail alike, so the error must name the backend that the user
            // expects there. Another driver may still recognize its store.
            Err(error) if failed.is_none() || driver.suits(at) => failed = Some(error),
            Err(_) => {}
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(backend) = lacking(drivers).find(|backend| is_store_of(backend, at) || is_url_of(backend, at)) {
        return Ok(Found::Lacking(backend));
    }
    if let Some(driver) = unfinished {
        return Ok(Found::Unfinished(driver));
    }
    if !nothing.is_empty() && nothing.iter().all(|(_, why)| why.is_some()) && !is_empty_folder(at) {
        return Err(not_a_store(at, reason(at, &nothing)));
    }
    Ok(Found::Nothing(nothing))
}

/// An empty folder counts as nothing, even if no driver of this build has stores that are folders.
pub(crate) fn is_empty_folder(at: &Location) -> bool {
    at.as_path().is_some_and(|path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()))
}

/// The reason why no driver can have a store there.
fn reason(at: &Location, nothing: &[(&'static dyn Driver, Option<String>)]) -> String {
    let scheme = at.scheme();
    let opens = |driver: &dyn Driver| scheme.as_ref().is_none_or(|scheme| driver.schemes().contains(&&**scheme));
    if let Some(scheme) = scheme.as_ref().filter(|_| !nothing.iter().any(|(driver, _)| opens(*driver))) {
        return unsupported(scheme, nothing);
    }
    let mut reasons = nothing
        .iter()
        .filter(|(driver, _)| opens(*driver))
        .filter_map(|(driver, why)| Some((driver.name(), why.as_deref()?)));
    let Some((name, first)) = reasons.next() else { return "it does not exist".to_owned() };
    let others: Vec<_> = reasons.collect();
    if others.iter().all(|(_, why)| *why == first) {
        return first.to_owned();
    }
    let others: String = others.iter().map(|(name, why)| format!("; {name}: {why}")).collect();
    format!("no backend recognises it ({name}: {first}{others})")
}

/// The reason why a URL cannot be the location of a store.
fn unsupported(scheme: &str, nothing: &[(&'static dyn Driver, Option<String>)]) -> String {
    let known: Vec<_> =
        nothing.iter().flat_map(|(driver, _)| driver.schemes()).map(|known| format!("{known}://")).collect();
    let no_backend = format!("no backend of this build supports URLs with the scheme `{scheme}`");
    match scheme {
        _ if known.is_empty() => no_backend,
        "http" | "https" => format!("{no_backend}; give a server as in s3://BUCKET/PREFIX?endpoint={scheme}://HOST"),
        _ => format!("{no_backend}; it supports {}", known.join(", ")),
    }
}

/// The backends of this crate that are not among the drivers.
pub(crate) fn lacking(drivers: &[&'static dyn Driver]) -> impl Iterator<Item = &'static Backend> {
    BACKENDS.iter().filter(|backend| drivers.iter().all(|driver| driver.name() != backend.name))
}

/// The error for an operation that needs a backend which this build lacks.
pub(crate) fn lacks(backend: &Backend, operation: &str) -> StoreError {
    StoreError::Unsupported { operation: operation.to_owned(), reason: without_feature(backend) }
}

pub(crate) fn without_feature(backend: &Backend) -> String {
    format!("mnem-storage was compiled without its feature `{}`", backend.name)
}

/// Whether the place is a URL that only this backend opens.
fn is_url_of(backend: &Backend, at: &Location) -> bool {
    at.scheme().is_some_and(|scheme| backend.schemes.contains(&&*scheme))
}

/// Whether the place has the signature of the backend. A file that cannot be read has none.
fn is_store_of(backend: &Backend, at: &Location) -> bool {
    let Some(path) = at.as_path() else { return false };
    match backend.sign {
        Sign::FileBegins(begin) => begins(path, begin),
        Sign::FolderWith(name, begin) => begins(&path.join(name), begin),
    }
}

fn begins(path: &Path, with: &[u8]) -> bool {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let Ok(file) = fs::File::open(path) else { return false };
    let mut begin = Vec::new();
    file.take(with.len() as u64).read_to_end(&mut begin).is_ok() && begin == with
}

/// The folder of the store that contains `path`, at any depth. `None` for the store's own folder, or if there is no
/// such store.
///
/// Anything put there does not belong to the store, or damages it. A damaged store counts too. `path` itself need not
/// exist; symbolic links on the way are followed.
pub fn enclosing_store(path: &Path) -> Option<PathBuf> {
    enclosing(DRIVERS, path)
}

pub(crate) fn enclosing(drivers: &[&'static dyn Driver], path: &Path) -> Option<PathBuf> {
    let is_store = |folder: &Path| {
        let at = Location::Path(folder.to_owned());
        drivers.iter().any(|driver| matches!(driver.probe(&at), Ok(Probe::Store | Probe::Damaged(_))))
            || lacking(drivers).any(|backend| is_store_of(backend, &at))
    };
    resolved(path)?.ancestors().skip(1).find(|folder| is_store(folder)).map(Path::to_owned)
}

/// `path` without symbolic links. If nothing is there yet, the path that it would have. `None` if its folder does not
/// exist either.
fn resolved(path: &Path) -> Option<PathBuf> {
    if let Ok(path) = fs::canonicalize(path) {
        return Some(path);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
}

pub(crate) fn not_a_store(at: &Location, reason: impl Into<String>) -> StoreError {
    StoreError::NotAStore { location: at.clone(), reason: reason.into() }
}
