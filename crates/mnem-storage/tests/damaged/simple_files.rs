//! The files of a simple store: changed, truncated, emptied, extended, swapped, deleted, renamed, replaced by folders.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use mnem_storage::{Cid, ErrorKind, OpenOptions, VerifyOptions, VerifyReport, unwatched, verify_at};

use super::{Content, NOTES, Outcomes, Random, assert_named, read_all, rounds, seed, table};

/// The number of damaged stores in an ordinary run.
const STORES: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    Flip,
    Cut,
    Empty,
    Grow,
    Swap,
    Delete,
    Rename,
    Folder,
}

impl Damage {
    const ALL: [Self; 8] =
        [Self::Flip, Self::Cut, Self::Empty, Self::Grow, Self::Swap, Self::Delete, Self::Rename, Self::Folder];

    /// Damages a file. Returns a way to undo it, or `None` if nothing changed.
    fn apply(self, file: &Path, other: &Path, random: &mut Random) -> Option<Undo> {
        let bytes = fs::read(file).expect("read");
        let aside =
            file.with_file_name(format!("{}aa", file.file_name().and_then(|name| name.to_str()).expect("text")));
        let write = |bytes: &[u8]| overwrite(file, bytes);
        let restore = vec![(file.to_owned(), bytes.clone())];
        match self {
            Self::Flip | Self::Cut | Self::Empty if bytes.is_empty() => return None,
            Self::Flip => {
                let mut changed = bytes;
                let at = random.index(changed.len());
                changed[at] ^= 1 << random.index(8);
                write(&changed);
            }
            Self::Cut => write(&bytes[..random.index(bytes.len())]),
            Self::Empty => write(&[]),
            Self::Grow => {
                let more = 1 + random.index(40);
                write(&[&bytes[..], &vec![random.next() as u8; more]].concat());
            }
            Self::Swap => {
                let others = fs::read(other).expect("read");
                if others == bytes {
                    return None;
                }
                write(&others);
                overwrite(other, &bytes);
                return Some(Undo {
                    restore: vec![(file.to_owned(), bytes), (other.to_owned(), others)],
                    remove: None,
                });
            }
            Self::Delete => fs::remove_file(file).expect("remove"),
            Self::Rename => {
                fs::rename(file, &aside).expect("rename");
                return Some(Undo { restore, remove: Some(aside) });
            }
            Self::Folder => {
                fs::remove_file(file).expect("remove");
                fs::create_dir(file).expect("make a folder");
                return Some(Undo { restore, remove: Some(file.to_owned()) });
            }
        }
        Some(Undo { restore, remove: None })
    }
}

/// Writes without truncating the file first, because some file systems then wait for the medium.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file =
        fs::File::options().write(true).create(true).truncate(false).open(path).expect("open a file of the store");
    file.write_all(bytes).expect("write");
    file.set_len(bytes.len() as u64).expect("cut off");
}

/// Restores a store.
struct Undo {
    restore: Vec<(PathBuf, Vec<u8>)>,
    remove: Option<PathBuf>,
}

impl Undo {
    fn run(self) {
        match self.remove {
            Some(path) if path.is_dir() => fs::remove_dir(path).expect("remove a folder"),
            Some(path) => fs::remove_file(path).expect("remove a file"),
            None => {}
        }
        for (path, bytes) in self.restore {
            overwrite(&path, &bytes);
        }
    }
}

/// The purpose of a file in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Block,
    Heads,
    Format,
    /// A row of the edge table, which a CID protects.
    Edges,
    /// Locks.
    Empty,
    /// A row of another side table, whose owner must check it.
    Row,
}

