//! The filter of an index run: it rules out most fingerprints that the run does not have.
//!
//! It is a split block Bloom filter: each fingerprint sets one bit in each of the eight words of one block.

use super::page::PAYLOAD_BYTES;

const WORDS: usize = 8;
pub(crate) const BLOCK_BYTES: usize = WORDS * size_of::<u32>();

/// The number of blocks in a page. The rest of the page is zeros.
pub(crate) const BLOCKS_A_PAGE: usize = PAYLOAD_BYTES / BLOCK_BYTES;

const BITS_A_KEY: u64 = 10;

/// Odd numbers that spread a fingerprint over the words of a block. They are those of the Parquet format.
const SALTS: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// The number of blocks in a filter for `keys` fingerprints.
pub(crate) fn blocks_for(keys: u64) -> u64 {
    (keys * BITS_A_KEY).div_ceil(BLOCK_BYTES as u64 * 8).max(1)
}

/// The block of a fingerprint, in a filter of so many blocks.
pub(crate) fn block_of(fingerprint: u64, blocks: u64) -> u64 {
    ((u128::from(fingerprint) * u128::from(blocks)) >> 64) as u64
}

fn bits(fingerprint: u64) -> [u32; WORDS] {
    // The upper half has selected the block.
    SALTS.map(|salt| 1 << ((fingerprint as u32).wrapping_mul(salt) >> 27))
}

/// Whether the block may contain the fingerprint.
pub(crate) fn may_have(block: &[u8], fingerprint: u64) -> bool {
    let (words, _) = block.as_chunks::<4>();
    words.iter().zip(bits(fingerprint)).all(|(word, bit)| u32::from_le_bytes(*word) & bit != 0)
}

/// A filter that is being built.
#[derive(Debug)]
pub(crate) struct Filter(Vec<[u32; WORDS]>);

impl Filter {
    pub(crate) fn new(blocks: u64) -> Self {
        Self(vec![[0; WORDS]; usize::try_from(blocks).unwrap_or(usize::MAX)])
    }

    pub(crate) fn insert(&mut self, fingerprint: u64) {
        let at = block_of(fingerprint, self.0.len() as u64) as usize;
        if let Some(block) = self.0.get_mut(at) {
            block.iter_mut().zip(bits(fingerprint)).for_each(|(word, bit)| *word |= bit);
        }
    }

    /// The payloads of its pages.
    pub(crate) fn pages(&self) -> impl Iterator<Item = Vec<u8>> {
        self.0.chunks(BLOCKS_A_PAGE).map(|blocks| blocks.iter().flatten().flat_map(|word| word.to_le_bytes()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform numbers, as fingerprints are.
    fn fingerprint(n: u64) -> u64 {
        let mut x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    #[test]
    fn what_was_inserted_is_found_and_few_others_are() {
        let keys = 20_000;
        let blocks = blocks_for(keys);
        let mut filter = Filter::new(blocks);
        (0..keys).for_each(|n| filter.insert(fingerprint(n)));
        let pages: Vec<_> = filter.pages().collect();
        let may_have = |fingerprint| {
            let block = block_of(fingerprint, blocks) as usize;
            let page = &pages[block / BLOCKS_A_PAGE];
            may_have(&page[block % BLOCKS_A_PAGE * BLOCK_BYTES..][..BLOCK_BYTES], fingerprint)
        };
        assert!((0..keys).all(|n| may_have(fingerprint(n))));
        let wrong = (keys..10 * keys).filter(|n| may_have(fingerprint(*n))).count() as u64;
        assert!(wrong > 0 && wrong < 9 * keys / 50, "{wrong} of {}", 9 * keys);
    }
}
