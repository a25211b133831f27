//! Truncated, zeroed and overwritten redb files: how many of the blocks with intact pages are salvaged.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    env, fs,
    ops::Range,
    panic::{self, AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use mnem_backend_redb::{Layout, OpenOptions};
use mnem_storage::{
    Blockstore as _, Bytes, Cid, CopyError, ErrorKind, MemoryStore, OpHeadsStore as _, RAW, SalvageOptions, Store as _,
    WriteBatch, cid_of, driver, salvage_at, unwatched,
};

use super::blocks_of;
use crate::random::Random;

const PAGE: usize = 4096;

/// The number of damaged files in an ordinary run; `MNEM_SOAK_ROUNDS` in the long run.
const FILES: usize = 60;

/// The percentage of blocks with intact pages that must be salvaged from each file.
const SHARE: usize = 95;

/// A file, its content, and where the content is.
struct Sample {
    bytes: Vec<u8>,
    /// All blocks, including deleted ones.
    blocks: BTreeMap<Cid, Bytes>,
    /// The heads of all commits.
    heads: BTreeSet<Cid>,
    /// The copies of each stored block: from the beginning of its page to the end of its bytes.
    places: BTreeMap<Cid, Vec<Range<usize>>>,
}

impl Sample {
    /// Blocks from a few hundred bytes up to this size, in several commits with one head each. Some are deleted again.
    fn new(layout: Layout, largest: u64, deletes: bool, random: &mut Random) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let store = OpenOptions::new().create(true).layout(layout).open(&path).unwrap();
        let (mut blocks, mut heads) = (BTreeMap::new(), BTreeSet::new());
        for _ in 0..12 {
            let mut batch = WriteBatch::new();
            for _ in 0..100 {
                let most = if random.below(16) == 0 { largest } else { 600 };
                let bytes = 8 + random.below(most);
                let data: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
                let (cid, data) = (cid_of(RAW, &data), Bytes::from(data));
                batch.put(cid, data.clone());
                blocks.insert(cid, data);
            }
            let head = *blocks.keys().nth(random.index(blocks.len())).unwrap();
            store.commit(batch.update(head, store.heads().unwrap())).unwrap();
            heads.insert(head);
        }
        let gone: BTreeSet<Cid> =
            blocks.keys().filter(|cid| deletes && random.below(4) == 0 && !heads.contains(cid)).copied().collect();
        gone.iter().for_each(|cid| store.delete(cid).unwrap());
        store.close().unwrap();
        let bytes = fs::read(&path).unwrap();
        let places = places(&bytes, blocks.iter().filter(|(cid, _)| !gone.contains(cid)));
        Self { bytes, blocks, heads, places }
    }

    fn all(random: &mut Random) -> Vec<Self> {
        vec![
            Self::new(Layout::Native, 3_000, false, random),
            Self::new(Layout::Native, 100_000, true, random),
            Self::new(Layout::Mnem01, 3_000, true, random),
            Self::new(Layout::Mnem01, 40_000, false, random),
        ]
    }
}

/// Where the bytes of blocks are: after their keys, in a leaf whose first page has the key. Found by searching for the
/// bytes.
fn places<'a>(file: &[u8], blocks: impl Iterator<Item = (&'a Cid, &'a Bytes)>) -> BTreeMap<Cid, Vec<Range<usize>>> {
    let mut places = BTreeMap::new();
    let mut begins = HashMap::new();
    for (cid, data) in blocks {
        places.insert(*cid, Vec::new());
        begins.insert(&data[..8], (cid, data));
    }
    let first_bytes: HashSet<[u8; 2]> = begins.keys().map(|begin| [begin[0], begin[1]]).collect();
    let mut may_begin = vec![false; 1 << 16];
    first_bytes.into_iter().for_each(|bytes| may_begin[usize::from(u16::from_le_bytes(bytes))] = true);
    for at in 0..file.len() - 8 {
        if !may_begin[usize::from(u16::from_le_bytes([file[at], file[at + 1]]))] {
            continue;
        }
        let Some((cid, data)) = begins.get(&file[at..at + 8]) else { continue };
        if file[at..].starts_with(data) {
            let leaf = leaf_of(file, at, &cid.to_bytes());
            places.entry(**cid).or_default().extend(leaf.map(|leaf| leaf..at + data.len()));
        }
    }
    places
}

