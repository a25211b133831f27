//! Blocks that wait to be followed.

use mnem_store_traits::{Cause, Cid, Outcome, StoreError};

/// A stack of CIDs, in about 37 bytes each: the binary form, and its length. A [`Cid`] takes 96.
#[derive(Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
}

impl Pending {
    pub(super) fn push(&mut self, cid: &Cid) {
        let bytes = cid.to_bytes();
        self.bytes.extend_from_slice(&bytes);
        // No CID is longer than about 100 bytes. One that were would be an error when it is taken, and not be lost.
        self.bytes.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    }

    pub(super) fn pop(&mut self) -> Result<Option<Cid>, StoreError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let (cid, rest) = last(&self.bytes)?;
        let rest = rest.len();
        self.bytes.truncate(rest);
        Ok(Some(cid))
    }

    /// The CIDs in the order in which they will be taken.
    pub(super) fn next(&self) -> impl Iterator<Item = Cid> {
        let mut bytes = &self.bytes[..];
        std::iter::from_fn(move || {
            let (cid, rest) = last(bytes).ok()?;
            bytes = rest;
            Some(cid)
        })
    }
}

/// The last CID, and what lies below it.
fn last(bytes: &[u8]) -> Result<(Cid, &[u8]), StoreError> {
    let split = bytes.split_last().and_then(|(len, bytes)| {
        let (rest, cid) = bytes.split_at_checked(bytes.len().checked_sub(usize::from(*len))?)?;
        Some((Cid::read_bytes(cid).ok()?, rest))
    });
    split.ok_or_else(|| StoreError::Backend {
        backend: "collected",
        operation: "read the list of blocks to follow".to_owned(),
        outcome: Outcome::NotApplied,
        source: Cause::new("it holds something else than a CID"),
    })
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{DAG_CBOR, RAW, cid_of};

    use super::*;

    #[test]
    fn the_last_comes_first() {
        let v0: Cid = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".parse().unwrap();
        let cids = [cid_of(RAW, b"one"), v0, cid_of(DAG_CBOR, b"three")];
        let mut pending = Pending::default();
        cids.iter().for_each(|cid| pending.push(cid));
        let expected: Vec<Cid> = cids.into_iter().rev().collect();
        assert_eq!(pending.next().collect::<Vec<_>>(), expected);
        let taken: Vec<Cid> = std::iter::from_fn(|| pending.pop().unwrap()).collect();
        assert_eq!((taken, pending.bytes.len()), (expected, 0));
    }
}
