//! Replay, and stable random mutation.

use std::{env, fs, path::PathBuf};

use mnem_fuzz_bodies::{TARGETS, Target};

/// Mutated inputs of each target. `MNEM_FUZZ_INPUTS` asks for more.
fn inputs(ordinary: usize) -> usize {
    env::var("MNEM_FUZZ_INPUTS").ok().and_then(|inputs| inputs.parse().ok()).unwrap_or(ordinary)
}

fn seed() -> u64 {
    env::var("MNEM_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125)
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("read")).collect()
}

/// One to eight changes: bits, bytes, numbers that are often limits, pieces removed, doubled, or taken from another input.
fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    const EDGES: [u8; 10] = [0, 1, 0x17, 0x18, 0x1b, 0x7f, 0x80, 0xd8, 0xfe, 0xff];
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..1 + random.below(8) {
        let len = bytes.len();
        let at = random.below(len + 1);
        let end = (at + 1 + random.below(24)).min(len);
        match random.below(8) {
            0 | 1 if at < len => bytes[at] ^= 1 << random.below(8),
            2 if at < len => bytes[at] = EDGES[random.below(EDGES.len())],
            3 => bytes.insert(at, random.next() as u8),
            4 if at < end => drop(bytes.drain(at..end)),
            5 if at < end => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len());
                let piece = other[from..(from + random.below(64)).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            7 if random.below(4) == 0 => bytes.truncate(at),
            _ => bytes.push(random.next() as u8),
        }
    }
    bytes
}

fn fuzz(name: &str, ordinary: usize) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let corpus = corpus(target);
    assert!(corpus.len() >= 3, "the corpus of {name} is gone");
    for input in &corpus {
        (target.run)(input);
    }
    let (seed, mut random) = (seed(), Random(seed()));
    for round in 0..inputs(ordinary) {
        let input = mutate(&mut random, &corpus);
        let run = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(run.is_ok(), "{name}: input {round} of MNEM_FUZZ_SEED={seed}: {}", hex(&input));
    }
}

/// Each small input of the corpus with each of its bytes changed to every other value, left out, and with the input
/// cut there.
fn every_byte(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    for input in corpus(target).iter().filter(|input| input.len() <= 512) {
        for at in 0..input.len() {
            let mut changed = input.clone();
            for byte in 0..=0xff {
                changed[at] = byte;
                (target.run)(&changed);
            }
            changed.remove(at);
            (target.run)(&changed);
            (target.run)(&input[..at]);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn car_import() {
    fuzz("car_import", 4_000);
}

#[test]
fn knn_row() {
    fuzz("knn_row", 3_000);
}

#[test]
fn dag_cbor_links() {
    fuzz("dag_cbor_links", 40_000);
}

#[test]
fn dag_pb_links() {
    fuzz("dag_pb_links", 20_000);
    every_byte("dag_pb_links");
}

#[test]
fn dag_json_links() {
    fuzz("dag_json_links", 20_000);
    every_byte("dag_json_links");
}

#[test]
fn op_heads_file() {
    fuzz("op_heads_file", 5_000);
}

#[test]
fn carlog_segment() {
    fuzz("carlog_segment", 300);
}

#[test]
fn carlog_run() {
    fuzz("carlog_run", 300);
}

#[test]
fn carlog_manifest() {
    fuzz("carlog_manifest", 300);
}

#[test]
fn bucket_entry() {
    fuzz("bucket_entry", 300);
}

#[test]
fn bucket_checkpoint() {
    fuzz("bucket_checkpoint", 300);
}

#[test]
fn bucket_pack() {
    fuzz("bucket_pack", 100);
}

#[test]
fn redb_open() {
    fuzz("redb_open", 1_500);
}

#[test]
fn redb_pages() {
    fuzz("redb_pages", 3_000);
}

#[test]
fn cli_cid() {
    fuzz("cli_cid", 40_000);
}