impl Part {
    fn of(store: &Path, file: &Path) -> Self {
        let inside = file.strip_prefix(store).expect("a file of the store");
        let names: Vec<&str> = inside.iter().map(|name| name.to_str().expect("text")).collect();
        match names[..] {
            ["objects", ..] => Self::Block,
            ["op_heads"] => Self::Heads,
            ["format"] => Self::Format,
            ["tables", NOTES, ..] => Self::Row,
            ["tables", ..] => Self::Edges,
            _ => Self::Empty,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Block => "a block's file",
            Self::Heads => "op_heads",
            Self::Format => "format",
            Self::Edges => "a file of the edge table",
            Self::Row => "a row of another side table",
            Self::Empty => "a lock file",
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("list") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn report_of(path: &Path) -> Result<VerifyReport, ErrorKind> {
    verify_at(path, &VerifyOptions::new(), &mut unwatched).map_err(|error| error.kind().expect("nobody stopped it"))
}

/// Opens, reads and verifies a damaged store.
fn probe(path: &Path, content: &Content, blocks: &[Cid], part: Part, context: &str) -> Outcomes {
    let one = Outcomes { files: 1, ..Outcomes::default() };
    let named = [ErrorKind::Damaged, ErrorKind::NotAStore, ErrorKind::UnsupportedFormat];
    let report = report_of(path);
    let store = match OpenOptions::new().read_only(true).open(path) {
        Ok(store) => store,
        Err(error) => {
            assert!(named.contains(&error.kind()), "{context}: {error:?}");
            assert!(report.is_err() || report.is_ok_and(|report| report.fault_count > 0), "{context}");
            return Outcomes { detected: 1, ..one };
        }
    };
    let seen = read_all(&*store, content);
    let report = report.expect("a store that opens is verified");
    if !seen.wrong.is_empty() {
        eprintln!("{context}: {:?}", seen.wrong);
        return Outcomes { wrong: 1, ..one };
    }
    assert_named(&report, &seen, context);
    for cid in blocks {
        assert!(report.faults.iter().any(|fault| fault.cid == Some(*cid)), "{context}: verify does not name {cid}");
    }
    match (seen.is_clean(), report.fault_count) {
        (true, 0) => Outcomes { harmless: 1, ..one },
        // Without its manifest an index is absent, and its remains are reported as unfinished.
        (_, 0) if report.knn_unfinished == [content.edges.compute_cid()] => Outcomes { detected: 1, ..one },
        (_, 0) => {
            assert!(part == Part::Row, "{context}: nobody noticed: {seen:?}");
            Outcomes { unnoticed: 1, ..one }
        }
        _ => Outcomes { detected: 1, ..one },
    }
}

fn damage(stores: usize, seed: u64) -> BTreeMap<Part, Outcomes> {
    let content = Content::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store");
    let store = OpenOptions::new().create(true).backend("simple").open(&path).expect("create");
    content.fill(&*store);
    store.close().expect("close");
    drop(store);
    let whole = read_all(&*OpenOptions::new().read_only(true).open(&path).expect("open"), &content);
    assert!(whole.is_clean(), "{whole:?}");
    let files = files(&path);
    let mut outcomes = BTreeMap::<Part, Outcomes>::new();
    let mut random = Random(seed);
    for round in 0..stores {
        let damage = Damage::ALL[round % Damage::ALL.len()];
        let (file, other) = (&files[random.index(files.len())], &files[random.index(files.len())]);
        let part = Part::of(&path, file).max(if damage == Damage::Swap { Part::of(&path, other) } else { Part::Block });
        let hit = if damage == Damage::Swap { vec![file, other] } else { vec![file] };
        let Some(undo) = damage.apply(file, other, &mut random) else { continue };
        let context = format!("seed {seed}, round {round}, {damage:?} of {}", file.display());
        let blocks: Vec<Cid> =
            hit.iter().filter(|file| Part::of(&path, file) == Part::Block).map(|file| cid_of_file(file)).collect();
        let probed = catch_unwind(AssertUnwindSafe(|| probe(&path, &content, &blocks, part, &context)));
        undo.run();
        let outcome = probed.unwrap_or_else(|_| {
            eprintln!("{context}: a panic got out");
            Outcomes { files: 1, panicked: 1, ..Outcomes::default() }
        });
        *outcomes.entry(part).or_default() += outcome;
    }
    let again = read_all(&*OpenOptions::new().read_only(true).open(&path).expect("open"), &content);
    assert!(again.is_clean(), "the test did not undo what it did: {again:?}");
    outcomes
}

fn cid_of_file(file: &Path) -> Cid {
    file.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).expect("a CID")
}

fn damage_and_tell(stores: usize) {
    let seed = seed();
    let outcomes = damage(stores, seed);
    eprintln!("MNEM_DAMAGE_SEED={seed}\n{}", table(outcomes.iter().map(|(part, outcomes)| (part.name(), *outcomes))));
    for (part, outcomes) in outcomes {
        assert_eq!((outcomes.panicked, outcomes.wrong), (0, 0), "{part:?}");
        assert!(part == Part::Row || outcomes.unnoticed == 0, "{part:?}");
        assert!(part == Part::Empty || part == Part::Row || outcomes.detected > 0, "{part:?}: nothing was detected");
    }
}

#[test]
fn damaged_files_of_a_simple_store_give_right_bytes_or_a_named_error() {
    damage_and_tell(STORES);
}

/// The long run.
#[test]
#[ignore = "takes as long as it is told to; `cargo xtask soak damage`"]
fn soak() {
    damage_and_tell(rounds(50_000));
}
