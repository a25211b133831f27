//! Packs: archives (CARv1) without roots that hold the blocks and values of a large commit. Each is named by its
//! SHA-256, so writing it again changes nothing, and its entry names it.

use mnem_car::{SectionOffsets, Writer};
use mnem_store_traits::{Bytes, Cid};
use sha2::{Digest as _, Sha256};

use crate::limits::{INLINE_BYTES, PACK_BYTES};

/// The SHA-256 of a pack.
pub(crate) type Digest = [u8; 32];

/// A block or value that is to be written.
pub(crate) type Piece = (Cid, Bytes);

/// A pack that is to be uploaded. Its bytes are made when that happens, so that they are not all in memory at once.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) digest: Digest,
    pub(crate) pieces: Vec<Piece>,
}

impl Pack {
    /// One after the other, these are its bytes.
    pub(crate) fn parts(&self) -> Vec<Bytes> {
        encode(&self.pieces)
    }
}

/// The packs that one call has made, with the CIDs of their pieces: after a lost slot, most of them serve again.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    made: Vec<(Vec<Cid>, Digest)>,
    pub(crate) uploaded: Vec<Digest>,
}

impl Packer {
    /// Distributes pieces to packs, in order. The last pieces stay in the entry, if they are few.
    pub(crate) fn pack(&mut self, pieces: &[Piece]) -> Vec<Pack> {
        let (mut packs, mut rest) = (Vec::new(), pieces);
        while !fits(rest, INLINE_BYTES) {
            let count = first_of(rest);
            let Some((pieces, others)) = rest.split_at_checked(count) else { break };
            packs.push(self.make(pieces));
            rest = others;
        }
        packs
    }

    fn make(&mut self, pieces: &[Piece]) -> Pack {
        let cids = || pieces.iter().map(|(cid, _)| cid);
        let made = self.made.iter().find(|(made, _)| made.iter().eq(cids()));
        let digest = made.map(|(_, digest)| *digest).unwrap_or_else(|| {
            let mut sum = Sha256::new();
            encode(pieces).iter().for_each(|part| sum.update(part));
            sum.finalize().into()
        });
        if made.is_none() {
            self.made.push((cids().copied().collect(), digest));
        }
        Pack { digest, pieces: pieces.to_vec() }
    }
}

fn bytes_of((_, data): &Piece) -> u64 {
    (SectionOffsets::START_BYTES_MAX + data.len()) as u64
}

fn fits(pieces: &[Piece], limit: u64) -> bool {
    pieces.iter().try_fold(0, |sum, piece| Some(sum + bytes_of(piece)).filter(|sum| *sum <= limit)).is_some()
}

/// How many pieces the next pack has, at least one.
fn first_of(pieces: &[Piece]) -> usize {
    let mut bytes = 0;
    let fitting = pieces.iter().take_while(|piece| {
        bytes += bytes_of(piece);
        bytes <= PACK_BYTES
    });
    fitting.count().max(1)
}

fn encode(pieces: &[Piece]) -> Vec<Bytes> {
    let mut start = header();
    let mut parts = Vec::with_capacity(2 * pieces.len());
    for (cid, data) in pieces {
        SectionOffsets::write_start(cid, data.len() as u64, 0, &mut start);
        // Small pieces share a part.
        if data.len() < SHARED_BYTES {
            start.extend_from_slice(data);
        } else {
            parts.push(Bytes::from(std::mem::take(&mut start)));
            parts.push(data.clone());
        }
    }
    if !start.is_empty() {
        parts.push(start.into());
    }
    parts
}

/// Pieces below this size are copied when they are written.
const SHARED_BYTES: usize = 64 * 1024;

/// What a pack begins with: the header of an archive without roots.
pub(crate) fn header() -> Vec<u8> {
    // Writing to memory cannot fail, and no roots are few enough.
    Writer::new(Vec::new(), &[]).and_then(Writer::finish).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{RAW, cid_of};

    use super::*;

    fn pieces(count: u32, bytes: usize) -> Vec<Piece> {
        let piece = |n: u32| {
            let mut data = vec![0; bytes];
            data[..4].copy_from_slice(&n.to_be_bytes());
            (cid_of(RAW, &data), Bytes::from(data))
        };
        (0..count).map(piece).collect()
    }

    #[test]
    fn large_commits_are_packed_and_small_ones_are_not() {
        let mut packer = Packer::default();
        assert!(packer.pack(&pieces(12, 300)).is_empty());
        assert!(packer.pack(&[]).is_empty());
        let all = pieces(40, 1 << 20);
        let packs = packer.pack(&all);
        assert_eq!(packs.iter().map(|pack| pack.pieces.len()).collect::<Vec<_>>(), [15, 15, 10]);
        for pack in &packs {
            let bytes = pack.parts().concat();
            assert!(bytes.len() as u64 <= PACK_BYTES);
            assert_eq!(pack.digest[..], Sha256::digest(&bytes)[..]);
        }
        // A block above the size of a pack has one of its own, and a small rest stays in the entry.
        let large = pieces(1, 20 << 20);
        let mixed: Vec<Piece> = [&pieces(1, 5)[..], &large, &pieces(1, 7)[..]].concat();
        assert_eq!(packer.pack(&mixed).iter().map(|pack| pack.pieces.len()).collect::<Vec<_>>(), [1, 1]);
        // The same pieces are not hashed again.
        let made = packer.made.len();
        assert_eq!(packer.pack(&all).first().map(|pack| pack.digest), packs.first().map(|pack| pack.digest));
        assert_eq!(packer.made.len(), made);
    }
}
