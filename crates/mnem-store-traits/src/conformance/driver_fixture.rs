//! A fixture for any driver. Its places are folders for temporary files; it reopens stores, and opens a second handle
//! if the driver allows one.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Fixture, FixtureError, Handles, Profile};
use crate::driver::{Driver, Location, OpenOptions};

/// A [`Fixture`] for the stores of a driver. It has no hooks for faults, crashes or damage; the laws
/// that need none, and the laws of [`Profile::Driver`], run with it.
///
/// ```
/// # use mnem_store_traits::{conformance::DriverFixture, driver::Driver};
/// # fn fixture(driver: &'static dyn Driver) -> DriverFixture {
/// // mnem_store_traits::conformance_tests!(my_driver, DriverFixture::new(&DRIVER));
/// DriverFixture::new(driver)
/// # }
/// ```
#[derive(Debug)]
pub struct DriverFixture {
    driver: &'static dyn Driver,
    folder: PathBuf,
    options: OpenOptions,
}

/// A place for one store of a driver.
#[derive(Debug)]
pub struct DriverPlace {
    location: Location,
    folder: Option<PathBuf>,
}

impl Drop for DriverPlace {
    fn drop(&mut self) {
        // If this fails, the leftovers are in the folder for temporary files.
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl DriverFixture {
    /// Makes each store in a new folder below the system's folder for temporary files, at the driver's
    /// [`trial_place`](Driver::trial_place).
    pub fn new(driver: &'static dyn Driver) -> Self {
        Self { driver, folder: std::env::temp_dir(), options: OpenOptions::new() }
    }

    /// Makes the folders below this one instead.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Opens stores with these options; `create` is always set.
    #[must_use]
    pub fn options(mut self, options: OpenOptions) -> Self {
        self.options = options;
        self
    }

    /// Whether a store can be opened a second time while it is open. Tried once for each driver and process.
    fn allows_a_second_handle(&self) -> bool {
        static TRIED: Mutex<BTreeMap<(&'static str, String), bool>> = Mutex::new(BTreeMap::new());
        let key = (self.driver.name(), format!("{:?}", self.options));
        let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
        *tried.entry(key).or_insert_with(|| {
            let Ok(place) = self.create() else { return false };
            let first = self.open(&place);
            first.is_ok() && self.open(&place).is_ok()
        })
    }
}

impl Fixture for DriverFixture {
    type Place = DriverPlace;

    fn name(&self) -> &str {
        self.driver.name()
    }

    fn create(&self) -> Result<DriverPlace, FixtureError> {
        let folder = new_folder(&self.folder)?;
        Ok(DriverPlace { location: self.driver.trial_place(&folder), folder: Some(folder) })
    }

    fn open(&self, place: &DriverPlace) -> Result<Handles, FixtureError> {
        let store = self.driver.open(&place.location, &self.options.clone().create(true))?;
        Ok(Handles::store(store.into_store()))
    }

    fn profiles(&self) -> &[Profile] {
        if self.allows_a_second_handle() {
            &[Profile::Persistence, Profile::SecondHandle, Profile::Driver]
        } else {
            &[Profile::Persistence, Profile::Driver]
        }
    }

    fn driver(&self, place: &DriverPlace) -> Result<(&'static dyn Driver, Location), FixtureError> {
        Ok((self.driver, place.location.clone()))
    }
}

/// A new folder with a unique name.
fn new_folder(parent: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let folder = parent.join(format!("mnem-laws-{}-{count}-{now}", process::id()));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
}
