//! Each call to the file system fails in turn, in a fixed workload. The error states the true outcome, a failed sync
//! poisons the handle, and acknowledged work survives reopening and a power cut.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_crash_tests::Medium;
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Outcome, Store, StoreError, WriteBatch};

use super::{
    creation::images,
    disk::{Call, Disk, Process, ROOT},
    survivors::Image,
};
use crate::support::{Content, block};

/// The content of a store, including the rows of its side table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    content: Content,
    rows: BTreeMap<Bytes, Bytes>,
}

impl Held {
    pub(super) fn read(store: &CarlogStore) -> Result<Self, StoreError> {
        let content = Content::read(store)?;
        let table = store.side_table("t")?;
        let keys = table.keys(b"")?.collect::<Result<Vec<_>, _>>()?;
        let value = |key: Bytes| table.get(&key).map(|value| (key, value.expect("a listed key has a value")));
        Ok(Self { content, rows: keys.into_iter().map(value).collect::<Result<_, _>>()? })
    }
}

/// One writing call.
#[derive(Clone, Copy, Debug)]
enum Step {
    Commit(u32),
    Put(u32),
    Delete(u32),
    Row(u8),
    /// Three blocks from this number on, and the first one again.
    Adopt(u32),
    Compact,
}

/// These fill several segments of 1,000 bytes.
const STEPS: &[Step] = &[
    Step::Commit(0),
    Step::Put(20),
    Step::Row(1),
    Step::Commit(41),
    Step::Delete(20),
    Step::Put(48),
    Step::Row(2),
    Step::Commit(21),
    Step::Delete(0),
    Step::Row(1),
    Step::Adopt(17),
    Step::Compact,
    Step::Commit(46),
    Step::Delete(48),
    Step::Compact,
    Step::Put(15),
];

impl Step {
    fn perform(self, store: &CarlogStore) -> Result<(), StoreError> {
        match self {
            Self::Commit(n) => {
                let (cid, data) = block(n);
                let heads = store.heads()?;
                store.commit(WriteBatch::new().put(cid, data).update(cid, heads))
            }
            Self::Put(n) => store.put(&block(n).0, block(n).1),
            Self::Delete(n) => store.delete(&block(n).0),
            Self::Row(n) => store.side_table("t")?.write(&[(vec![n].into(), block(n.into()).1)], &[]),
            Self::Adopt(n) => store.adopt(&(n..n + 3).chain([n]).map(block).collect::<Vec<_>>()).map(drop),
            Self::Compact => store.compact().map(drop),
        }
    }

    fn apply(self, held: &mut Held) {
        match self {
            Self::Commit(n) => {
                held.content.blocks.insert(block(n).0);
                held.content.heads = vec![block(n).0];
            }
            Self::Put(n) => drop(held.content.blocks.insert(block(n).0)),
            Self::Delete(n) => drop(held.content.blocks.remove(&block(n).0)),
            Self::Row(n) => drop(held.rows.insert(vec![n].into(), block(n.into()).1)),
            Self::Adopt(n) => held.content.blocks.extend((n..n + 3).map(|n| block(n).0)),
            Self::Compact => {}
        }
    }
}

fn open(process: &Process) -> Result<CarlogStore, StoreError> {
    let options = OpenOptions::new().create(true).segment_bytes(1_000).index_bounds(2, 600).index_thread(false);
    options.open_on(Arc::new(process.clone()), ROOT)
}

/// Whether a call maintains the index. Its failure must fail no step, because the log holds everything that the index
/// does.
fn is_of_index(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    ["run-", "rows-", "manifest"].iter().any(|prefix| name.starts_with(prefix))
}

/// Adds the contents that the store may have after a step.
fn note(possible: &mut Vec<Held>, step: Step, result: &Result<(), StoreError>) {
    let mut after = possible.clone();
    after.iter_mut().for_each(|held| step.apply(held));
    match result.as_ref().map_err(StoreError::outcome) {
        Ok(()) => *possible = after,
        Err(Outcome::NotApplied) => {}
        Err(Outcome::Unknown) => possible.extend(after),
    }
}

