//! File systems without file locks, or with only some: a medium that answers every lock call as such a file system
//! does.

use std::{io, ops::Bound};

use mnem_backend_redb::{Check, OpenOptions};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{Blockstore, ErrorKind, Store, StoreError};
use redb::{BackendError, StorageBackend};

use crate::support::{Call, FakeMedium, block, kind_of};

/// How the file system answers lock calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// As redb's own backend does after `ENOSYS`, `ENOTSUP`, `EOPNOTSUPP`.
    Unsupported,
    /// This error number from every call.
    Errno(i32),
    /// Locks of whole files only: `flock` without `fcntl`.
    WholeOnly,
}

#[cfg(target_os = "linux")]
const LACKING: [Answer; 5] = [
    Answer::Unsupported,
    Answer::Errno(22), // EINVAL
    Answer::Errno(37), // ENOLCK
    Answer::Errno(38), // ENOSYS
    Answer::Errno(95), // EOPNOTSUPP
];
#[cfg(not(target_os = "linux"))]
const LACKING: [Answer; 1] = [Answer::Unsupported];

#[derive(Clone, Debug)]
struct Place(FakeMedium, Answer);

impl Place {
    fn lock<T>(&self, start: Bound<u64>, end: Bound<u64>, granted: T) -> Result<T, BackendError> {
        match self.1 {
            Answer::WholeOnly if start == Bound::Unbounded && end == Bound::Unbounded => Ok(granted),
            Answer::Unsupported | Answer::WholeOnly => Err(BackendError::Unsupported),
            Answer::Errno(number) => Err(BackendError::Io(io::Error::from_raw_os_error(number))),
        }
    }
}

impl StorageBackend for Place {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock(start, end, true)
    }
    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock(start, end, true)
    }
    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock(start, end, ())
    }
    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock(start, end, ())
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock(start, end, ())
    }
    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock(start, end, false)
    }
}

/// A store with one block, closed.
fn stored() -> FakeMedium {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    store.put(&block(1).0, block(1).1).expect("put");
    store.close().expect("close");
    medium
}

/// Every way of opening in the exclusive mode.
fn ways() -> Vec<OpenOptions> {
    let (write, read) = (OpenOptions::new(), OpenOptions::new().read_only(true));
    let checks = [Check::Auto, Check::Always, Check::Pages, Check::Never];
    let all = checks.into_iter().flat_map(|check| [write.clone().check(check), read.clone().check(check)]);
    all.chain([read.clone().check(Check::AsItIs)]).collect()
}

fn in_full(error: &StoreError) -> String {
    error.in_full().to_string()
}

#[test]
fn a_place_without_locks_is_refused_by_name_and_left_as_it_was() {
    for answer in LACKING {
        for options in ways() {
            let medium = stored();
            let (before, writes) = (medium.bytes(), medium.count(Call::Write));
            let error = options.open_medium(Place(medium.clone(), answer), "medium").expect_err("a refusal");
            let told = in_full(&error);
            assert_eq!(error.kind(), ErrorKind::Backend, "{answer:?} {options:?}: {told}");
            assert!(
                told.contains("failed to lock medium")
                    && told.contains("has no locks (fcntl, flock)")
                    && told.contains("-o flock"),
                "{answer:?} {options:?}: {told}"
            );
            assert!(medium.bytes() == before && medium.count(Call::Write) == writes, "{answer:?} {options:?}");
        }
    }
}

#[test]
fn a_store_is_not_made_without_locks() {
    for answer in LACKING {
        let medium = FakeMedium::default();
        let made = FakeMedium::options().open_medium(Place(medium.clone(), answer), "medium");
        assert!(in_full(&made.expect_err("a refusal")).contains("has no locks (fcntl, flock)"), "{answer:?}");
        assert_eq!(medium.bytes(), Vec::<u8>::new(), "{answer:?}");
    }
}

#[test]
fn the_shared_modes_are_refused_by_name_where_parts_of_a_file_cannot_be_locked() {
    for answer in LACKING.into_iter().chain([Answer::WholeOnly]) {
        for concurrency in [Sharing::SingleWriter, Sharing::MultiWriter] {
            for read_only in [false, true] {
                let medium = stored();
                let before = medium.bytes();
                let options = OpenOptions::new().sharing(concurrency).read_only(read_only);
                let error = options.open_medium(Place(medium.clone(), answer), "medium").expect_err("a refusal");
                let told = in_full(&error);
                assert!(told.contains("no byte-range locks"), "{answer:?} {concurrency:?}: {told}");
                assert!(medium.bytes() == before, "{answer:?} {concurrency:?}");
                // No option overrides this refusal.
                let refused = options.without_locks(true).open_medium(Place(medium, answer), "medium");
                assert_eq!(kind_of(refused), ErrorKind::InvalidArgument);
            }
        }
    }
}

#[test]
fn locks_of_whole_files_are_enough_alone() {
    for options in ways() {
        let store = options.open_medium(Place(stored(), Answer::WholeOnly), "medium").expect("open");
        assert_eq!(store.get(&block(1).0).expect("get"), Some(block(1).1));
        store.close().expect("close");
    }
}

#[test]
fn a_store_opens_without_locks_by_that_name() {
    for answer in LACKING.into_iter().chain([Answer::WholeOnly]) {
        let place = Place(FakeMedium::default(), answer);
        let made = FakeMedium::options().without_locks(true).open_medium(place.clone(), "medium").expect("create");
        made.put(&block(1).0, block(1).1).expect("put");
        made.close().expect("close");
        for options in ways() {
            let store = options.without_locks(true).open_medium(place.clone(), "medium").expect("open");
            assert_eq!(store.get(&block(1).0).expect("get"), Some(block(1).1), "{answer:?}");
            store.close().expect("close");
        }
    }
}

#[test]
fn a_failure_of_the_medium_is_never_taken_for_a_place_without_locks() {
    for number in [5, 28, 13] {
        let place = Place(stored(), Answer::Errno(number));
        let opened = OpenOptions::new().without_locks(true).open_medium(place, "medium");
        let told = in_full(&opened.expect_err("a refusal"));
        assert!(!told.contains("has no locks (fcntl, flock)"), "{told}");
    }
}
