//! Carlog stores whose files were truncated, zeroed, overwritten or removed: how many of the whole blocks are salvaged.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use mnem_backend_carlog::OpenOptions;
use mnem_storage::{
    Blockstore as _, Bytes, Cid, CopyError, ErrorKind, MemoryStore, OpHeadsStore as _, RAW, SalvageOptions, Store as _,
    WriteBatch, car, cid_of, salvage_at, unwatched,
};
use tempfile::TempDir;

use super::{blocks_of, rescue};
use crate::random::Random;

/// The number of damaged stores in an ordinary run; `MNEM_SOAK_ROUNDS` in the long run.
const STORES: usize = 60;

/// The percentage of whole blocks that must be salvaged from each store.
const SHARE: usize = 95;

type Files = BTreeMap<String, Vec<u8>>;

/// A store, its content, and where the content is.
struct Sample {
    files: Files,
    /// All blocks, including deleted ones.
    blocks: BTreeMap<Cid, Bytes>,
    /// Values of side tables.
    values: BTreeSet<Cid>,
    /// The heads of all commits, and of the last one.
    heads: BTreeSet<Cid>,
    last_heads: Vec<Cid>,
    /// The sections of each live block: the file and the bytes.
    places: BTreeMap<Cid, Vec<(String, Range<usize>)>>,
}

/// How a sample is made.
#[derive(Clone, Copy)]
struct Kind {
    largest: u64,
    segment_bytes: u32,
    deletes: bool,
    compacts: bool,
    closes: bool,
}

impl Sample {
    fn new(kind: Kind, random: &mut Random) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.carlog");
        let options = OpenOptions::new().create(true).segment_bytes(kind.segment_bytes).index_bounds(200, 100_000);
        let store = options.index_thread(false).open(&path).unwrap();
        let mut sample = Self {
            files: Files::new(),
            blocks: BTreeMap::new(),
            values: BTreeSet::new(),
            heads: BTreeSet::new(),
            last_heads: Vec::new(),
            places: BTreeMap::new(),
        };
        for n in 0..8_u8 {
            let mut batch = WriteBatch::new();
            for _ in 0..50 {
                let (cid, data) = random_block(if random.below(16) == 0 { kind.largest } else { 600 }, random);
                batch.put(cid, data.clone());
                sample.blocks.insert(cid, data);
            }
            let head = *sample.blocks.keys().nth(random.index(sample.blocks.len())).unwrap();
            store.commit(batch.update(head, store.heads().unwrap())).unwrap();
            sample.heads.insert(head);
            let value = random_block(300, random).1;
            sample.values.insert(cid_of(RAW, &value));
            store.side_table("notes").unwrap().write(&[(Bytes::from(vec![n]), value)], &[]).unwrap();
        }
        let is_gone =
            |cid: &&Cid, random: &mut Random| kind.deletes && random.below(4) == 0 && !sample.heads.contains(*cid);
        let gone: BTreeSet<Cid> = sample.blocks.keys().filter(|cid| is_gone(cid, random)).copied().collect();
        store.delete_many(&mut gone.iter().map(|cid| Ok(*cid))).unwrap();
        if kind.compacts {
            store.compact().unwrap();
        }
        sample.last_heads = store.heads().unwrap();
        if kind.closes {
            store.close().unwrap();
        }
        sample.files = files_of(&path);
        sample.places = sample.find_places(&gone);
        sample
    }

    fn all(random: &mut Random) -> Vec<Self> {
        let kind = Kind { largest: 3_000, segment_bytes: 60_000, deletes: false, compacts: false, closes: true };
        let kinds = [
            kind,
            Kind { deletes: true, closes: false, segment_bytes: 1 << 28, ..kind },
            Kind { largest: 100_000, deletes: true, compacts: true, segment_bytes: 200_000, ..kind },
            Kind { largest: 300_000, segment_bytes: 1 << 28, ..kind },
        ];
        kinds.into_iter().map(|kind| Self::new(kind, random)).collect()
    }

    fn find_places(&self, gone: &BTreeSet<Cid>) -> BTreeMap<Cid, Vec<(String, Range<usize>)>> {
        let mut places = BTreeMap::new();
        for (name, bytes) in self.files.iter().filter(|(name, _)| name.ends_with(".car")) {
            let Ok(mut reader) = car::Reader::new(&bytes[..], 1 << 26) else { continue };
            while let Some(section) = reader.next_section().unwrap() {
                let section = section.offsets();
                if self.blocks.contains_key(&section.cid) && !gone.contains(&section.cid) {
                    let place = (name.clone(), section.offset as usize..section.end() as usize);
                    places.entry(section.cid).or_insert_with(Vec::new).push(place);
                }
            }
        }
        places
    }
}

fn random_block(largest: u64, random: &mut Random) -> (Cid, Bytes) {
    let data: Vec<u8> = (0..1 + random.below(largest / 8)).flat_map(|_| random.next().to_le_bytes()).collect();
    (cid_of(RAW, &data), data.into())
}

