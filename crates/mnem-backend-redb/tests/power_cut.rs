//! Power cuts: any part of the unsynced writes may be on the disk.

use mnem_backend_redb::{CommitDurability, OpenOptions};
use mnem_store_traits::{Blockstore, Cid, OpHeadsStore, Store, WriteBatch};

use crate::support::{Change, FakeMedium, block, next};

const SEED: u64 = 4_077;
const CUTS: usize = 60;

/// Commits, each with a block and a head that replaces all others, and the number of changes of the disk when each
/// returned `Ok`.
struct History {
    changes: Vec<Change>,
    acknowledged: Vec<(usize, Cid)>,
}

fn commit(medium: &FakeMedium, store: &impl Store, history: &mut Vec<(usize, Cid)>) {
    let (cid, data) = block(history.len() as u64);
    let heads = store.heads().expect("heads");
    store.commit(WriteBatch::new().put(cid, data).swap(heads, cid)).expect("commit");
    history.push((medium.changes().len(), cid));
}

/// Commits, a kill, a recovery, more commits, a clean close, an open, more commits.
fn history(options: &OpenOptions) -> History {
    let medium = FakeMedium::default();
    let mut acknowledged = Vec::new();
    let open = || options.open_medium(medium.clone(), "medium").expect("open");
    let killed = open();
    for _ in 0..8 {
        commit(&medium, &killed, &mut acknowledged);
    }
    // A killed process closes nothing.
    std::mem::forget(killed);
    for _ in 0..2 {
        let store = open();
        for _ in 0..8 {
            commit(&medium, &store, &mut acknowledged);
        }
        store.close().expect("close");
    }
    History { changes: medium.changes(), acknowledged }
}

/// A possible disk after the first `cut` changes and a power cut.
fn disk(changes: &[Change], cut: usize, state: &mut u64) -> Vec<u8> {
    let synced = changes[..cut].iter().rposition(|change| matches!(change, Change::Sync)).unwrap_or(0);
    let mut bytes = Vec::new();
    changes[..synced].iter().for_each(|change| change.apply(&mut bytes));
    for change in &changes[synced..cut] {
        match next(state) % 3 {
            0 => {}
            1 => change.apply(&mut bytes),
            _ => torn(change, state).apply(&mut bytes),
        }
    }
    bytes
}

/// A write of which only some sectors survived.
fn torn(change: &Change, state: &mut u64) -> Change {
    match change {
        Change::Write(offset, data) => {
            let sectors = data.len() / 512;
            let kept = if sectors == 0 { data.len() } else { (next(state) as usize % (sectors + 1)) * 512 };
            Change::Write(*offset, data[..kept].to_vec())
        }
        other => other.clone(),
    }
}

fn check(options: &OpenOptions) {
    let history = history(options);
    let first = history.acknowledged[0].0;
    let mut state = SEED;
    for round in 0..CUTS {
        let cut = first + next(&mut state) as usize % (history.changes.len() - first + 1);
        let bytes = disk(&history.changes, cut, &mut state);
        let acknowledged = history.acknowledged.iter().take_while(|(changes, _)| *changes <= cut).count();
        let context = format!("seed {SEED}, round {round}, {options:?}, cut at {cut} of {}", history.changes.len());
        let store =
            options.open_medium(FakeMedium::of(bytes), "medium").unwrap_or_else(|error| panic!("{context}: {error:?}"));
        let heads = store.heads().expect("heads");
        let may_be: Vec<Cid> = history.acknowledged[acknowledged - 1..].iter().take(2).map(|(_, cid)| *cid).collect();
        assert!(heads.len() == 1 && may_be.contains(&heads[0]), "{context}: an acknowledged head was lost");
        for (n, (_, cid)) in history.acknowledged.iter().enumerate() {
            let here = store.get(cid).expect("get").is_some();
            assert!(here || n >= acknowledged, "{context}: block {n} was acknowledged and is lost");
            assert!(here || heads[0] != *cid, "{context}: a head without its block");
        }
    }
}

#[test]
fn two_phase_commits_survive() {
    check(&FakeMedium::options());
}

#[test]
fn one_phase_commits_survive() {
    check(&FakeMedium::options().durability(CommitDurability::OnePhase));
}

#[test]
fn commits_with_fast_recovery_survive() {
    check(&FakeMedium::options().fast_recovery(true));
}
