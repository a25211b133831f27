//! The CIDs of the index in little memory: 33 bytes instead of 96.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use mnem_store_traits::{
    Cid,
    cid::{Version, multihash::Multihash},
};

const DIGEST_BYTES: usize = 32;

/// The most kinds of CIDs whose keys hold the digest. A store has about a dozen; the bound keeps a search short. A kind
/// counts until the store is reopened, even if all its blocks are removed.
const KINDS_MAX: u8 = 32;

/// The kind of all other CIDs, whose keys hold a position in [`Keys::others`].
const OTHER: u8 = u8::MAX;

/// What the CIDs of one kind have in common. Their digests have 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    version: Version,
    codec: u64,
    hash: u64,
}

/// A CID that stands in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    kind: u8,
    digest: [u8; DIGEST_BYTES],
}

/// A CID to be found in the index, or to be added.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    Short(Key),
    Other(&'a Cid),
}

/// What the keys refer to. A kind that is known once stays, so a CID always leads to the same variant of [`Wanted`]
/// from the moment when it is added.
#[derive(Debug, Default)]
pub(super) struct Keys {
    kinds: Vec<Kind>,
    others: Vec<Cid>,
    hasher: RandomState,
}

impl Key {
    fn other(position: usize) -> Self {
        let mut digest = [0; DIGEST_BYTES];
        if let Some(start) = digest.first_chunk_mut() {
            *start = (position as u64).to_le_bytes();
        }
        Self { kind: OTHER, digest }
    }

    /// The position in [`Keys::others`].
    fn position(&self) -> Option<usize> {
        let (start, _) = self.digest.split_first_chunk()?;
        (self.kind == OTHER).then_some(u64::from_le_bytes(*start) as usize)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.digest);
        state.write_u8(self.kind);
    }
}

impl Keys {
    /// A CID to be found.
    pub(super) fn wanted<'a>(&self, cid: &'a Cid) -> Wanted<'a> {
        let short = parts_of(cid).and_then(|(kind, digest)| {
            let at = self.kinds.iter().position(|known| *known == kind)?;
            Some(Key { kind: at as u8, digest })
        });
        short.map_or(Wanted::Other(cid), Wanted::Short)
    }

    /// A CID to be added.
    pub(super) fn added<'a>(&mut self, cid: &'a Cid) -> Wanted<'a> {
        match parts_of(cid).and_then(|(kind, digest)| Some(Key { kind: self.number(kind)?, digest })) {
            Some(key) => Wanted::Short(key),
            None => Wanted::Other(cid),
        }
    }

    /// The bytes of a CID to be added, if its key holds the digest and no other bytes mean the same CID. Faster than to
    /// decode the CID.
    pub(super) fn added_bytes(&mut self, cid: &[u8]) -> Option<Wanted<'static>> {
        let [1, codec @ ..=0x7f, hash @ ..=0x7f, 32, digest @ ..] = cid else { return None };
        let digest = digest.try_into().ok()?;
        let kind = Kind { version: Version::V1, codec: u64::from(*codec), hash: u64::from(*hash) };
        Some(Wanted::Short(Key { kind: self.number(kind)?, digest }))
    }

    fn number(&mut self, kind: Kind) -> Option<u8> {
        let at = self.kinds.iter().position(|known| *known == kind).unwrap_or(self.kinds.len());
        if at == self.kinds.len() && at < usize::from(KINDS_MAX) {
            self.kinds.push(kind);
        }
        (at < self.kinds.len()).then_some(at as u8)
    }

    /// The key of a CID that is added.
    pub(super) fn key(&mut self, wanted: &Wanted<'_>) -> Key {
        match wanted {
            Wanted::Short(key) => *key,
            Wanted::Other(cid) => {
                self.others.push(**cid);
                Key::other(self.others.len() - 1)
            }
        }
    }

    /// Whether a key is that of a CID.
    pub(super) fn is(&self, key: &Key, wanted: &Wanted<'_>) -> bool {
        match wanted {
            Wanted::Short(wanted) => key == wanted,
            Wanted::Other(cid) => key.position().and_then(|at| self.others.get(at)).is_some_and(|other| other == *cid),
        }
    }

    pub(super) fn hash(&self, wanted: &Wanted<'_>) -> u64 {
        match wanted {
            Wanted::Short(key) => self.hasher.hash_one(key),
            Wanted::Other(cid) => self.hasher.hash_one(cid),
        }
    }

    pub(super) fn hash_of_key(&self, key: &Key) -> u64 {
        match key.position().and_then(|at| self.others.get(at)) {
            Some(cid) => self.hasher.hash_one(cid),
            None => self.hasher.hash_one(key),
        }
    }

    pub(super) fn cid(&self, key: &Key) -> Option<Cid> {
        if let Some(at) = key.position() {
            return self.others.get(at).copied();
        }
        let kind = self.kinds.get(usize::from(key.kind))?;
        let hash = Multihash::wrap(kind.hash, &key.digest).ok()?;
        Cid::new(kind.version, kind.codec, hash).ok()
    }

    /// Forgets the CIDs that are in none of these keys, which change.
    pub(super) fn keep<'a>(&mut self, keys: impl Iterator<Item = &'a mut Key>) {
        let mut others = Vec::new();
        for key in keys {
            if let Some(cid) = key.position().and_then(|at| self.others.get(at)) {
                *key = Key::other(others.len());
                others.push(*cid);
            }
        }
        self.others = others;
    }
}

