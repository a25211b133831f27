//! What an engine must provide: storage that records operations, and a way to open a store on it.

use std::fmt::Debug;

use mnem_store_traits::{Store, StoreError};

use crate::{Act, Chance, Habits, Kill, Pool};

/// Storage that records all operations. Clones share everything.
pub trait Medium: Clone {
    /// The state that a power cut leaves.
    type Image: Clone;
    /// The storage as seen by one process.
    type Process: Process + Clone;
    /// The recorded operations, which a power cut can interrupt anywhere.
    type Cuts: Cuts<Image = Self::Image>;

    /// The number of recorded operations.
    fn entries(&self) -> usize;

    /// A new process on the storage.
    fn process(&self) -> Self::Process;

    /// The operations recorded so far.
    fn cuts(&self) -> Self::Cuts;
}

/// The operations of a recording. A power cut may follow each of them.
pub trait Cuts {
    /// The state that a power cut leaves.
    type Image;

    /// The number of operations.
    fn entries(&self) -> usize;

    /// The number of different outcomes worth trying for a power cut after `cut` operations. At least one, and at most
    /// the number of ways in which the unsynced writes can turn out.
    fn ways(&self, cut: usize) -> usize;

    /// The image for one of these outcomes, simplest first, and its mark. Images of one cut with the same mark are
    /// opened only once.
    fn image(&mut self, cut: usize, way: usize, chance: &mut Chance) -> (Self::Image, u64);
}

/// A process that uses the storage. Methods with a default are optional.
pub trait Process {
    /// The next call begins. The process may be killed during it.
    fn begin(&self, _act: &Act, _kill: Option<Kill>) {}

    /// Kills the process: from now on, nothing it does reaches the storage.
    fn kill(&self);

    /// Whether the process is dead.
    fn is_dead(&self) -> bool {
        false
    }

    /// The call is done and will be acknowledged next. A planted break may delay its work until here.
    fn before_acknowledging(&self) {}

    /// The call was acknowledged.
    fn acknowledged(&self) {}
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Create the store if it does not exist.
    pub create: bool,
    /// Writes promise to survive a power cut.
    pub durable: bool,
    /// The handle must write nothing.
    pub read_only: bool,
}

/// How thoroughly images are checked.
#[derive(Clone, Debug)]
pub struct Look {
    /// One in so many images is opened read-only first.
    pub read_only_one_in: usize,
    /// In one of so many images, listings and sizes are compared with lookups.
    pub listings_one_in: usize,
    /// One in so many images is also checked with [`Engine::inspect`].
    pub inspect_one_in: usize,
    /// One in so many images takes further calls, and is then closed and reopened.
    pub goes_on_one_in: usize,
    /// The number of these further calls, before a commit.
    pub acts: usize,
    /// In one of so many images that take further calls, the power is cut again.
    pub cut_again_one_in: usize,
    /// The number of cuts in each such recovery.
    pub cuts: usize,
    /// The depth to which recoveries of recoveries are cut.
    pub depth: usize,
}

/// A storage engine under test, with the options for one workload.
pub trait Engine: Clone + Debug {
    /// The recorded storage.
    type Medium: Medium;
    /// The store.
    type Store: Store;
    /// A break that can be planted in the storage.
    type Break: Copy + Debug;

    /// The name of its run in `cargo xtask soak`.
    const SOAK: &'static str;
    /// Whether each call except `delete_many` is all or nothing. If not, a call may be interrupted between its blocks
    /// and rows; only its heads are all or nothing, and they come last.
    const ATOMIC: bool;

    /// The engine, with options drawn from a seed.
    fn of(seed: u64) -> Self;

    /// The blocks that workloads use.
    fn pool() -> &'static Pool;

    /// How the processes behave.
    fn habits(&self) -> Habits;

    /// How thoroughly images are checked.
    fn look(&self) -> Look;

    /// Empty storage, with a planted break if any.
    fn blank(&self, planted: Option<Self::Break>) -> Self::Medium;

    /// Storage with the state that a power cut left. A break of the storage itself is still planted.
    fn restored(&self, image: Image<Self>, planted: Option<Self::Break>) -> Self::Medium;

    /// Opens the store.
    ///
    /// # Errors
    /// What the engine fails with.
    fn open(&self, process: &<Self::Medium as Medium>::Process, opening: Opening) -> Result<Self::Store, StoreError>;

    /// Closes the store cleanly.
    ///
    /// # Errors
    /// What the engine fails with.
    fn close(&self, store: Self::Store) -> Result<(), StoreError> {
        drop(store);
        Ok(())
    }

    /// Maintenance that only this engine has. `number` is below [`Habits::upkeep`].
    ///
    /// # Errors
    /// What the engine fails with.
    fn tend(&self, _number: usize, _store: &mut Self::Store) -> Result<(), StoreError> {
        Ok(())
    }

    /// Checks of a recovered store that only this engine can make.
    ///
    /// # Errors
    /// A description of the fault.
    fn inspect(&self, _store: &mut Self::Store) -> Result<(), String> {
        Ok(())
    }

    /// The engine with other options with which a user may open what a crash left.
    #[must_use]
    fn vary(&self, _chance: &mut Chance) -> Self {
        self.clone()
    }

    /// Whether this error is permitted at a place where a creation was interrupted.
    fn is_no_store(&self, _error: &StoreError) -> bool {
        false
    }
}

pub(crate) type Image<E> = <<E as Engine>::Medium as Medium>::Image;
pub(crate) type ProcessOf<E> = <<E as Engine>::Medium as Medium>::Process;
