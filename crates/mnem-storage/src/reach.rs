//! Walks from roots, for a result that must be complete or list what it lacks.

use std::{collections::HashSet, fmt};

use mnem_store_traits::{Bytes, Cid, Store, StoreError, Walk, codec_name, is_opaque};
use serde::Serialize;

use crate::{limits::MISSING_LISTED_MAX, report};

/// A block that something links to and the store does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Absent {
    /// The absent block.
    #[serde(serialize_with = "report::cid")]
    pub cid: Cid,
    /// A block that links to it.
    #[serde(serialize_with = "report::cid")]
    pub linked_from: Cid,
}

/// What a walk may skip because its caller allowed it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// Blocks that may link to others and are not searched for links.
    pub(crate) opaque: bool,
    /// Blocks that are linked to and absent.
    pub(crate) missing: bool,
}

/// Everything that the roots reach, in the order of [`Walk`].
pub(crate) struct Reach<'a> {
    walk: Walk<&'a dyn Store>,
    roots: HashSet<Cid>,
    allowed: Allowed,
    pub(crate) missing: Missing,
}

/// The blocks that a walk skipped because they are absent.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) listed: Vec<Absent>,
}

/// Why a walk cannot continue.
pub(crate) enum Barrier {
    /// A block that may have links, but whose codec is not followed.
    Opaque(Cid),
    Store(StoreError),
}

impl<'a> Reach<'a> {
    pub(crate) fn new(store: &'a dyn Store, roots: &[Cid], allowed: Allowed) -> Self {
        let walk = Walk::from_roots(store, roots.iter().copied());
        Self { walk, roots: roots.iter().copied().collect(), allowed, missing: Missing::default() }
    }

    /// Blocks yielded so far that were not searched for links and may have some.
    pub(crate) fn opaque(&self) -> u64 {
        self.walk.opaque()
    }
}

impl Iterator for Reach<'_> {
    type Item = Result<(Cid, Bytes), Barrier>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.walk.next()? {
                Ok((cid, _)) if !self.allowed.opaque && is_opaque(&cid) => return Some(Err(Barrier::Opaque(cid))),
                Ok(block) => return Some(Ok(block)),
                // A root is never skipped, because the result would name a root that it does not hold.
                Err(StoreError::MissingBlock { cid, linked_from: Some(parent) })
                    if self.allowed.missing && !self.roots.contains(&cid) =>
                {
                    self.missing.add(Absent { cid, linked_from: *parent });
                }
                Err(error) => return Some(Err(Barrier::Store(error))),
            }
        }
    }
}

impl Missing {
    fn add(&mut self, absent: Absent) {
        self.count += 1;
        if self.listed.len() < MISSING_LISTED_MAX {
            self.listed.push(absent);
        }
    }
}

/// A codec for messages: its name and number.
pub(crate) struct CodecOf<'a>(pub(crate) &'a Cid);

impl fmt::Display for CodecOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = self.0.codec();
        match codec_name(codec) {
            Some(name) => write!(f, "{name} ({codec:#04x})"),
            None => write!(f, "{codec:#04x}"),
        }
    }
}