fn files_of(path: &Path) -> Files {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// A damaged store, and which bytes of which files changed.
struct Damaged {
    files: Files,
    wrong: Vec<(String, Range<usize>)>,
    what: String,
}

impl Damaged {
    /// Makes one to four changes.
    fn new(sample: &Sample, random: &mut Random) -> Self {
        let mut damaged = Self { files: sample.files.clone(), wrong: Vec::new(), what: String::new() };
        for _ in 0..1 + random.index(4) {
            damaged.change(random);
        }
        damaged
    }

    /// Truncates, zeroes, fills, overwrites or extends a file, mostly a segment, or removes another file.
    fn change(&mut self, random: &mut Random) {
        let is_segment = |name: &&String| name.ends_with(".car");
        if random.index(5) == 0 {
            let others: Vec<String> = self.files.keys().filter(|name| !is_segment(name)).cloned().collect();
            let Some(name) = others.get(random.index(others.len())) else { return };
            self.what += &format!("without {name}; ");
            self.files.remove(name);
            return;
        }
        let only_segments = random.index(4) > 0;
        let names: Vec<String> = self.files.keys().filter(|name| !only_segments || is_segment(name)).cloned().collect();
        let name = &names[random.index(names.len())];
        let bytes = self.files.get_mut(name).unwrap();
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        let (kind, unit) = (random.index(8), [1, 512, 4096][random.index(3)]);
        let start = if random.index(4) == 0 { 0 } else { random.index(len) / unit * unit };
        let most = [64, 4096, 65_536, len / 4 + 1][random.index(4)];
        let end = len.min(start + 1 + random.index(most));
        self.what += &format!("{name}, {kind}: {start}..{end} of {len}; ");
        match kind {
            0 | 1 => {
                let left = len / 8 + random.index(len - len / 8);
                bytes.truncate(left);
                return self.wrong.push((name.clone(), left..usize::MAX));
            }
            2 | 3 => bytes[start..end].fill(0),
            4 => bytes[start..end].fill(random.next() as u8),
            5 => bytes[start..end].fill_with(|| random.next() as u8),
            6 => {
                let from = random.index(len - (end - start) + 1);
                let other = bytes[from..from + (end - start)].to_vec();
                bytes[start..end].copy_from_slice(&other);
            }
            _ => return bytes.resize(len + random.index(10_000), random.next() as u8 % 2),
        }
        self.wrong.push((name.clone(), start..end));
    }

    /// The blocks with at least one section whose bytes are all as they were.
    fn whole<'a>(&self, sample: &'a Sample) -> BTreeSet<&'a Cid> {
        let is_whole = |(file, place): &(String, Range<usize>)| {
            let hits = |wrong: &Range<usize>| wrong.start < place.end && place.start < wrong.end;
            self.files.contains_key(file) && !self.wrong.iter().any(|(name, wrong)| name == file && hits(wrong))
        };
        sample.places.iter().filter(|(_, places)| places.iter().any(is_whole)).map(|(cid, _)| cid).collect()
    }
}

/// The results of a run.
#[derive(Debug, Default)]
struct Outcomes {
    stores: usize,
    /// Stores that gave at least [`SHARE`] percent of the whole blocks, and those that gave all.
    good: usize,
    full: usize,
    whole: usize,
    came: usize,
    /// The number of blocks that came only from raw segments.
    raw: u64,
    /// Stores without `state` that seemed whole: the damaged end of their log looked like an interrupted commit.
    unnoticed: usize,
    /// Stores whose heads came from a commit record.
    recorded: usize,
    bytes: usize,
}

