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
    /// Distributes pieces to packs, in order. The last pieces stay in the entry, if they are few. A pack that was dropped
    /// may be deleted at any time, so another one is made.
    pub(crate) fn pack(&mut self, pieces: &[Piece], is_dropped: impl Fn(&Digest) -> bool) -> Vec<Pack> {
        self.pack_until(pieces, |rest| fits(rest, INLINE_BYTES), is_dropped)
    }

    /// The same, and no piece stays in the entry.
    pub(crate) fn pack_all(&mut self, pieces: &[Piece], is_dropped: impl Fn(&Digest) -> bool) -> Vec<Pack> {
        self.pack_until(pieces, <[Piece]>::is_empty, is_dropped)
    }

    fn pack_until(
        &mut self,
        pieces: &[Piece],
        is_end: impl Fn(&[Piece]) -> bool,
        is_dropped: impl Fn(&Digest) -> bool,
    ) -> Vec<Pack> {
        let (mut packs, mut rest) = (Vec::new(), pieces);
        while !is_end(rest) {
            let counts = (1..=first_of(rest)).rev();
            let mut made = counts.filter_map(|count| rest.get(..count)).map(|pieces| self.make(pieces));
            // If each of them was dropped, the pieces stay in the entry.
            let Some(pack) = made.find(|pack| !is_dropped(&pack.digest)) else { break };
            rest = rest.get(pack.pieces.len()..).unwrap_or_default();
            packs.push(pack);
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

/// How many bytes a piece takes in an archive.
pub(crate) fn piece_bytes(cid: &Cid, bytes: u64) -> u64 {
    let section = (cid.encoded_len() as u64).saturating_add(bytes);
    let digits = (u64::BITS - section.leading_zeros()).div_ceil(7).max(1);
    section.saturating_add(u64::from(digits))
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
        let none = |_: &Digest| false;
        assert!(packer.pack(&pieces(12, 300), none).is_empty());
        assert!(packer.pack(&[], none).is_empty());
        let all = pieces(40, 1 << 20);
        let packs = packer.pack(&all, none);
        assert_eq!(packs.iter().map(|pack| pack.pieces.len()).collect::<Vec<_>>(), [15, 15, 10]);
        for pack in &packs {
            let bytes = pack.parts().concat();
            assert!(bytes.len() as u64 <= PACK_BYTES);
            assert_eq!(pack.digest[..], Sha256::digest(&bytes)[..]);
            let pieces = pack.pieces.iter().map(|(cid, data)| piece_bytes(cid, data.len() as u64));
            assert_eq!(bytes.len() as u64, header().len() as u64 + pieces.sum::<u64>());
        }
        // A block above the size of a pack has one of its own, and a small rest stays in the entry.
        let large = pieces(1, 20 << 20);
        let mixed: Vec<Piece> = [&pieces(1, 5)[..], &large, &pieces(1, 7)[..]].concat();
        assert_eq!(packer.pack(&mixed, none).iter().map(|pack| pack.pieces.len()).collect::<Vec<_>>(), [1, 1]);
        // The same pieces are not hashed again.
        let made = packer.made.len();
        assert_eq!(packer.pack(&all, none).first().map(|pack| pack.digest), packs.first().map(|pack| pack.digest));
        assert_eq!(packer.made.len(), made);
    }

    #[test]
    fn a_dropped_pack_is_not_made_again() {
        let mut packer = Packer::default();
        let all = pieces(20, 1 << 20);
        let counts = |packs: &[Pack]| packs.iter().map(|pack| pack.pieces.len()).collect::<Vec<_>>();
        let first = packer.pack(&all, |_| false);
        assert_eq!(counts(&first), [15, 5]);
        let dropped: Vec<Digest> = first.iter().map(|pack| pack.digest).collect();
        let second = packer.pack(&all, |digest| dropped.contains(digest));
        assert_eq!(counts(&second), [14, 6]);
        // One piece alone makes one pack, and stays in the entry if that was dropped.
        let one = pieces(1, 1 << 20);
        let dropped = packer.pack(&one, |_| false)[0].digest;
        assert!(packer.pack(&one, |digest| *digest == dropped).is_empty());
        assert_eq!(counts(&packer.pack_all(&pieces(3, 5), |_| false)), [3]);
    }
}
