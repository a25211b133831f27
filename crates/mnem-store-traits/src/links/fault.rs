//! What is wrong with a block, and where.

use std::{error::Error, fmt};

/// What a decoder of this crate objects to.
#[derive(Debug)]
pub(super) struct Fault {
    what: &'static str,
    offset: usize,
}

impl Fault {
    /// `what` stands at byte `offset` of the block.
    pub(super) fn new(what: &'static str, offset: usize) -> Self {
        Self { what, offset }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

impl Error for Fault {}