/// The beginning of the leaf that has this key and this value: in this page or the previous one.
fn leaf_of(file: &[u8], value: usize, key: &[u8]) -> Option<usize> {
    let pages = (value / PAGE).saturating_sub(1)..=value / PAGE;
    let has_key = |page: &usize| file[*page..value].windows(key.len()).any(|window| window == key);
    pages.rev().map(|page| page * PAGE).find(|page| file[*page] == 1 && has_key(page))
}

/// A damaged file, and which of its bytes changed.
struct Damaged {
    bytes: Vec<u8>,
    wrong: Vec<Range<usize>>,
    what: String,
}

impl Damaged {
    /// Makes one to four changes: truncates, zeroes, fills, overwrites with random bytes or other pages, or extends the
    /// file.
    fn new(sample: &Sample, random: &mut Random) -> Self {
        let mut damaged = Self { bytes: sample.bytes.clone(), wrong: Vec::new(), what: String::new() };
        for _ in 0..1 + random.index(4) {
            damaged.change(random);
        }
        damaged
    }

    fn change(&mut self, random: &mut Random) {
        let len = self.bytes.len();
        let kind = random.index(8);
        let unit = [1, 512, PAGE][random.index(3)];
        let start = if random.index(4) == 0 { 0 } else { random.index(len) / unit * unit };
        let most = [64, PAGE, 16 * PAGE, len / 4 + 1][random.index(4)];
        let end = len.min(start + 1 + random.index(most));
        self.what += &format!("{kind}: {start}..{end} of {len}; ");
        match kind {
            0 | 1 => {
                // At least an eighth is left.
                let left = len / 8 + random.index(len - len / 8);
                self.bytes.truncate(left);
                self.wrong.push(left..usize::MAX);
                return;
            }
            2 | 3 => self.bytes[start..end].fill(0),
            4 => self.bytes[start..end].fill(random.next() as u8),
            5 => self.bytes[start..end].fill_with(|| random.next() as u8),
            6 => {
                let from = random.index(len - (end - start) + 1) / PAGE * PAGE;
                let other = self.bytes[from..from + (end - start)].to_vec();
                self.bytes[start..end].copy_from_slice(&other);
            }
            _ => return self.bytes.resize(len + random.index(3 * PAGE), 0),
        }
        self.wrong.push(start..end);
    }

    /// The blocks with at least one copy whose pages are all intact.
    fn whole<'a>(&self, sample: &'a Sample) -> BTreeSet<&'a Cid> {
        let is_whole = |place: &Range<usize>| {
            // Up to the end of the page, because other rows may follow in it.
            let pages = place.start..place.end.next_multiple_of(PAGE).min(sample.bytes.len());
            self.wrong.iter().all(|wrong| wrong.end <= pages.start || pages.end <= wrong.start)
        };
        sample.places.iter().filter(|(_, places)| places.iter().any(is_whole)).map(|(cid, _)| cid).collect()
    }
}

/// The results of a run.
#[derive(Debug, Default)]
struct Outcomes {
    files: usize,
    /// Files that gave at least [`SHARE`] percent of the blocks with intact pages.
    good: usize,
    /// Files that gave all of them.
    full: usize,
    /// The number of blocks with intact pages, and of those that were salvaged.
    whole: usize,
    came: usize,
    /// The number of blocks that came only from raw pages.
    raw: u64,
    bytes: usize,
    took: Duration,
    /// The file that took longest for its size: the time per MiB, and how it was damaged.
    slowest: (Duration, String),
}

