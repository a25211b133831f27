//! One redb file, altered in memory: flipped bits; zeroed, filled and swapped pages; truncated and extended.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use mnem_backend_redb::{Check, Layout, OpenOptions};
use mnem_storage::{
    Blockstore as _, ErrorKind, FaultKind, MemoryStore, OpHeadsStore as _, SalvageOptions, Store, StoreError,
    VerifyOptions, VerifyReport, WriteBatch, salvage_at, unwatched, verify,
};
use redb::{StorageBackend as _, backends::InMemoryBackend};

use super::{Content, Outcomes, Random, Seen, assert_named, read_all, rounds, seed, table};
use crate::fixtures::raw;

const PAGE: usize = 4096;

/// The number of damaged files in an ordinary run.
const FILES: usize = 4_000;

/// The number of damaged files that are salvaged.
const SALVAGES: usize = 150;

/// The bit of the header that selects the last of two complete commits. Nothing else in an unclean file shows which one
/// it is, so flipping this bit looks like a crash just before or after a commit.
const LAST_COMMIT_BIT: usize = 9 * 8;

/// A file to be damaged.
struct Sample {
    name: &'static str,
    clean: bool,
    bytes: Vec<u8>,
    /// Pages that are not all zero.
    used: Vec<usize>,
}

impl Sample {
    fn new(name: &'static str, layout: Layout, clean: bool, content: &Content) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("store.redb");
        let store = OpenOptions::new().create(true).layout(layout).open(&path).expect("create");
        content.fill(&store);
        // The file of an open store is what a kill leaves, because nothing of the store is elsewhere.
        let unclean = fs::read(&path).expect("read");
        store.close().expect("close");
        let bytes = if clean { fs::read(&path).expect("read") } else { unclean };
        let used = bytes.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0));
        let used = used.map(|(page, _)| page).collect();
        Self { name, clean, bytes, used }
    }

    fn all(content: &Content) -> Vec<Self> {
        vec![
            Self::new("native, closed", Layout::Native, true, content),
            Self::new("native, killed", Layout::Native, false, content),
            Self::new("mnem 0.1, closed", Layout::Mnem01, true, content),
            Self::new("mnem 0.1, killed", Layout::Mnem01, false, content),
        ]
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip(usize),
    Zero(usize),
    Fill(usize, u8),
    Swap(usize, usize),
    Cut(usize),
    Grow(usize, u8),
}

impl Damage {
    /// In five of eight cases flips a bit: one anywhere, one in the header, three in used pages.
    fn any(random: &mut Random, sample: &Sample) -> Self {
        let used = |random: &mut Random| sample.used[random.index(sample.used.len())];
        match random.index(16) {
            0..2 => Self::Flip(random.index(sample.bytes.len() * 8)),
            2..4 => Self::Flip(random.index(320 * 8)),
            4..10 => Self::Flip(used(random) * PAGE * 8 + random.index(PAGE * 8)),
            10 => Self::Zero(used(random)),
            11 => Self::Fill(used(random), random.next() as u8),
            12..14 => Self::Swap(used(random), used(random)),
            14 => Self::Cut(1 + random.index(sample.bytes.len() / 512 - 1)),
            _ => Self::Grow(1 + random.index(3 * PAGE), random.next() as u8),
        }
    }

    /// Returns `None` if this changes nothing, or if a crash could have left the same.
    fn apply(self, sample: &Sample) -> Option<Vec<u8>> {
        let mut bytes = sample.bytes.clone();
        match self {
            Self::Flip(bit) if bit == LAST_COMMIT_BIT && !sample.clean => return None,
            Self::Flip(bit) => *bytes.get_mut(bit / 8)? ^= 1 << (bit % 8),
            Self::Zero(page) => page_of(&mut bytes, page)?.fill(0),
            Self::Fill(page, byte) => page_of(&mut bytes, page)?.fill(byte),
            Self::Swap(a, b) => {
                let (first, second) = (page_of(&mut bytes, a)?.to_vec(), page_of(&mut bytes, b)?.to_vec());
                page_of(&mut bytes, a)?.copy_from_slice(&second);
                page_of(&mut bytes, b)?.copy_from_slice(&first);
            }
            Self::Cut(sectors) => bytes.truncate(sectors * 512),
            Self::Grow(more, byte) => bytes.resize(bytes.len() + more, byte),
        }
        (bytes != sample.bytes).then_some(bytes)
    }
}

fn page_of(bytes: &mut [u8], page: usize) -> Option<&mut [u8]> {
    bytes.get_mut(page * PAGE..(page + 1) * PAGE)
}

