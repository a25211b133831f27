//! What an engine brings: storage that records operations, and how to open a store on it.

use std::fmt::Debug;

use mnem_store_traits::{Store, StoreError};

use crate::{Act, Chance, Habits, Kill, Pool};

/// Storage that writes down what is done to it. Clones share everything.
pub trait Medium: Clone {
    /// What a power cut leaves.
    type Image: Clone;
    /// The storage as one process has it.
    type Process: Process + Clone;
    /// The recorded operations, ready to be cut anywhere.
    type Cuts: Cuts<Image = Self::Image>;

    /// How many operations were recorded.
    fn entries(&self) -> usize;

    /// The storage for a process of its own.
    fn process(&self) -> Self::Process;

    /// What was recorded so far.
    fn cuts(&self) -> Self::Cuts;
}

/// The operations of a recording, each of which a power cut may follow.
pub trait Cuts {
    /// What a power cut leaves.
    type Image;

    /// How many operations there are.
    fn entries(&self) -> usize;

    /// In how many ways it is worth trying a cut after so many operations: at least one, and not more than its unsynced writes can turn out.
    fn ways(&self, cut: usize) -> usize;

    /// What a cut leaves in one of its ways: the plainest ones first. Images of one cut that have the same mark are opened once.
    fn image(&mut self, cut: usize, way: usize, chance: &mut Chance) -> (Self::Image, u64);
}

/// A process that uses the storage. What it cannot do needs no method.
pub trait Process {
    /// The next call begins, during which the process may be killed.
    fn begin(&self, _act: &Act, _kill: Option<Kill>) {}

    /// The process dies: nothing it does reaches the storage any more.
    fn kill(&self);

    /// Whether it died.
    fn is_dead(&self) -> bool {
        false
    }

    /// The call is done, and its caller about to be told. A planted break may delay work until here.
    fn before_acknowledging(&self) {}

    /// The caller was told.
    fn acknowledged(&self) {}
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Create it if it is not there.
    pub create: bool,
    /// Its writes promise to survive a power cut.
    pub durable: bool,
    /// Nothing is written.
    pub read_only: bool,
}

/// How closely each image is looked at.
#[derive(Clone, Debug)]
pub struct Look {
    /// Of the images, one in so many is opened read-only first.
    pub read_only_one_in: usize,
    /// In one in so many, listings and sizes are compared with the look-ups.
    pub listings_one_in: usize,
    /// One in so many is inspected as only this engine can: [`Engine::inspect`].
    pub inspect_one_in: usize,
    /// One in so many takes new work, is closed, and opened again.
    pub goes_on_one_in: usize,
    /// Drawn calls of the new work, before a commit.
    pub acts: usize,
    /// Of those that take new work, one in so many has the power cut again.
    pub cut_again_one_in: usize,
    /// Cuts of each such recovery.
    pub cuts: usize,
    /// Recoveries within recoveries.
    pub depth: usize,
}

/// A storage engine under test, with the options of one workload.
pub trait Engine: Clone + Debug {
    /// Its storage.
    type Medium: Medium;
    /// Its store.
    type Store: Store;
    /// A break that its storage can have.
    type Break: Copy + Debug;

    /// The kind of `cargo xtask soak` that runs it.
    const SOAK: &'static str;
    /// Whether each call is all or nothing, but for `delete_many`. Else a call may be cut off between its blocks and rows, and only its heads
    /// are all or nothing, and come last.
    const ATOMIC: bool;

    /// The engine with the options of a seed.
    fn of(seed: u64) -> Self;

    /// The blocks that workloads draw from.
    fn pool() -> &'static Pool;

    /// How the processes behave.
    fn habits(&self) -> Habits;

    /// How closely images are looked at.
    fn look(&self) -> Look;

    /// Storage with nothing on it, with a break planted.
    fn blank(&self, planted: Option<Self::Break>) -> Self::Medium;

    /// Storage with what a power cut left. A break that is one of the storage itself is still there.
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

    /// Upkeep that only this engine has, by its number below [`Habits::upkeep`].
    ///
    /// # Errors
    /// What the engine fails with.
    fn tend(&self, _number: usize, _store: &mut Self::Store) -> Result<(), StoreError> {
        Ok(())
    }

    /// Checks what only this engine can say of a store that was recovered.
    ///
    /// # Errors
    /// A description of the fault.
    fn inspect(&self, _store: &mut Self::Store) -> Result<(), String> {
        Ok(())
    }

    /// The engine as a user may open what a crash left: with other options that must do.
    #[must_use]
    fn vary(&self, _chance: &mut Chance) -> Self {
        self.clone()
    }

    /// Whether an error may be the answer of a place where creation was cut off.
    fn is_no_store(&self, _error: &StoreError) -> bool {
        false
    }
}

pub(crate) type Image<E> = <<E as Engine>::Medium as Medium>::Image;
pub(crate) type ProcessOf<E> = <<E as Engine>::Medium as Medium>::Process;
