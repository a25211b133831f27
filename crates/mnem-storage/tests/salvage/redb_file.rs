//! One redb file, with a block, a page, its end, or its last close damaged.

use std::{collections::HashSet, fs, path::PathBuf};

use mnem_storage::{
    Blockstore as _, BlockstoreExt as _, Bytes, Cid, ErrorKind, FaultKind, MemoryStore, OpHeadsStore as _, OpenOptions,
    SalvageOptions, Store, VerifyOptions, salvage_at, unwatched, verify_at,
};
use tempfile::TempDir;

use super::{assert_all_but, blocks_of, faults, fill_with_animals, rescue, verified};
use crate::fixtures::{Block, animals_root};

const PAGE: usize = 4096;

/// The first byte of a page, which is its kind.
const LEAF: u8 = 1;
const BRANCH: u8 = 2;

/// A file to be damaged byte by byte, and its content.
struct Sample {
    _folder: TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    all: Vec<Block>,
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let store = OpenOptions::new().create(true).open(&path).unwrap();
        let all = fill_with_animals(&*store);
        let rows: Vec<(Bytes, Bytes)> = (0..9_u8).map(|n| (vec![b'k', n].into(), vec![n; 9].into())).collect();
        store.side_table("notes").unwrap().write(&rows, &[]).unwrap();
        store.close().unwrap();
        drop(store);
        let bytes = fs::read(&path).unwrap();
        Self { _folder: folder, path, bytes, all }
    }

    /// The offsets of these bytes. The last one counts, because pages of earlier commits may still be there.
    fn places(&self, data: &[u8]) -> Vec<usize> {
        self.bytes.windows(data.len()).enumerate().filter(|(_, window)| *window == data).map(|(at, _)| at).collect()
    }

    /// Pages of this kind with blocks, from the middle of the file on.
    fn pages(&self, kind: u8) -> impl Iterator<Item = usize> {
        let pages = self.bytes.chunks(PAGE).enumerate();
        let of_kind = pages.filter(move |(_, page)| page[0] == kind).map(|(at, _)| at);
        of_kind.collect::<Vec<_>>().into_iter()
    }

    fn save(&self) {
        fs::write(&self.path, &self.bytes).unwrap();
    }

    /// The blocks whose bytes are only in this page.
    fn blocks_in(&self, page: usize) -> Vec<Cid> {
        let page = &self.bytes[page * PAGE..(page + 1) * PAGE];
        let keys: HashSet<&[u8]> = page.windows(36).collect();
        let inside = self.all.iter().filter(|(cid, _)| keys.contains(&*cid.to_bytes()));
        let whole = inside.filter(|(_, data)| page.windows(data.len()).any(|window| window == *data));
        whole.map(|(cid, _)| *cid).collect()
    }
}

#[test]
fn eight_bytes_cost_one_block() {
    let mut sample = Sample::new();
    let (cid, data) = sample.all[2_000].clone();
    for at in sample.places(&data) {
        sample.bytes[at + 20..at + 28].fill(0xee);
    }
    sample.save();
    let report = verify_at(&sample.path, &VerifyOptions::new(), &mut unwatched).unwrap();
    assert!(report.structure_damaged);
    assert_eq!((report.blocks, report.heads, report.rows, report.fault_count), (4_077, 1, 9, 2));
    let found: Vec<_> = report.faults.iter().map(|fault| (fault.kind, fault.cid)).collect();
    assert_eq!(found, [(FaultKind::Structure, None), (FaultKind::Corrupt, Some(cid))]);

    let (rescued, report) = rescue(&sample.path);
    assert!(report.structure_damaged);
    assert_eq!(faults(&report), [(FaultKind::Structure, None), (FaultKind::Corrupt, Some(cid))]);
    assert_all_but(&rescued, &sample.all, &[cid]);
    assert_eq!(rescued.heads().unwrap(), [animals_root()]);
    assert_eq!((report.tables[0].keys, report.tables[0].bytes), (9, 81));
    assert_eq!(verified(&rescued), [(FaultKind::MissingLink, Some(cid))]);
}

#[test]
fn a_page_costs_the_blocks_in_it_and_the_listing_goes_on_behind() {
    let mut sample = Sample::new();
    let candidates: Vec<usize> =
        sample.pages(LEAF).filter(|page| (3..=40).contains(&sample.blocks_in(*page).len())).collect();
    let mut tried = 0;
    for page in candidates.into_iter().skip(20).step_by(37).take(6) {
        let lost = sample.blocks_in(page);
        let whole = sample.bytes[page * PAGE..(page + 1) * PAGE].to_vec();
        for fill in [0, 0xff] {
            sample.bytes[page * PAGE..(page + 1) * PAGE].fill(fill);
            sample.save();
            let (rescued, report) = rescue(&sample.path);
            if report.faults.is_empty() {
                // A page of an earlier commit, to which nothing leads.
                continue;
            }
            tried += 1;
            assert_all_but(&rescued, &sample.all, &lost);
            assert!(report.faults.iter().any(|fault| fault.kind == FaultKind::Listing), "{:?}", report.faults);
            for cid in &lost {
                let named = |fault: &(FaultKind, Option<Cid>)| fault.1 == Some(*cid);
                assert!(faults(&report).iter().any(named), "{cid} is lost and not named");
            }
            assert!(
                verified(&rescued).iter().all(|(kind, cid)| {
                    *kind == FaultKind::MissingLink && cid.is_some_and(|cid| lost.contains(&cid))
                })
            );
        }
        sample.bytes[page * PAGE..(page + 1) * PAGE].copy_from_slice(&whole);
    }
    assert!(tried >= 4, "{tried} pages were used by the file");
}

