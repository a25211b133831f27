//! A backend that implements only the required methods keeps every law: the defaults are right.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ops::Bound,
    process::Command,
    sync::{Arc, Mutex, MutexGuard},
};

use mnem_store_traits::{
    Blockstore, Bytes, Cid, CidIter, HeadChange, OpHeadsStore, Store, StoreError,
    backend::{check_block, check_read, check_size, pages},
    conformance::{Fixture, FixtureError, Handles, Options, Verdict, run},
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

#[derive(Debug, Default)]
struct Minimal {
    blocks: Mutex<BTreeMap<Cid, Bytes>>,
    heads: Mutex<BTreeSet<Cid>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Blockstore for Minimal {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let data = lock(&self.blocks).get(cid).cloned();
        data.map(|data| check_read("minimal", cid, &data).map(|()| data)).transpose()
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        check_block(cid, &data)?;
        lock(&self.blocks).entry(*cid).or_insert(data);
        Ok(())
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        lock(&self.blocks).remove(cid);
        Ok(())
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        Ok(pages(|after: Option<Cid>| {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let blocks = lock(&self.blocks);
            Ok(blocks.range((start, Bound::Unbounded)).map(|(cid, _)| *cid).take(100).collect())
        }))
    }
}

impl OpHeadsStore for Minimal {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        Ok(lock(&self.heads).iter().copied().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let mut heads = lock(&self.heads);
        *heads = HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() }.apply(&heads)?;
        Ok(())
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        let mut heads = lock(&self.heads);
        *heads = HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] }.apply(&heads)?;
        Ok(())
    }
}

impl Store for Minimal {}

struct MinimalFixture;

impl Fixture for MinimalFixture {
    type Place = ();

    fn name(&self) -> &str {
        "minimal"
    }

    fn create(&self) -> Result<(), FixtureError> {
        Ok(())
    }

    fn open(&self, (): &()) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(Minimal::default())))
    }
}

mnem_store_traits::conformance_tests!(minimal, MinimalFixture);

/// The same backend, offering only its blocks or only its heads. Each conforms to its profile.
struct Blocks;

impl Fixture for Blocks {
    type Place = ();

    fn name(&self) -> &str {
        "minimal, blocks only"
    }

    fn create(&self) -> Result<(), FixtureError> {
        Ok(())
    }

    fn open(&self, (): &()) -> Result<Handles, FixtureError> {
        Ok(Handles::blocks(Arc::new(Minimal::default())))
    }
}

struct Heads;

impl Fixture for Heads {
    type Place = ();

    fn name(&self) -> &str {
        "minimal, heads only"
    }

    fn create(&self) -> Result<(), FixtureError> {
        Ok(())
    }

    fn open(&self, (): &()) -> Result<Handles, FixtureError> {
        Ok(Handles::heads(Arc::new(Minimal::default())))
    }
}

mnem_store_traits::conformance_tests!(blocks_only, Blocks, has: [Blocks, Limits]);
mnem_store_traits::conformance_tests!(heads_only, Heads, has: [Heads]);

/// The tests ignore exactly the laws that the report declines.
#[test]
fn the_tests_of_declined_laws_are_ignored() {
    // Some laws of every group, in all of their modes.
    const SOME: [&str; 8] = [
        "put_twice",
        "heads::update_",
        "commit_with",
        "side_table_names",
        "ways::",
        "persistence::",
        "faults::",
        "driver::",
    ];
    fn declined<F: Fixture>(name: &str, fixture: fn() -> F) -> BTreeSet<String> {
        let reports = SOME.map(|some| run(fixture(), &Options::default().only(some)));
        let entries = reports.iter().flat_map(|report| &report.entries);
        let declined = entries.filter(|entry| matches!(entry.verdict, Verdict::Declined(_)));
        declined.map(|entry| format!("{name}::{}", entry.law.path_in(entry.mode))).collect()
    }
    let listed = Command::new(env::current_exe().unwrap()).args(["--list", "--ignored"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let ignored: BTreeSet<String> =
        tests.filter(|test| SOME.iter().any(|some| test.contains(some))).map(str::to_owned).collect();
    let mut expected = declined("minimal", || MinimalFixture);
    expected.extend(declined("blocks_only", || Blocks));
    expected.extend(declined("heads_only", || Heads));
    let wrong: Vec<_> = ignored.symmetric_difference(&expected).collect();
    assert!(wrong.is_empty() && ignored.len() > 300, "of {} ignored tests, these differ: {wrong:#?}", ignored.len());
}

/// For each capability that it does not claim, the report says that it was refused, or that it cannot be observed.
#[test]
fn a_report_says_what_is_not_claimed() {
    let report = run(MinimalFixture, &Options::default().only("store::")).to_string();
    for line in [
        "declines  side_tables: not claimed, and refused as it must be: store::side_tables_are_offered_where_claimed\n",
        "declines  atomic_commit: not claimed: not observable from outside, and callers must not rely on it\n",
        "declines  durability of heads >= Process: not claimed: not observable from outside",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}
