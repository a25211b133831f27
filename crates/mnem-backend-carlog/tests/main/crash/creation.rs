//! A creator is killed at any call. Another process finishes the creation and commits. Then the power is cut.

use std::sync::Arc;

use mnem_backend_carlog::OpenOptions;
use mnem_crash_tests::{Chance, Cuts as _, Kill, Medium};
use mnem_store_traits::{Blockstore, Store};

use super::{
    disk::{Disk, ROOT},
    survivors::Image,
};
use crate::support::{Content, block, commits};

/// Every image that a power cut may leave now.
pub(crate) fn images(disk: &Disk) -> Vec<Image> {
    let mut cuts = disk.cuts();
    let last = cuts.entries();
    (0..cuts.ways(last)).map(|way| cuts.image(last, way, &mut Chance::new(0, way as u64)).0).collect()
}

/// Checks that in each of those images the store holds this content.
fn survives(disk: &Disk, expected: &Content, when: &str) {
    for image in images(disk) {
        let files = Arc::new(Disk::of(image, None).process());
        match OpenOptions::new().open_on(files, ROOT) {
            Ok(store) => assert_eq!(Content::of(&store), *expected, "{when}"),
            Err(error) => panic!("{when}: {error}: {:?}", error.kind()),
        }
    }
}

#[test]
fn a_power_cut_after_a_killed_creation_takes_nothing_that_the_next_handle_acknowledged() {
    for changes in 0.. {
        let disk = Disk::of(Image::default(), None);
        let creator = disk.process();
        creator.kill_during(Some(Kill::After(changes)));
        let created = OpenOptions::new().create(true).open_on(Arc::new(creator), ROOT);
        if created.is_ok() {
            assert!(changes > 10, "a creation has more than {changes} changes");
            return;
        }
        let store = OpenOptions::new().create(true).open_on(Arc::new(disk.process()), ROOT).unwrap();
        let expected = commits(&store, 1);
        survives(&disk, &expected, &format!("killed after {changes} changes"));
    }
}

/// The second creator finds the folder that the first one created, and overtakes it.
#[test]
fn a_creator_relies_on_no_other_one_for_the_entry_in_the_parent_folder() {
    let disk = Disk::of(Image::default(), None);
    let slow = disk.process();
    assert!(mnem_backend_carlog::files::Files::create_folder(&slow, ROOT.as_ref()).unwrap());
    let store = OpenOptions::new().create(true).open_on(Arc::new(disk.process()), ROOT).unwrap();
    let expected = commits(&store, 1);
    survives(&disk, &expected, "the first creator has not synced the parent folder");
    let (cid, _) = block(0);
    assert!(store.has(&cid).unwrap());
    store.close().unwrap();
}