fn salvage_one(sample: &Sample, damaged: &Damaged, context: &str, outcomes: &mut Outcomes) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.carlog");
    fs::create_dir(&path).unwrap();
    damaged.files.iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).unwrap());
    let to = MemoryStore::new();
    let salvaged = catch_unwind(AssertUnwindSafe(|| salvage_at(&path, &to, &SalvageOptions::new(), &mut unwatched)));
    let salvaged = salvaged.unwrap_or_else(|_| panic!("{context}: a panic got out"));
    assert!(files_of(&path) == damaged.files, "{context}: the store was written to");
    let whole = damaged.whole(sample);
    let came = blocks_of(&to);
    for (cid, data) in &came {
        // Where a record is lost, its values are blocks; where one was copied to another place, it is a block too.
        let is_known = sample.values.contains(cid) || data.starts_with(b"mnemC") || data.starts_with(b"mnemL");
        assert!(sample.blocks.get(cid) == Some(data) || is_known, "{context}: {cid} was never stored");
        assert_eq!(*cid, cid_of(RAW, data), "{context}");
    }
    // Nothing else shows that the end of the log is damaged.
    let is_told = damaged.files.get("state") == sample.files.get("state");
    match &salvaged {
        Ok(report) => {
            assert_eq!(came.len() as u64, report.blocks, "{context}");
            for head in report.heads.iter().chain(&report.head_candidates) {
                assert!(sample.heads.contains(head) && to.has(head).unwrap(), "{context}: {head} was no head");
            }
            assert_eq!(to.heads().unwrap(), report.heads, "{context}");
            let are_last = report.heads.iter().all(|head| sample.last_heads.contains(head));
            assert!(are_last || report.heads_from_raw || !is_told, "{context}");
            let is_damaged = report.fault_count > 0;
            assert!(is_damaged || report.raw == 0, "{context}: {report:?}");
            outcomes.raw += report.raw;
            outcomes.recorded += usize::from(report.heads_from_raw);
        }
        Err(CopyError::Source(error)) => {
            assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotAStore), "{context}: {error:?}");
            assert!(came.is_empty(), "{context}");
        }
        Err(error) => panic!("{context}: {error:?}"),
    }
    let both = whole.iter().filter(|cid| to.has(cid).unwrap()).count();
    outcomes.stores += 1;
    let is_good = both * 100 >= whole.len() * SHARE;
    outcomes.good += usize::from(is_good);
    let seems_whole = salvaged.is_ok_and(|report| report.fault_count == 0);
    outcomes.unnoticed += usize::from(!is_good && seems_whole && !is_told);
    outcomes.full += usize::from(both == whole.len());
    outcomes.whole += whole.len();
    outcomes.came += both;
    outcomes.bytes += damaged.files.values().map(Vec::len).sum::<usize>();
    if both < whole.len() {
        eprintln!("{context}: {both} of {}", whole.len());
    }
}

fn seed() -> u64 {
    env::var("MNEM_DAMAGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_129)
}

fn run(stores: usize, seed: u64) -> Outcomes {
    let mut random = Random(seed);
    let samples = Sample::all(&mut random);
    let mut outcomes = Outcomes::default();
    for round in 0..stores {
        let sample = &samples[round % samples.len()];
        let damaged = Damaged::new(sample, &mut random);
        let context = format!("MNEM_DAMAGE_SEED={seed}, store {round}: {}", damaged.what);
        salvage_one(sample, &damaged, &context, &mut outcomes);
    }
    outcomes
}

#[test]
fn whole_blocks_of_damaged_segments_come_over() {
    let outcomes = run(STORES, seed());
    eprintln!("{outcomes:?}");
    assert_eq!((outcomes.good, outcomes.stores), (STORES - outcomes.unnoticed, STORES), "{outcomes:?}");
    assert!(outcomes.raw > 0 && outcomes.recorded > 0, "{outcomes:?}");
}

/// The long run.
#[test]
#[ignore = "takes as long as it is told to; `cargo xtask soak salvage`"]
fn soak() {
    let stores = env::var("MNEM_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1_000);
    let outcomes = run(stores, seed());
    eprintln!(
        "MNEM_DAMAGE_SEED={}: of {stores} stores, {} gave at least {SHARE} % of the whole blocks",
        seed(),
        outcomes.good
    );
    eprintln!("{outcomes:?}");
    assert_eq!(outcomes.good + outcomes.unnoticed, stores);
    assert!(outcomes.unnoticed * 100 <= stores);
}

/// Without one of the files that lead to the blocks, or without all of them, everything comes over.
#[test]
fn without_the_files_that_lead_to_them_all_blocks_come_over() {
    let sample = &Sample::all(&mut Random(seed()))[0];
    let live: BTreeSet<Cid> = sample.places.keys().copied().collect();
    let kinds = ["format", "manifest", "state", "run-", "rows-", "lock"];
    let all = kinds.iter().map(std::slice::from_ref).chain([&kinds[..]]);
    for without in all {
        for change in 0..3 {
            let mut files = sample.files.clone();
            let is_one = |name: &str| without.iter().any(|kind| name.starts_with(kind));
            files.retain(|name, _| change > 0 || !is_one(name));
            let changed = files.iter_mut().filter(|(name, _)| is_one(name));
            changed.for_each(|(_, bytes)| if change == 1 { bytes.clear() } else { bytes.fill(0xa5) });
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("a.carlog");
            fs::create_dir(&path).unwrap();
            files.iter().for_each(|(name, bytes)| fs::write(path.join(name), bytes).unwrap());
            let (rescued, report) = rescue(&path);
            let what = format!("without {without:?}, change {change}: {report:?}");
            let has_keys = !is_one("format");
            // Without the keys, nothing says which sections are values of side tables: they come over as blocks.
            let expected = if has_keys { live.clone() } else { &live | &sample.values };
            assert_eq!(
                blocks_of(&rescued).into_iter().map(|(cid, _)| cid).collect::<BTreeSet<_>>(),
                expected,
                "{what}"
            );
            if has_keys {
                assert_eq!(report.heads, sample.last_heads, "{what}");
            } else {
                // Without the keys, nothing proves a record.
                assert!(report.heads.is_empty() && report.head_candidates.contains(&sample.last_heads[0]), "{what}");
            }
            assert_eq!(report.heads_from_raw, has_keys && is_one("manifest"), "{what}");
        }
    }
}
