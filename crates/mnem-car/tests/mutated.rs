//! The example archive with bytes changed at random: any result except a panic, a hang, or two readings that differ.

use mnem_car::{CarFault, Writer};
use proptest::{collection::vec, prelude::*};

use crate::fixtures::{animals, read_with};

const PREFIX_BYTES: usize = 64 * 1024;

/// Smaller than the largest block of the example archive.
const BLOCK_BYTES_MAX: u64 = 1024;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_archives_are_errors_or_legal(
        // Half of the changes are near the start, where the header and the first lengths are.
        changes in vec((prop_oneof![0..200_usize, 0..PREFIX_BYTES], any::<u8>()), 1..6),
        keep in prop_oneof![3 => Just(PREFIX_BYTES), 1 => 1..PREFIX_BYTES],
    ) {
        let mut archive = animals();
        archive.truncate(PREFIX_BYTES);
        for (at, byte) in changes {
            archive[at] = byte;
        }
        archive.truncate(keep);
        let found = read_with(&archive, BLOCK_BYTES_MAX, false);
        if let Some((fault, section_offset, offset)) = &found.fault {
            prop_assert!(section_offset <= offset && *offset <= archive.len() as u64, "{}", fault);
            prop_assert_ne!(fault, &CarFault::Empty);
        }
        // The encoding is canonical: writing the blocks again must give the same bytes.
        let mut writer = Writer::new(Vec::new(), &found.roots).expect("a header");
        for (cid, data) in &found.blocks {
            prop_assert!(data.len() as u64 <= BLOCK_BYTES_MAX);
            writer.write(cid, data).expect("a section");
        }
        if found.version == 1 {
            prop_assert_eq!(&archive[..found.end as usize], &writer.finish().expect("an archive")[..]);
        }
    }
}