fn salvage_one(sample: &Sample, damaged: &Damaged, path: &Path, context: &str, outcomes: &mut Outcomes) {
    fs::write(path, &damaged.bytes).unwrap();
    let to = MemoryStore::new();
    let began = Instant::now();
    let salvaged = catch_unwind(AssertUnwindSafe(|| salvage_at(path, &to, &SalvageOptions::new(), &mut unwatched)));
    outcomes.took += began.elapsed();
    let for_each_mib = began.elapsed().mul_f64((1 << 20) as f64 / damaged.bytes.len() as f64);
    if for_each_mib > outcomes.slowest.0 {
        outcomes.slowest = (for_each_mib, context.to_owned());
    }
    let salvaged = salvaged.unwrap_or_else(|_| panic!("{context}: a panic got out"));
    assert!(fs::read(path).unwrap() == damaged.bytes, "{context}: the file was written to");
    let whole = damaged.whole(sample);
    let came = blocks_of(&to);
    for (cid, data) in &came {
        assert!(sample.blocks.get(cid) == Some(data), "{context}: {cid} was never stored");
    }
    match &salvaged {
        Ok(report) => {
            assert_eq!(came.len() as u64, report.blocks, "{context}");
            let named = report.heads.iter().chain(&report.head_candidates);
            for head in named {
                assert!(sample.heads.contains(head) && to.has(head).unwrap(), "{context}: {head} was no head");
            }
            assert_eq!(to.heads().unwrap(), report.heads, "{context}");
            outcomes.raw += report.raw;
        }
        Err(CopyError::Source(error)) => {
            assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotAStore), "{context}: {error:?}");
            assert!(came.is_empty(), "{context}");
        }
        Err(error) => panic!("{context}: {error:?}"),
    }
    let both = whole.iter().filter(|cid| to.has(cid).unwrap()).count();
    outcomes.files += 1;
    outcomes.good += usize::from(both * 100 >= whole.len() * SHARE);
    outcomes.full += usize::from(both == whole.len());
    outcomes.whole += whole.len();
    outcomes.came += both;
    outcomes.bytes += damaged.bytes.len();
    if both < whole.len() {
        eprintln!("{context}: {both} of {}; {}", whole.len(), damaged.what);
    }
}

fn seed() -> u64 {
    env::var("MNEM_DAMAGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_128)
}

/// Silences the many contained panics of redb.
fn hush() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !driver::is_contained() {
            hook(info);
        }
    }));
}

fn run(files: usize, seed: u64) -> Outcomes {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.redb");
    let mut random = Random(seed);
    let samples = Sample::all(&mut random);
    let mut outcomes = Outcomes::default();
    for round in 0..files {
        let sample = &samples[round % samples.len()];
        let damaged = Damaged::new(sample, &mut random);
        let context = format!("MNEM_DAMAGE_SEED={seed}, file {round}: {}", damaged.what);
        salvage_one(sample, &damaged, &path, &context, &mut outcomes);
    }
    outcomes
}

#[test]
fn blocks_whose_pages_are_whole_come_over() {
    let outcomes = run(FILES, seed());
    eprintln!("{outcomes:?}");
    assert_eq!((outcomes.good, outcomes.files), (FILES, FILES), "{outcomes:?}");
    assert!(outcomes.raw > 0, "{outcomes:?}");
}

/// The long run.
#[test]
#[ignore = "takes as long as it is told to; `cargo xtask soak salvage`"]
fn soak() {
    hush();
    let files = env::var("MNEM_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1_000);
    let workers = thread::available_parallelism().map_or(1, |cores| cores.get());
    let outcomes: Vec<Outcomes> = thread::scope(|scope| {
        let worker = |worker: usize| {
            let share = files / workers + usize::from(worker < files % workers);
            scope.spawn(move || run(share, seed() + worker as u64))
        };
        let running: Vec<_> = (0..workers).map(worker).collect();
        running.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let sum = |of: &dyn Fn(&Outcomes) -> usize| outcomes.iter().map(of).sum::<usize>();
    let (files, good, full) = (sum(&|all| all.files), sum(&|all| all.good), sum(&|all| all.full));
    let (whole, came) = (sum(&|all| all.whole), sum(&|all| all.came));
    eprintln!(
        "MNEM_DAMAGE_SEED={}: of {files} files, {good} gave at least {SHARE} % of the blocks whose pages are whole",
        seed()
    );
    eprintln!("{full} gave all of them; {came} of {whole} blocks; {} MiB of files", sum(&|all| all.bytes) >> 20);
    let took: Duration = outcomes.iter().map(|all| all.took).sum();
    let slowest = outcomes.iter().map(|all| &all.slowest).max_by_key(|slowest| slowest.0);
    eprintln!("{took:?} in all; slowest for each MiB: {slowest:?}");
    assert_eq!(good, files);
}