/// Performs the steps and closes the store. Returns the contents that it may have then.
fn work(process: &Process, store: &CarlogStore, when: &str) -> Vec<Held> {
    let mut possible = vec![Held::default()];
    let mut is_poisoned = false;
    for step in STEPS {
        let had_failed = process.failed().is_some();
        let result = step.perform(store);
        if is_poisoned {
            let kind = result.as_ref().map_err(StoreError::kind);
            assert_eq!(kind, Err(ErrorKind::Poisoned), "{when}: {step:?} after a failed sync");
        }
        if let Err(error) = &result {
            assert!(is_told(error.kind()), "{when}: {step:?}: {error:?}");
        }
        note(&mut possible, *step, &result);
        match process.failed() {
            Some((call, path)) if !had_failed => {
                // The segments of a failed compaction are removed.
                let is_given_up = matches!(step, Step::Compact) && path != Path::new(ROOT);
                is_poisoned = call == Call::Sync && !is_of_index(&path) && !is_given_up;
                // If a segment cannot be removed, the next writer removes it.
                let may_stay = is_given_up && call == Call::Change;
                let may_pass = is_of_index(&path) || may_stay || (call == Call::Sync && path == Path::new(ROOT));
                assert!(result.is_err() || may_pass, "{when}: {step:?} hides a failed call");
            }
            _ => {}
        }
        if process.failed().is_some() {
            let held = Held::read(store).unwrap();
            assert!(possible.contains(&held), "{when}: {step:?}: {held:?}");
        }
    }
    let _ = store.close();
    possible
}

fn is_told(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Backend | ErrorKind::Poisoned)
}

/// Opens the store in a new process and continues to work.
fn goes_on(disk: &Disk, possible: &[Held], when: &str) {
    let store = open(&disk.process()).unwrap_or_else(|error| panic!("{when}: opened again: {error}"));
    let mut held = Held::read(&store).unwrap();
    assert!(possible.contains(&held), "{when}: opened again: {held:?}");
    // Before anything is written: what the opening removed was not needed.
    for image in images(disk) {
        let survivor = Disk::of(image, None);
        let store = open(&survivor.process());
        let store = store.unwrap_or_else(|error| panic!("{when}: a power cut after opening again: {error}"));
        let held = Held::read(&store).unwrap();
        assert!(possible.contains(&held), "{when}: a power cut after opening again: {held:?}");
    }
    let steps = [Step::Commit(30), Step::Row(3), Step::Put(47), Step::Row(3), Step::Compact, Step::Commit(49)];
    for step in steps {
        step.perform(&store).unwrap();
        step.apply(&mut held);
    }
    for image in images(disk) {
        let survivor = Disk::of(image, None);
        let store = OpenOptions::new().open_on(Arc::new(survivor.process()), ROOT);
        let store = store.unwrap_or_else(|error| panic!("{when}: after a power cut: {error}: {:?}", error.kind()));
        assert_eq!(Held::read(&store).unwrap(), held, "{when}: after a power cut");
    }
}

#[test]
fn a_failing_call_loses_nothing_that_was_acknowledged() {
    for call in 0.. {
        let disk = Disk::of(Image::default(), None);
        let process = disk.process();
        process.fail_at(call);
        let opened = open(&process);
        let possible = match &opened {
            Ok(store) => work(&process, store, &format!("call {call}")),
            Err(_) => vec![Held::default()],
        };
        drop(opened);
        let Some((kind, path)) = process.failed() else {
            assert!(call > 60, "the workload has only {call} calls");
            return;
        };
        goes_on(&disk, &possible, &format!("call {call}, a {kind:?} of {}", path.display()));
    }
}

/// For a reader beside a writer, a failing call is an error and never an absence.
#[test]
fn a_reader_whose_call_fails_says_so() {
    for call in 0.. {
        let disk = Disk::of(Image::default(), None);
        let store = open(&disk.process()).unwrap();
        let process = disk.process();
        process.fail_at(call);
        let reader = OpenOptions::new().read_only(true).open_on(Arc::new(process.clone()), ROOT);
        let mut held = Held::default();
        for step in STEPS {
            step.perform(&store).unwrap();
            step.apply(&mut held);
            match reader.as_ref().map(Held::read) {
                Ok(Ok(found)) => assert_eq!(found, held, "call {call}: {step:?}"),
                Ok(Err(error)) => assert!(is_told(error.kind()), "call {call}: {step:?}: {error:?}"),
                Err(error) => assert!(is_told(error.kind()), "call {call}: {error:?}"),
            }
        }
        if process.failed().is_none() {
            assert!(process.calls() > 60);
            return;
        }
    }
}