fn parts_of(cid: &Cid) -> Option<(Kind, [u8; DIGEST_BYTES])> {
    let digest = cid.hash().digest().try_into().ok()?;
    Some((Kind { version: cid.version(), codec: cid.codec(), hash: cid.hash().code() }, digest))
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{DAG_PB, RAW, cid_of};

    use super::*;

    fn v1(codec: u64, hash: u64, digest: &[u8]) -> Cid {
        Cid::new_v1(codec, Multihash::wrap(hash, digest).unwrap())
    }

    /// CIDs that differ in one thing from each other, and more kinds than fit.
    fn cids() -> Vec<Cid> {
        let v0 = Cid::new_v0(*cid_of(DAG_PB, b"a").hash()).unwrap();
        let mut cids = vec![v0, cid_of(DAG_PB, b"a"), cid_of(RAW, b"a"), cid_of(RAW, b"b")];
        cids.extend([
            v1(RAW, 0x1e, &[7; 32]),
            v1(RAW, 0x12, &[7; 32]),
            v1(RAW, 0x12, &[7; 31]),
            v1(RAW, 0x12, &[7; 33]),
        ]);
        // The digest of the last ones begins like a position.
        cids.extend([v1(RAW, 0, &[]), v1(RAW, 0, &[1]), v1(RAW, 0x12, &[0; 32]), v1(RAW, 0x1e, &[0; 32])]);
        cids.extend((0..100).map(|codec| v1(0x300_0000 + codec, 0x12, &[7; 32])));
        cids.extend((0..100).map(|hash| v1(RAW, 0x300_0000 + hash, &[7; 32])));
        cids
    }

    #[test]
    fn keys_tell_cids_apart_and_lead_back_to_them() {
        let (mut keys, cids) = (Keys::default(), cids());
        let mut made = Vec::new();
        for cid in &cids {
            let wanted = keys.added(cid);
            let key = keys.key(&wanted);
            assert_eq!(keys.hash(&wanted), keys.hash_of_key(&key));
            made.push(key);
        }
        assert_eq!(keys.kinds.len(), usize::from(KINDS_MAX));
        let check = |keys: &Keys, made: &[Key], cids: &[Cid]| {
            for (cid, key) in cids.iter().zip(made) {
                let wanted = keys.wanted(cid);
                assert_eq!(keys.cid(key), Some(*cid));
                assert_eq!(keys.hash(&wanted), keys.hash_of_key(key));
                let found: Vec<_> = made.iter().filter(|key| keys.is(key, &wanted)).collect();
                assert_eq!(found, [key], "{cid}");
            }
        };
        check(&keys, &made, &cids);
        // Every second one goes.
        let odd = |n: &usize| n % 2 == 1;
        let mut made: Vec<Key> = made.into_iter().enumerate().filter_map(|(n, key)| odd(&n).then_some(key)).collect();
        let cids: Vec<Cid> = cids.into_iter().enumerate().filter_map(|(n, cid)| odd(&n).then_some(cid)).collect();
        keys.keep(made.iter_mut());
        assert!(keys.others.len() < cids.len());
        check(&keys, &made, &cids);
    }

    #[test]
    fn bytes_lead_to_the_key_of_the_cid_or_to_none() {
        let mut keys = Keys::default();
        let mut short = 0;
        for cid in cids() {
            let by_cid = keys.added(&cid);
            match (keys.added_bytes(&cid.to_bytes()), by_cid) {
                (Some(Wanted::Short(by_bytes)), Wanted::Short(by_cid)) => {
                    assert_eq!(by_bytes, by_cid);
                    short += 1;
                }
                (None, _) => {}
                wrong => panic!("{cid}: {wrong:?}"),
            }
        }
        assert!(short >= 6, "{short}");
        let whole = cid_of(RAW, b"a").to_bytes();
        for bytes in [&[][..], &whole[..35], &[&whole[..], b"x"].concat(), &[&[2], &whole[1..]].concat()] {
            assert!(keys.added_bytes(bytes).is_none());
        }
    }
}