/// How to open the damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    /// With a check, however it was closed.
    Checked,
    ReadOnly,
    /// With the defaults, which trust a clean close.
    Large,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Checked, Self::Large, Self::ReadOnly, Self::Checked];

    fn name(self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::ReadOnly => "checked, read-only",
            Self::Large => "large, unchecked",
        }
    }

    fn options(self) -> OpenOptions {
        let options = OpenOptions::new().cache_bytes(4 << 20);
        match self {
            Self::Checked => options.check(Check::Always),
            Self::ReadOnly => options.check(Check::Pages).read_only(true),
            Self::Large => options,
        }
    }
}

fn open(bytes: &[u8], options: &OpenOptions) -> Result<mnem_backend_redb::RedbStore, StoreError> {
    let medium = InMemoryBackend::new();
    medium.set_len(bytes.len() as u64).expect("memory");
    medium.write(0, bytes).expect("memory");
    options.clone().without_locks(true).open_medium(medium, "damaged.redb")
}

/// The report of `verify`, which always checks the structure; `None` if the structure is damaged.
fn verify_bytes(bytes: &[u8]) -> Option<VerifyReport> {
    let store = open(bytes, &OpenOptions::new().read_only(true).check(Check::Always)).ok()?;
    Some(verify(&store, &VerifyOptions::new(), &mut unwatched).expect("a report"))
}

/// Opens one damaged file, reads it, verifies it, writes to it and closes it.
fn probe(content: &Content, bytes: &[u8], mode: Mode, context: &str) -> Outcomes {
    let one = Outcomes { files: 1, ..Outcomes::default() };
    let store = match open(bytes, &mode.options()) {
        Ok(store) => store,
        Err(error) => {
            let named = [ErrorKind::Damaged, ErrorKind::NotAStore, ErrorKind::UnsupportedFormat, ErrorKind::Backend];
            assert!(named.contains(&error.kind()), "{context}: {error:?}");
            return Outcomes { detected: 1, ..one };
        }
    };
    let seen = read_all(&store, content);
    let report = verify(&store, &VerifyOptions::new(), &mut unwatched).expect("a report");
    let outcome = judge(&seen, &report, bytes, mode, context);
    if mode != Mode::ReadOnly {
        let (cid, data) = raw("written to a damaged store");
        let committed = store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, []));
        if committed.is_ok() {
            assert!(store.get(&cid).is_ok_and(|found| found == Some(data)) || mode == Mode::Large, "{context}");
        }
    }
    let _ = store.close();
    Outcomes { files: 1, ..outcome }
}

fn judge(seen: &Seen, report: &VerifyReport, bytes: &[u8], mode: Mode, context: &str) -> Outcomes {
    assert_named(report, seen, context);
    let one = Outcomes::default();
    if !seen.wrong.is_empty() {
        eprintln!("{context}: {:?}", seen.wrong);
        return Outcomes { wrong: 1, ..one };
    }
    if mode == Mode::Large && !seen.is_clean() {
        let found = verify_bytes(bytes).is_none_or(|report| report.fault_count > 0);
        assert!(found, "{context}: reads found {seen:?} and verify nothing");
    }
    match (seen.is_clean(), report.fault_count) {
        (true, 0) => Outcomes { harmless: 1, ..one },
        _ if seen.is_unnoticed() && seen.errors.is_empty() => Outcomes { unnoticed: 1, ..one },
        _ => Outcomes { detected: 1, ..one },
    }
}

fn damage(files: usize, seed: u64, workers: u64) -> BTreeMap<(&'static str, Mode), Outcomes> {
    let content = Content::new();
    let samples = Sample::all(&content);
    let run = |worker: u64| {
        let mut outcomes = BTreeMap::<_, Outcomes>::new();
        let mut random = Random(seed + worker);
        for round in 0..files / workers as usize {
            let sample = &samples[round % samples.len()];
            let mode = Mode::ALL[round / samples.len() % Mode::ALL.len()];
            let damage = Damage::any(&mut random, sample);
            let Some(bytes) = damage.apply(sample) else { continue };
            let context = format!("seed {}, round {round}, {}, {mode:?}, {damage:?}", seed + worker, sample.name);
            let probed = catch_unwind(AssertUnwindSafe(|| probe(&content, &bytes, mode, &context)));
            let outcome = probed.unwrap_or_else(|_| {
                eprintln!("{context}: a panic got out");
                Outcomes { files: 1, panicked: 1, ..Outcomes::default() }
            });
            *outcomes.entry((sample.name, mode)).or_default() += outcome;
        }
        outcomes
    };
    let mut all = BTreeMap::<_, Outcomes>::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || run(worker))).collect();
        for worker in workers {
            for (key, outcomes) in worker.join().expect("a worker") {
                *all.entry(key).or_default() += outcomes;
            }
        }
    });
    all
}

