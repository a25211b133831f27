//! Reads all blocks of a store that may be damaged: those that it lists, and those that links lead to.

use std::{collections::HashSet, rc::Rc};

use mnem_store_traits::{Bytes, Cid, ErrorKind, FetchAhead, Store, StoreError};

use crate::{FaultKind, listed::ListedBlocks, progress::Cancelled};

/// How a scan found a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Listed,
    Linked,
}

/// Receives what a scan reads.
pub(crate) trait Sink {
    type Ended: From<Cancelled>;

    /// Whether every block that links lead to is read, so that reading several at once is faster. If so, no block is
    /// [`known`](Self::known).
    const READS_ALL: bool;

    /// The links of a block that was processed already and need not be read again.
    fn known(&mut self, _cid: &Cid) -> Result<Option<Vec<Cid>>, Self::Ended> {
        Ok(None)
    }

    /// Announces the links that come next, so that many can be looked up at once.
    fn expect(&mut self, _links: &[Cid]) -> Result<(), Self::Ended> {
        Ok(())
    }

    /// Whether a listed block was processed already, and its fault reported.
    fn told(&mut self, _cid: &Cid) -> bool {
        false
    }

    /// Whether a block that links lead to may be in the store. If not, it counts as absent.
    fn is_worth_reading(&self, _cid: &Cid) -> bool {
        true
    }

    /// Whether to continue a listing that broke off.
    fn is_worth_listing(&self) -> bool {
        true
    }

    /// Takes a block. Returns its links, which [`follow`] follows from the last to the first.
    fn block(&mut self, cid: Cid, data: Bytes, way: Way) -> Result<Vec<Cid>, Self::Ended>;

    /// A block that is not there.
    fn absent(&mut self, kind: FaultKind, cid: Cid, what: String);

    /// A block that is there and cannot be read.
    fn unreadable(&mut self, kind: FaultKind, cid: Cid, error: StoreError, way: Way) -> Result<(), Self::Ended>;

    /// The listing or the heads cannot be read.
    fn error(&mut self, kind: FaultKind, error: StoreError) -> Result<(), Self::Ended>;

    /// Reports progress, after each block or fault.
    fn tell(&mut self) -> Result<(), Cancelled>;
}

/// The heads, where they can be read.
pub(crate) fn heads<S: Sink>(store: &dyn Store, sink: &mut S) -> Result<Option<Vec<Cid>>, S::Ended> {
    match store.heads() {
        Ok(heads) => Ok(Some(heads)),
        Err(error) => sink.error(FaultKind::Heads, error).map(|()| None),
    }
}

/// Reads the blocks that the store lists, except those in `seen`.
pub(crate) fn listed<S: Sink>(store: &dyn Store, seen: HashSet<Cid>, sink: &mut S) -> Result<(), S::Ended> {
    let listing = match store.cids() {
        Ok(listing) => listing,
        Err(error) => return sink.error(FaultKind::Listing, error),
    };
    let others = listing.filter(move |cid| !cid.as_ref().is_ok_and(|cid| seen.contains(cid)));
    for listed in ListedBlocks::new(store, Box::new(others)) {
        match listed {
            Ok((cid, _)) if sink.told(&cid) => {}
            Ok((cid, Ok(Some(data)))) => drop(sink.block(cid, data, Way::Listed)?),
            Ok((cid, Ok(None))) => {
                let what = format!("block {cid} is listed but cannot be found by its CID");
                sink.absent(FaultKind::Unreadable, cid, what);
            }
            Ok((cid, Err(error))) => unreadable(cid, error, Way::Listed, sink)?,
            Err(error) => {
                sink.error(FaultKind::Listing, error)?;
                if !sink.is_worth_listing() {
                    break;
                }
            }
        }
        sink.tell()?;
    }
    Ok(())
}

/// Reads the blocks that the roots reach, except those in `seen`, and adds their CIDs to `seen`, present or not.
pub(crate) fn follow<S: Sink>(
    store: &dyn Store,
    roots: &[Cid],
    seen: &mut HashSet<Cid>,
    sink: &mut S,
) -> Result<(), S::Ended> {
    let mut pending: Vec<(Cid, Option<Rc<Cid>>)> = Vec::new();
    pending.extend(roots.iter().rev().filter(|root| seen.insert(**root)).map(|root| (*root, None)));
    let mut ahead = FetchAhead::new();
    while let Some((cid, linked_from)) = pending.pop() {
        let links = match sink.known(&cid)? {
            Some(links) => links,
            None if !sink.is_worth_reading(&cid) => {
                absent(cid, linked_from.as_deref(), sink);
                Vec::new()
            }
            None => match ahead.get(store, &cid, pending.iter().rev().map(|(cid, _)| *cid).filter(|_| S::READS_ALL)) {
                Ok(Some(data)) => sink.block(cid, data, Way::Linked)?,
                Ok(None) => {
                    absent(cid, linked_from.as_deref(), sink);
                    Vec::new()
                }
                Err(error) => unreadable(cid, error, Way::Linked, sink).map(|()| Vec::new())?,
            },
        };
        let parent = Rc::new(cid);
        let links: Vec<Cid> = links.into_iter().filter(|link| seen.insert(*link)).collect();
        sink.expect(&links)?;
        pending.extend(links.into_iter().map(|link| (link, Some(Rc::clone(&parent)))));
        sink.tell()?;
    }
    Ok(())
}

fn absent(cid: Cid, linked_from: Option<&Cid>, sink: &mut impl Sink) {
    match linked_from {
        None => sink.absent(FaultKind::MissingHead, cid, format!("head {cid} has no block")),
        Some(parent) => {
            sink.absent(FaultKind::MissingLink, cid, format!("block {cid} is missing; {parent} links to it"));
        }
    }
}

fn unreadable<S: Sink>(cid: Cid, error: StoreError, way: Way, sink: &mut S) -> Result<(), S::Ended> {
    let kind = if error.kind() == ErrorKind::Corrupt { FaultKind::Corrupt } else { FaultKind::Unreadable };
    sink.unreadable(kind, cid, error, way)
}
