//! After a power cut, the index files match the manifest, so that no opening reads the whole log.

use std::{path::Path, sync::Arc};

use mnem_backend_carlog::OpenOptions;
use mnem_crash_tests::{Chance, Cuts as _, Medium};
use mnem_store_traits::Store;

use super::{
    disk::{Disk, ROOT},
    survivors::Image,
};
use crate::support::commit;

/// The bytes of a file of the store.
fn file<'a>(image: &'a Image, name: &str) -> Option<&'a [u8]> {
    image.names.get(&Path::new(ROOT).join(name)).map(|file| &image.files[*file][..])
}

/// Checks that each index file in the manifest is complete. Returns their number.
fn check(image: &Image, when: &str) -> usize {
    let Some(manifest) = file(image, "manifest") else { return 0 };
    let names = str::from_utf8(manifest).unwrap().lines().filter_map(|line| {
        let (kind, number) = line.split_once(' ')?;
        matches!(kind, "run" | "rows").then(|| format!("{kind}-{:06}", number.parse::<u64>().unwrap()))
    });
    names
        .map(|name| {
            let bytes = file(image, &name).unwrap_or_else(|| panic!("{when}: {name} is missing"));
            assert!(bytes.starts_with(b"mnemR") || bytes.starts_with(b"mnemT"), "{when}: {name} has no header");
            assert!(bytes.starts_with(b"mnemT") || bytes.len().is_multiple_of(4096), "{when}: {name} is cut off");
        })
        .count()
}

#[test]
fn every_power_cut_leaves_the_files_that_its_manifest_names() {
    let disk = Disk::of(Image::default(), None);
    let open = || {
        let options = OpenOptions::new().create(true).index_bounds(4, 1_500).index_thread(false);
        options.open_on(Arc::new(disk.process()), ROOT).unwrap()
    };
    for n in 0..3 {
        let store = open();
        (0..12).for_each(|at| commit(&store, 12 * n + at));
        store.side_table("t").unwrap().write(&[(vec![n as u8].into(), "v".into())], &[]).unwrap();
        store.close().unwrap();
    }
    let (mut cuts, mut named) = (disk.cuts(), 0);
    for cut in 0..=cuts.entries() {
        for way in 0..cuts.ways(cut) {
            let (image, _) = cuts.image(cut, way, &mut Chance::new(cut as u64, way as u64));
            named += check(&image, &format!("cut {cut}, way {way}"));
        }
    }
    assert!(named > 1_000, "{named}");
}