fn damage_and_tell(files: usize, workers: u64) {
    let seed = seed();
    let outcomes = damage(files, seed, workers);
    let names: Vec<(String, Outcomes)> =
        outcomes.iter().map(|((name, mode), outcomes)| (format!("{name}; {}", mode.name()), *outcomes)).collect();
    eprintln!("MNEM_DAMAGE_SEED={seed}\n{}", table(names.iter().map(|(name, outcomes)| (name.as_str(), *outcomes))));
    for ((name, mode), outcomes) in outcomes {
        assert_eq!(outcomes.panicked, 0, "{name}, {mode:?}: panics got out");
        if mode != Mode::Large {
            assert_eq!((outcomes.wrong, outcomes.unnoticed), (0, 0), "{name}, {mode:?}: wrong answers");
        }
        // The other layout has no checksum over its heads, so only the check at open protects them.
        if !name.starts_with("mnem") {
            assert_eq!(outcomes.wrong, 0, "{name}, {mode:?}: wrong bytes or heads");
        }
        assert!(outcomes.detected > 0, "{name}, {mode:?}: nothing was detected");
    }
}

#[test]
fn a_damaged_redb_file_gives_right_bytes_or_a_named_error() {
    damage_and_tell(FILES, 1);
}

/// The long run.
#[test]
#[ignore = "takes as long as it is told to; `cargo xtask soak damage`"]
fn soak() {
    let workers = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    damage_and_tell(rounds(100_000), workers);
}

/// Salvages damaged files: no panic escapes, only original blocks are written, and the file does not change.
#[test]
fn what_is_salvaged_of_a_damaged_file_was_in_it() {
    let content = Content::new();
    let samples = Sample::all(&content);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("damaged.redb");
    let mut random = Random(seed());
    let (mut salvaged, mut partly, mut hopeless) = (0, 0, 0);
    for round in 0..SALVAGES {
        let sample = &samples[round % samples.len()];
        let damage = Damage::any(&mut random, sample);
        let Some(bytes) = damage.apply(sample) else { continue };
        let context = format!("seed {}, round {round}, {}, {damage:?}", seed(), sample.name);
        fs::write(&path, &bytes).expect("write");
        let to = MemoryStore::new();
        let report = catch_unwind(AssertUnwindSafe(|| salvage_at(&path, &to, &SalvageOptions::new(), &mut unwatched)))
            .unwrap_or_else(|_| panic!("{context}: a panic got out"));
        assert!(fs::read(&path).expect("read") == bytes, "{context}: the file was written to");
        match report {
            Ok(report) => {
                salvaged += 1;
                let came = assert_was_there(&content, &to, &context);
                assert_eq!(came, report.blocks, "{context}");
                let whole = came == content.blocks.len() as u64 && report.heads == content.heads;
                partly += u32::from(!whole);
                // If a file does not mention the missing data, it looks like a file without them.
                assert!(whole || report.fault_count > 0, "{context}: something is missing, and no fault");
            }
            Err(error) => {
                hopeless += 1;
                let kinds =
                    [ErrorKind::Damaged, ErrorKind::NotAStore, ErrorKind::UnsupportedFormat, ErrorKind::Backend];
                assert!(error.kind().is_some_and(|kind| kinds.contains(&kind)), "{context}: {error:?}");
            }
        }
    }
    eprintln!("{salvaged} salvaged, {partly} of them in part; {hopeless} hopeless");
    assert!(
        partly > 0 && salvaged > 2 * hopeless,
        "{salvaged} salvaged, {partly} of them in part; {hopeless} hopeless"
    );
}

/// Checks that each block and head of the store is one of the content. Returns the number of blocks.
fn assert_was_there(content: &Content, store: &MemoryStore, context: &str) -> u64 {
    let mut count = 0;
    for cid in store.cids().expect("a listing") {
        let cid = cid.expect("a CID");
        let data = store.get(&cid).expect("its hash is right").expect("it is listed");
        assert!(content.blocks.contains(&(cid, data)), "{context}: {cid} was never stored");
        count += 1;
    }
    assert!(store.heads().expect("heads").iter().all(|head| content.heads.contains(head)), "{context}: another head");
    count
}

/// An undamaged file has no faults.
#[test]
fn the_samples_are_whole() {
    let content = Content::new();
    for sample in Sample::all(&content) {
        for mode in [Mode::Checked, Mode::ReadOnly, Mode::Large] {
            let outcomes = probe(&content, &sample.bytes, mode, sample.name);
            assert_eq!(
                outcomes,
                Outcomes { files: 1, harmless: 1, ..Outcomes::default() },
                "{}, {mode:?}",
                sample.name
            );
        }
    }
    // A block that does not match its CID is found and named.
    let sample = &Sample::all(&content)[0];
    let store = open(&sample.bytes, &OpenOptions::new()).expect("open");
    let (cid, _) = content.blocks[7];
    store.delete(&cid).expect("delete");
    store.put_trusted(&cid, "other bytes".into()).expect("a broken promise");
    let report = verify(&store, &VerifyOptions::new(), &mut unwatched).expect("a report");
    assert_eq!((report.faults[0].kind, report.faults[0].cid), (FaultKind::Corrupt, Some(cid)));
}
