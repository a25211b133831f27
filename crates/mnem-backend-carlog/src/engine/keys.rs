//! The file `format`: which format this is, and the store's secrets. It never changes.

use std::{hash::Hasher as _, io};

use mnem_store_traits::Cid;
use siphasher::sip::SipHasher13;

use super::sealed::{hex, seal, unhex, unseal};

/// The name of the format, without its version.
pub(crate) const FORMAT_NAME: &str = "mnem-backend-carlog";

/// The version that this build reads and writes.
pub(crate) const FORMAT_VERSION: &str = "1";

/// Room for nearly every CID in its binary form.
const CID_BYTES: usize = 64;

/// A checksum that cannot be computed without the log key.
pub(crate) type Mac = [u8; 32];

/// The first bytes of a [`Mac`], where forging one gains little.
pub(crate) type ShortMac = [u8; 16];

/// What makes a store's own bytes its own.
#[derive(Clone)]
pub(crate) struct Keys {
    /// Names the store in every file, so that files of two stores can be distinguished.
    pub(crate) store: [u8; 16],
    log: [u8; 32],
    index: [u8; 16],
}

/// Why a `format` file gives no keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoKeys {
    /// It is another program's.
    Foreign,
    /// It is of another version of this format.
    Version(String),
    /// It is damaged.
    Damaged(&'static str),
}

impl Keys {
    /// New secrets, from the system's source of random bytes.
    pub(crate) fn new() -> io::Result<Self> {
        let mut keys = Self { store: [0; 16], log: [0; 32], index: [0; 16] };
        for part in [&mut keys.store[..], &mut keys.log, &mut keys.index] {
            getrandom::fill(part).map_err(io::Error::other)?;
        }
        Ok(keys)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (store, log, index) = (hex(&self.store), hex(&self.log), hex(&self.index));
        seal(format!("{FORMAT_NAME} {FORMAT_VERSION}\nstore {store}\nlog-key {log}\nindex-key {index}\n"))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NoKeys> {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let version = str::from_utf8(first).ok().and_then(|line| line.strip_prefix(FORMAT_NAME)?.strip_prefix(' '));
        match version {
            None => return Err(NoKeys::Foreign),
            Some(FORMAT_VERSION) => {}
            Some(version) => return Err(NoKeys::Version(version.to_owned())),
        }
        let lines = unseal(bytes).map_err(NoKeys::Damaged)?;
        let mut lines = lines.lines().skip(1);
        let mut line = |name: &str| lines.next().and_then(|line| line.strip_prefix(name));
        let keys = (line("store "), line("log-key "), line("index-key "));
        let (Some(store), Some(log), Some(index)) = keys else { return Err(NoKeys::Damaged("a line is missing")) };
        let keys = (unhex(store), unhex(log), unhex(index), lines.next());
        let (Some(store), Some(log), Some(index), None) = keys else {
            return Err(NoKeys::Damaged("a line is not what it must be"));
        };
        Ok(Self { store, log, index })
    }

    /// A hasher whose result cannot be predicted without the log key.
    pub(crate) fn mac(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.log)
    }

    /// The MAC of a record by itself: bound to the segment that it stands in.
    pub(crate) fn record_mac(&self, segment: u32, record: &[u8]) -> ShortMac {
        let mac = *self.mac().update(&segment.to_le_bytes()).update(record).finalize().as_bytes();
        mac.first_chunk().copied().unwrap_or_default()
    }

    /// The MAC of a page of an index run: bound to the run and to the number of the page.
    pub(crate) fn page_mac(&self, run: u64, page: u64, payload: &[u8]) -> ShortMac {
        let mut mac = self.mac();
        mac.update(b"page").update(&self.store).update(&run.to_le_bytes()).update(&page.to_le_bytes()).update(payload);
        mac.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// The MAC of a file of rows: bound to its number.
    pub(crate) fn rows_mac(&self, number: u64, rows: &[u8]) -> ShortMac {
        let mac = *self.mac().update(b"rows").update(&number.to_le_bytes()).update(rows).finalize().as_bytes();
        mac.first_chunk().copied().unwrap_or_default()
    }

    /// What stands for a CID in the index: uniform, whatever CIDs are chosen.
    pub(crate) fn fingerprint(&self, cid: &Cid) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.index);
        // Without memory from the heap, because every call for a block comes here.
        let mut buffer = [0; CID_BYTES];
        match cid.write_bytes(&mut buffer[..]).ok().and_then(|bytes| buffer.get(..bytes)) {
            Some(bytes) => hasher.write(bytes),
            None => hasher.write(&cid.to_bytes()),
        }
        hasher.finish()
    }
}

/// Without the secrets.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("store", &hex(&self.store)).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The keys of the examples in `FORMAT.md`.
    pub(crate) fn example() -> Keys {
        Keys {
            store: *b"\x4f\x61\x69\xf7\x11\xaf\xac\x35\x4f\x61\x69\xf7\x11\xaf\xac\x35",
            log: std::array::from_fn(|at| at as u8),
            index: std::array::from_fn(|at| at as u8),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let keys = Keys::new().unwrap();
        let read = Keys::decode(&keys.encode()).unwrap();
        assert_eq!((read.store, read.log, read.index), (keys.store, keys.log, keys.index));
        assert!(!format!("{keys:?}").contains(&hex(&keys.log)));
    }

    #[test]
    fn every_change_of_a_byte_is_seen() {
        let whole = Keys::new().unwrap().encode();
        for at in 0..whole.len() {
            for bit in [1, 0x20, 0x80] {
                let mut changed = whole.clone();
                changed[at] ^= bit;
                assert!(Keys::decode(&changed).is_err(), "byte {at}");
            }
            assert!(Keys::decode(&whole[..at]).is_err(), "cut to {at}");
        }
        assert!(Keys::decode(&[&whole[..], b"more\n"].concat()).is_err());
    }

    #[test]
    fn other_versions_and_programs_are_told() {
        assert_eq!(Keys::decode(b"mnem-backend-carlog 2\nwhatever").unwrap_err(), NoKeys::Version("2".into()));
        assert_eq!(Keys::decode(b"mnem-backend-simple 1\n").unwrap_err(), NoKeys::Foreign);
        assert_eq!(Keys::decode(b"").unwrap_err(), NoKeys::Foreign);
    }
}
