//! Hostile archives: what the import of each adds to the memory of a process that does nothing else.

use std::{
    env, fs,
    io::{self, Read},
    process::Command,
};

use mnem_storage::{
    DAG_JSON, DAG_PB, MemoryStore,
    car::{self, ImportOptions},
    cid_of, unwatched,
};

const CASE: &str = "MNEM_MEMORY_CASE";
const SAYS: &str = "grew by KiB ";

/// An archive that is made as it is read, and what reading it may take.
struct Case {
    name: &'static str,
    archive: fn() -> Box<dyn Read>,
    kibibytes_max: u64,
}

/// The header of an archive without roots.
const HEADER: &[u8] = b"\x11\xa2\x65roots\x80\x67version\x01";

/// CIDv1, raw, sha2-256, of something else than zeros.
const CID: [u8; 36] = {
    let mut cid = [7; 36];
    (cid[0], cid[1], cid[2], cid[3]) = (1, 0x55, 0x12, 0x20);
    cid
};

/// 16 MiB and a CID, as a varint.
const LARGEST: &[u8] = &[0xa4, 0x80, 0x80, 0x08];

const CASES: [Case; 9] = [
    Case {
        name: "a section that claims 16 MiB and ends",
        archive: || Box::new(HEADER.chain(LARGEST).chain(&CID[..])),
        kibibytes_max: 6 * 1024,
    },
    Case {
        name: "a header that claims 32 MiB and ends",
        archive: || Box::new(&b"\x80\x80\x80\x10\xa2\x65roots\x9a\xff\xff\xff\xff"[..]),
        kibibytes_max: 6 * 1024,
    },
    Case {
        name: "a header of 32 MiB of links that are none",
        archive: || Box::new((&b"\x80\x80\x80\x10\xa2\x65roots\x9a\x01\xff\xff\x00"[..]).chain(io::repeat(0xf6))),
        kibibytes_max: 40 * 1024,
    },
    Case {
        name: "a section of 16 MiB with the wrong hash",
        archive: || Box::new(HEADER.chain(LARGEST).chain(io::Cursor::new(CID)).chain(io::repeat(0))),
        kibibytes_max: 40 * 1024,
    },
    Case {
        name: "a section that claims more than any number",
        archive: || Box::new(HEADER.chain(&[0xff; 9][..]).chain(io::repeat(1))),
        kibibytes_max: 6 * 1024,
    },
    Case {
        name: "the same empty block two million times",
        archive: || {
            // An identity CID of no bytes: four bytes, and a length of four.
            let one = [4, 1, 0x55, 0, 0];
            Box::new(HEADER.chain(io::Cursor::new(one.repeat(2_000_000))))
        },
        kibibytes_max: 32 * 1024,
    },
    Case {
        name: "a DAG-JSON block of 6 MiB of keys that are not in order",
        archive: || {
            let mut text = Vec::with_capacity(6 << 20);
            text.push(b'{');
            (0..600_000).rev().for_each(|n| text.extend(format!("\"{n:05x}\":0,").bytes()));
            text.pop();
            text.push(b'}');
            of_one_block(DAG_JSON, text)
        },
        kibibytes_max: 40 * 1024,
    },
    Case {
        name: "a DAG-JSON block of 6 MiB of lists that open",
        archive: || of_one_block(DAG_JSON, vec![b'['; 6 << 20]),
        kibibytes_max: 40 * 1024,
    },
    Case {
        name: "a DAG-PB block of 6 MiB whose last length is the largest number",
        archive: || {
            let data = vec![0x0a, 0xfb, 0xff, 0xff, 0x02];
            let end = [vec![0; (6 << 20) - 5], vec![0x12], vec![0xff; 9], vec![1]].concat();
            of_one_block(DAG_PB, [data, end].concat())
        },
        kibibytes_max: 40 * 1024,
    },
];

/// An archive of one block, which is its root.
fn of_one_block(codec: u64, data: Vec<u8>) -> Box<dyn Read> {
    let cid = cid_of(codec, &data).to_bytes();
    let link = [&[0x81, 0xd8, 0x2a, 0x58, u8::try_from(cid.len() + 1).expect("short"), 0], &cid[..]].concat();
    let header = [b"\xa2\x65roots", &link[..], b"\x67version\x01"].concat();
    let varint = |mut value: usize| {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push((value % 128) as u8 | 0x80);
            value /= 128;
        }
        bytes.push(value as u8);
        io::Cursor::new(bytes)
    };
    let section = varint(cid.len() + data.len()).chain(io::Cursor::new(cid)).chain(io::Cursor::new(data));
    Box::new(varint(header.len()).chain(io::Cursor::new(header)).chain(section))
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Not a test by itself: what the test below runs in another process.
#[test]
fn child() {
    let Ok(name) = env::var(CASE) else { return };
    let case = CASES.iter().find(|case| case.name == name).expect("a case");
    let store = MemoryStore::new();
    let archive = (case.archive)();
    let before = peak();
    // Of blocks that wait to be stored, two batches are held at most.
    let options = ImportOptions::new().complete(true).batch_bytes(8 * 1024 * 1024);
    let imported = car::import(&store, archive, &options, &mut unwatched);
    println!("\n{SAYS}{}", peak() - before);
    // What was followed was reached, or refused once its block was stored.
    assert!(
        !name.contains("DAG-")
            || imported.map_or_else(|error| error.kept().blocks == 1, |read| read.reached == Some(1))
    );
}

#[test]
fn hostile_archives_take_little_memory() {
    for case in CASES {
        let output = Command::new(env::current_exe().expect("this binary"))
            .args(["--exact", "memory::child", "--nocapture", "--test-threads=1"])
            .env(CASE, case.name)
            .output()
            .expect("start a process");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {text}", case.name);
        let grew = text.lines().find_map(|line| line.strip_prefix(SAYS)).expect("the child says it");
        let grew: u64 = grew.parse().expect("a number");
        eprintln!("{}: {grew} KiB", case.name);
        assert!(grew <= case.kibibytes_max, "{}: the process grew by {grew} KiB", case.name);
    }
}
