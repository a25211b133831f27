//! Copies unlisted blocks and heads from the raw files of the source.

use std::collections::{BTreeSet, HashSet};

use mnem_store_traits::{
    Cid, StoreError,
    driver::{Location, RawFind, RawScan},
    is_checkable,
};

use super::blocks::Salvage;
use crate::{
    FaultKind, OpenOptions, Progress, Stage,
    copy::Ended,
    limits::{RAW_HEADS_MAX, RAW_LOST_MAX},
    scan::Sink as _,
};

/// What the raw files name apart from the copied blocks.
#[derive(Default)]
struct Named {
    /// Blocks whose bytes are wrong where they are named. Right bytes may be found elsewhere.
    lost: BTreeSet<Cid>,
    /// Blocks of hash functions that this build cannot compute.
    unchecked: u64,
    heads: BTreeSet<Cid>,
    /// Blocks that were reported as lost before they were found.
    recovered: HashSet<Cid>,
}

impl Salvage<'_> {
    /// Copies what a scan of the raw files finds and was not copied yet.
    pub(super) fn raw(&mut self, scan: &mut dyn RawScan) -> Result<(), Ended> {
        self.done = Progress { total_bytes: Some(scan.total_bytes()), ..Progress::of(Stage::Raw) };
        let mut named = Named::default();
        let scanned = self.steps(scan, &mut named);
        self.flush()?;
        self.has_searched_raw = scanned?;
        self.conclude(named)?;
        self.recorded.extend(scan.recorded_heads());
        self.done = Progress::of(Stage::Links);
        Ok(())
    }

    /// Returns whether everything could be read.
    fn steps(&mut self, scan: &mut dyn RawScan, named: &mut Named) -> Result<bool, Ended> {
        let mut whole = true;
        while let Some(found) = scan.next() {
            match found {
                Ok(RawFind::Block(cid)) => self.named(cid, scan, named)?,
                Ok(RawFind::Head(cid)) if named.heads.len() < RAW_HEADS_MAX => drop(named.heads.insert(cid)),
                Ok(RawFind::Scanned(bytes)) => {
                    self.done.bytes += bytes;
                    self.tell()?;
                }
                Ok(_) => {}
                Err(error) => {
                    whole = false;
                    self.fault(FaultKind::Structure, None, error)?;
                }
            }
        }
        Ok(whole)
    }

    /// Copies a block that the raw files name, unless it was copied before.
    fn named(&mut self, cid: Cid, scan: &mut dyn RawScan, named: &mut Named) -> Result<(), Ended> {
        if self.has(&cid)? {
            return Ok(());
        }
        if !is_checkable(&cid) {
            named.unchecked += 1;
            return Ok(());
        }
        match scan.read() {
            Ok(Some(data)) => {
                let before = self.report.blocks;
                let bytes = self.done.bytes;
                self.take(cid, data)?;
                // In this stage, the bytes are those of the files.
                self.done.bytes = bytes;
                if self.report.blocks > before {
                    self.report.raw += 1;
                    if self.lost.remove(&cid) {
                        named.recovered.insert(cid);
                    }
                }
            }
            Ok(None) if named.lost.len() < RAW_LOST_MAX => drop(named.lost.insert(cid)),
            Ok(None) => {}
            Err(error) => self.fault(FaultKind::Unreadable, Some(cid), error)?,
        }
        self.tell()?;
        Ok(())
    }

    /// Reports the blocks that the raw files name but do not hold, and withdraws faults for blocks that were found.
    fn conclude(&mut self, named: Named) -> Result<(), Ended> {
        self.found.retract(&named.recovered);
        let lost: Vec<Cid> = named.lost.into_iter().collect();
        let copied: HashSet<Cid> = self.copied(&lost)?.into_iter().collect();
        for cid in lost {
            if !copied.contains(&cid) && self.lost.insert(cid) {
                let what = format!("block {cid} is in the raw files, but its bytes there do not match its CID");
                self.found.fault(FaultKind::Corrupt, Some(cid), what);
            }
        }
        if named.unchecked > 0 {
            let what = format!(
                "left out {} entries of the raw files: this build does not have their hash functions",
                named.unchecked
            );
            self.found.fault(FaultKind::Unreadable, None, what);
        }
        let heads: Vec<Cid> = named.heads.into_iter().collect();
        self.report.head_candidates.extend(self.copied(&heads)?);
        Ok(())
    }
}

/// Whether the raw files at a place hold a block, so that [`salvage_at`](super::salvage_at) finds one also where
/// [`detect`](fn@crate::detect) finds no store: a file whose beginning was overwritten, for instance. Reads up to the
/// first block; all of a file that holds none.
///
/// # Errors
/// [`StoreError::Locked`], [`StoreError::Backend`].
pub fn is_salvageable(at: impl Into<Location>, options: &OpenOptions) -> Result<bool, StoreError> {
    let at = at.into();
    for driver in options.drivers_to_ask() {
        let Some(mut scan) = driver.scan_raw(&at, options.common())? else { continue };
        while let Some(found) = scan.next() {
            if matches!(found, Ok(RawFind::Block(_))) && scan.read()?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