#[test]
fn pages_beside_each_other_and_a_branch_cost_what_they_lead_to() {
    for kind in [LEAF, BRANCH] {
        let mut sample = Sample::new();
        // The current tree's pages contain reachable blocks; damage in others does no harm.
        let pages: Vec<usize> = match kind {
            LEAF => sample.pages(LEAF).filter(|page| sample.blocks_in(*page).len() > 2).skip(50).take(12).collect(),
            _ => sample.pages(BRANCH).collect(),
        };
        assert!(!pages.is_empty());
        let mut most_left = 0;
        for page in if kind == LEAF { vec![pages] } else { pages.into_iter().map(|page| vec![page]).collect() } {
            let whole = sample.bytes.clone();
            let lost: Vec<Cid> = page.iter().flat_map(|page| sample.blocks_in(*page)).collect();
            page.iter().for_each(|page| sample.bytes[page * PAGE..(page + 1) * PAGE].fill(0));
            sample.save();
            let rescued = MemoryStore::new();
            let options = SalvageOptions::new();
            match salvage_at(&sample.path, &rescued, &options, &mut unwatched) {
                Ok(report) => {
                    most_left = most_left.max(report.blocks);
                    if kind == LEAF {
                        assert_all_but(&rescued, &sample.all, &lost);
                    } else if report.blocks < sample.all.len() as u64 {
                        assert!(report.fault_count > 1, "{:?}", report.faults);
                    }
                }
                // The page that leads to all tables.
                Err(error) => assert_eq!(error.kind(), Some(ErrorKind::Damaged), "{error:?}"),
            }
            sample.bytes = whole;
        }
        assert!(most_left > 1_000, "{most_left}");
    }
}

#[test]
fn a_file_that_lost_its_end_or_was_not_closed_gives_what_is_left() {
    let sample = Sample::new();
    let mut from_raw_pages = 0;
    for sixteenths in 1..16 {
        fs::write(&sample.path, &sample.bytes[..sample.bytes.len() / 16 * sixteenths]).unwrap();
        let (rescued, report) = rescue(&sample.path);
        assert!(report.structure_damaged);
        assert!(blocks_of(&rescued).iter().all(|block| sample.all.contains(block)));
        // The file is half empty, because it grew while it was written.
        let share = report.blocks as usize * 16 / sample.all.len();
        assert!(share + 1 >= sixteenths, "{sixteenths} sixteenths of the file, {share} of the blocks");
        from_raw_pages += report.raw;
        // Each reported head was a head, and its block can be found.
        let heads = [report.heads, report.head_candidates].concat();
        assert!(heads.iter().all(|head| *head == animals_root() && rescued.has(head).unwrap()), "{heads:?}");
    }
    assert!(from_raw_pages > 4_077, "{from_raw_pages}");

    // The file as a kill leaves it, and eight more bytes.
    let mut unclean = sample.bytes.clone();
    unclean[9] |= 2;
    let (cid, data) = &sample.all[100];
    sample.places(data).into_iter().for_each(|at| unclean[at + 20..at + 28].fill(0xee));
    fs::write(&sample.path, &unclean).unwrap();
    let (rescued, report) = rescue(&sample.path);
    assert_eq!(faults(&report), [(FaultKind::Structure, None), (FaultKind::Corrupt, Some(*cid))]);
    assert_all_but(&rescued, &sample.all, &[*cid]);
}

#[test]
fn a_damaged_file_is_opened_as_it_is_by_name_only() {
    let mut sample = Sample::new();
    let (cid, data) = sample.all[7].clone();
    sample.places(&data).into_iter().for_each(|at| sample.bytes[at + 20..at + 28].fill(0xee));
    sample.save();
    assert_eq!(OpenOptions::new().check(true).open(&sample.path).unwrap_err().kind(), ErrorKind::Damaged);
    let store = OpenOptions::new().lenient(true).open(&sample.path).unwrap();
    assert_eq!(store.get(&cid).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.get(&sample.all[8].0).unwrap().as_ref(), Some(&sample.all[8].1));
    assert_eq!(store.put_as(0x55, Bytes::from_static(b"new")).unwrap_err().kind(), ErrorKind::ReadOnly);
    store.close().unwrap();
    for contradiction in [OpenOptions::new().lenient(true).create(true), OpenOptions::new().lenient(true).check(true)] {
        assert_eq!(contradiction.open(&sample.path).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(mnem_storage::detect(&sample.path).unwrap().map(|driver| driver.name()), Some("redb"));
}

#[test]
fn who_names_a_mode_for_sharing_looks_at_a_store_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let shared = OpenOptions::new().create(true).sharing(mnem_storage::driver::Sharing::MultiWriter);
    let store = shared.open(&path).unwrap();
    let look = || mnem_storage::verify_at(&path, &VerifyOptions::new().open(shared.clone()), &mut unwatched);
    assert_eq!(look().unwrap_err().kind(), Some(ErrorKind::Locked));
    store.close().unwrap();
    drop(store);
    assert_eq!(look().unwrap().fault_count, 0);
}
