//! A real service, which `cargo xtask bucket` starts: the laws, and processes that write at the same time.

use std::{
    collections::BTreeSet,
    env,
    process::{Command, Stdio, id},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use mnem_backend_bucket::{BucketStore, OpenOptions};
use mnem_store_traits::{
    Blockstore, Bytes, Cid, DAG_CBOR, OpHeadsStore, Store, WriteBatch, cid_of,
    conformance::{self, Fixture, FixtureError, Handles, Options, Profile, as_second_process, in_second_process},
    links,
};

/// The URL of a prefix for the stores of these tests.
const URL: &str = "MNEM_BUCKET_URL";

/// The store of a writing process, and its number.
const WRITER: &str = "MNEM_BUCKET_WRITER";

const WRITERS: usize = 8;
const COMMITS: usize = 40;

/// A place below the prefix that no other test has.
fn place() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let url = env::var(URL).unwrap_or_else(|_| panic!("{URL} is not set: run `cargo xtask bucket`"));
    let (prefix, query) = url.split_once('?').unwrap_or((&url, ""));
    format!("{prefix}/{}-{}?{query}", id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn open(url: &str) -> BucketStore {
    OpenOptions::new().create(true).lease(Duration::from_millis(20)).open(url).unwrap()
}

struct Service;

impl Fixture for Service {
    type Place = String;

    fn name(&self) -> &str {
        "bucket in a service"
    }

    fn create(&self) -> Result<String, FixtureError> {
        Ok(place())
    }

    fn open(&self, place: &String) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(open(place))))
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle, Profile::SecondProcess]
    }

    fn latency_hint(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn obey_in_second_process(&self, place: &String, script: &str) -> Result<String, FixtureError> {
        in_second_process("service::second_process", place, script)
    }
}

#[test]
fn second_process() {
    as_second_process(|place| Ok(Handles::from(Arc::new(open(place.to_str().ok_or("not a URL")?)))));
}

#[test]
#[ignore = "needs a service: `cargo xtask bucket` starts one"]
fn laws() {
    let only = env::var("MNEM_BUCKET_ONLY").unwrap_or_default();
    let report = conformance::run(Service, &Options::default().only(only));
    println!("{report}");
    assert!(report.is_ok());
}

/// A DAG-CBOR list of the writer's number, the commit's number, and links to the heads that it replaces.
fn operation(writer: usize, commit: usize, heads: &[Cid]) -> Bytes {
    let mut data = vec![0x83, 0x18, writer as u8, 0x18, commit as u8, 0x80 + heads.len() as u8];
    for cid in heads {
        data.extend_from_slice(b"\xd8\x2a\x58\x25\x00");
        data.extend_from_slice(&cid.to_bytes());
    }
    data.into()
}

#[test]
#[ignore = "is one of the processes of `processes_lose_no_head`"]
fn writer() {
    let Ok(task) = env::var(WRITER) else { return };
    let (number, url) = task.split_once(' ').unwrap();
    let (number, store) = (number.parse::<usize>().unwrap() + 24, open(url));
    for commit in 24..24 + COMMITS {
        let heads = store.heads().unwrap();
        let data = operation(number, commit, &heads);
        let op = cid_of(DAG_CBOR, &data);
        store.commit(WriteBatch::new().put(op, data).update(op, heads)).unwrap();
    }
    store.close().unwrap();
}

#[test]
#[ignore = "needs a service: `cargo xtask bucket` starts one"]
fn processes_lose_no_head() {
    let url = place();
    let store = open(&url);
    let program = env::current_exe().unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let mut command = Command::new(&program);
            command.args(["service::writer", "--exact", "--ignored"]).env(WRITER, format!("{number} {url}"));
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    writers.into_iter().for_each(|mut writer| assert!(writer.wait().unwrap().success()));
    let mut pending = store.heads().unwrap();
    let mut reached = BTreeSet::new();
    while let Some(cid) = pending.pop() {
        if reached.insert(cid) {
            pending.extend(links(&cid, &store.get(&cid).unwrap().unwrap()).unwrap());
        }
    }
    assert_eq!(reached.len(), WRITERS * COMMITS);
    assert_eq!(store.log_entries().unwrap(), (WRITERS * COMMITS) as u64);
}
