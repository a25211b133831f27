//! The promises of a backend beyond the minimum, as values that callers and the suite can read.

use std::fmt;

use crate::limits::BLOCK_BYTES_EVERY_BACKEND;

/// Which failures a write survives once the call has returned `Ok`. Ordered: each level includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// None: a write lasts as long as the handle.
    None,
    /// The end of the process, killed or not. Not a power cut.
    Process,
    /// A power cut.
    Power,
}

/// One word: "none", "process", "power".
impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Power => "power",
        })
    }
}

/// The promises of a [`Blockstore`](crate::Blockstore), and of the [`Store`](crate::Store) that it may be part of,
/// beyond the minimum.
///
/// Start from [`WEAKEST`](Self::WEAKEST) and claim what is true. The suite tests each claim, and a missing one if it
/// can be observed.
///
/// ```
/// use mnem_store_traits::{Blockstore, Capabilities, Durability, MemoryStore};
///
/// let of_a_log = Capabilities::WEAKEST.with_put_durability(Durability::Power).with_atomic_put_many(true);
/// assert!(of_a_log.put_durability >= Durability::Process && !of_a_log.side_tables);
/// // A caller that needs more than the minimum asks.
/// assert!(MemoryStore::new().capabilities().atomic_commit);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The failures that a `put`, `put_many` or `delete` survives once it returned `Ok`.
    pub put_durability: Durability,
    /// The largest block that is accepted, in bytes. At least [`BLOCK_BYTES_EVERY_BACKEND`].
    pub block_bytes_max: u64,
    /// `put_many` stores all of its blocks or none, even after a storage error or a crash.
    pub atomic_put_many: bool,
    /// `commit` applies its blocks and its head change in one step: all or nothing, even after a crash.
    pub atomic_commit: bool,
    /// `side_table` works.
    pub side_tables: bool,
    /// `write` of a side table is all or nothing, even after a crash.
    pub atomic_side_table_writes: bool,
    /// One `get_many` is much cheaper than a `get` of each block, for instance if every request is a round trip.
    /// [`FetchAhead`](crate::FetchAhead) then asks for blocks before they are needed. This is advice, not a promise.
    pub batched_reads: bool,
    /// Once a write of a handle returned `Ok`, everything that the handle could read when the write began is as durable
    /// as [`put_durability`](Self::put_durability) says, whichever handle wrote it; even if the write had nothing to do. A
    /// store with one file or one log can claim this. Without the claim, `Ok` covers what the write itself puts or requires.
    pub cumulative_durability: bool,
}

impl Capabilities {
    /// The claims that every backend can make.
    pub const WEAKEST: Self = Self {
        put_durability: Durability::None,
        block_bytes_max: BLOCK_BYTES_EVERY_BACKEND,
        atomic_put_many: false,
        atomic_commit: false,
        side_tables: false,
        atomic_side_table_writes: false,
        batched_reads: false,
        cumulative_durability: false,
    };

    /// Sets the durability of `put`, `put_many` and `delete`.
    #[must_use]
    pub const fn with_put_durability(mut self, durability: Durability) -> Self {
        self.put_durability = durability;
        self
    }

    /// Claims blocks of up to `bytes`.
    #[must_use]
    pub const fn with_block_bytes_max(mut self, bytes: u64) -> Self {
        self.block_bytes_max = bytes;
        self
    }

    /// Says whether `get_many` is much cheaper than many `get`s.
    #[must_use]
    pub const fn with_batched_reads(mut self, yes: bool) -> Self {
        self.batched_reads = yes;
        self
    }

    /// Claims (or declines) that `Ok` covers everything that the handle could read before.
    #[must_use]
    pub const fn with_cumulative_durability(mut self, yes: bool) -> Self {
        self.cumulative_durability = yes;
        self
    }

    /// Claims (or declines) all-or-nothing `put_many`.
    #[must_use]
    pub const fn with_atomic_put_many(mut self, yes: bool) -> Self {
        self.atomic_put_many = yes;
        self
    }

    /// Claims (or declines) that `commit` applies blocks and heads in one step.
    #[must_use]
    pub const fn with_atomic_commit(mut self, yes: bool) -> Self {
        self.atomic_commit = yes;
        self
    }

    /// Claims (or declines) side tables.
    #[must_use]
    pub const fn with_side_tables(mut self, yes: bool) -> Self {
        self.side_tables = yes;
        self
    }

    /// Claims (or declines) all-or-nothing side table writes.
    #[must_use]
    pub const fn with_atomic_side_table_writes(mut self, yes: bool) -> Self {
        self.atomic_side_table_writes = yes;
        self
    }
}

/// What an [`OpHeadsStore`](crate::OpHeadsStore) promises beyond the minimum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadsCapabilities {
    /// The failures that an `update`, a `swap` or a `commit` with a head survives once it returned `Ok`.
    pub durability: Durability,
    /// Every reader sees a head change as one step: never some of the superseded heads removed and others not.
    pub atomic_heads: bool,
}

impl HeadsCapabilities {
    /// The claims that every backend can make.
    pub const WEAKEST: Self = Self { durability: Durability::None, atomic_heads: false };

    /// Sets the durability of head changes.
    #[must_use]
    pub const fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Claims (or declines) strictly atomic visibility of head changes.
    #[must_use]
    pub const fn with_atomic_heads(mut self, yes: bool) -> Self {
        self.atomic_heads = yes;
        self
    }
}
