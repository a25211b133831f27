//! One store whose writers are killed one after the other.

use std::path::Path;

use mnem_storage::{Store, VerifyOptions, unwatched, verify_at};

use super::{Random, Scene, Tally, Work, operations, writer::open};

/// The number of killed writers of one store.
const KILLS: u64 = 6;

pub(super) fn live(scene: &Scene, backend: &'static str, work: Work, random: &mut Random, tally: &mut Tally) {
    let path = scene.path();
    let mut done = 0;
    for _ in 0..KILLS {
        let mut writer = scene.start(work, backend, &path, done);
        // Some are killed during the opening, some later.
        writer.listen(random.below(60).saturating_sub(10));
        let heard = scene.end(writer, 3_000, random, tally);
        done = heard.next.unwrap_or(done);
        if !path.exists() {
            assert_eq!(done, 0, "an acknowledged store is gone");
            continue;
        }
        match random.below(4) {
            // Nobody opens the store in between, so the next writer starts from the remains of this kill.
            0 => tally.in_a_row += 1,
            // An interrupted creation is not a store yet.
            1 if done > 0 => {
                assert_whole(&path);
                done = look(&path, backend, done, tally);
            }
            _ => done = look(&path, backend, done, tally),
        }
    }
    if path.exists() {
        look(&path, backend, done, tally);
    }
}

/// Opens the store, compares it, and writes to it.
fn look(path: &Path, backend: &'static str, done: u64, tally: &mut Tally) -> u64 {
    let store = open(path, backend);
    tally.landed_unsaid += u32::from(operations::check(&*store, done));
    operations::perform(&*store, done).expect("the store takes new operations");
    operations::check(&*store, done + 1);
    close(store);
    assert_whole(path);
    done + 1
}

fn close(store: std::sync::Arc<dyn Store>) {
    store.close().expect("close");
}

/// Checks that no head lacks its block, that every block matches its CID, and that everything can be read.
pub(super) fn assert_whole(path: &Path) {
    let report = verify_at(path, &VerifyOptions::new(), &mut unwatched).expect("verify");
    assert_eq!(report.fault_count, 0, "{:?}", report.faults);
}
