//! The descriptor, which is the first block of a segment: its store, its number and the commit before it.

use mnem_car::{Cid, SectionOffsets, Writer};
use mnem_store_traits::{RAW, cid_of};

use super::{
    fields::Fields,
    keys::{Keys, Mac, ShortMac},
};

/// The first bytes of a descriptor.
pub(crate) const MAGIC: [u8; 8] = *b"mnemL\0\0\x01";

/// The length of the CAR header of a segment, which has one root.
pub(crate) const HEADER_BYTES: u64 = 59;

/// Flag: a compaction wrote the segment.
const COMPACTED: u32 = 1;

/// A commit number beyond this one is invalid, and incrementing it might overflow.
const SEQ_MAX: u64 = u64::MAX / 2;

/// The content of a descriptor. It never changes, so its CID can be the root in the header of the segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) segment: u32,
    /// The MAC of the last commit in the previous segment, or zeros if there is none.
    pub(crate) previous: Mac,
    /// Whether a compaction wrote the segment. Such a segment counts only if the manifest names it.
    pub(crate) compacted: bool,
    /// In the first segment of a compacted log, the number of the last commit of the log that it replaces; otherwise 0.
    pub(crate) replaces: u64,
}

/// Why a block is not a descriptor of this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoDescriptor {
    /// It has no magic number, or is incomplete or changed.
    Invalid,
    /// It belongs to another store.
    OtherStore,
    /// It has flags that this build does not support.
    Flags(u32),
}

impl Descriptor {
    /// The first bytes of a segment: the CAR header, whose root is the descriptor, and the descriptor.
    pub(crate) fn begin_segment(&self, keys: &Keys) -> Vec<u8> {
        let data = self.encode(keys);
        let cid = cid_of(RAW, &data);
        let written = Writer::new(Vec::new(), &[cid]).and_then(|mut writer| {
            writer.write(&cid, &data)?;
            writer.finish()
        });
        // Writing to a vector cannot fail, and one root is not too many.
        written.unwrap_or_default()
    }

    fn encode(&self, keys: &Keys) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        data.extend(keys.store);
        data.extend(self.segment.to_le_bytes());
        let flags = if self.compacted { COMPACTED } else { 0 };
        data.extend(flags.to_le_bytes());
        data.extend(self.replaces.to_le_bytes());
        data.extend(self.previous);
        let mac = keys.record_mac(self.segment, &data);
        data.extend(mac);
        data
    }

    pub(crate) fn decode(data: &[u8], keys: &Keys) -> Result<Self, NoDescriptor> {
        let (body, mac) = data.split_last_chunk::<{ size_of::<ShortMac>() }>().ok_or(NoDescriptor::Invalid)?;
        let mut fields = Fields::new(body);
        let mut read = || {
            let magic = fields.array()?;
            let (store, segment, flags) = (fields.array::<16>()?, fields.u32()?, fields.u32()?);
            let (replaces, previous) = (fields.u64()?, fields.array()?);
            Some((magic, store, segment, flags, replaces, previous))
        };
        let Some((MAGIC, store, segment, flags, replaces, previous)) = read() else {
            return Err(NoDescriptor::Invalid);
        };
        if store != keys.store {
            return Err(NoDescriptor::OtherStore);
        }
        if keys.record_mac(segment, body) != *mac {
            return Err(NoDescriptor::Invalid);
        }
        let compacted = flags & COMPACTED != 0;
        if flags & !COMPACTED != 0 || !fields.is_empty() {
            return Err(NoDescriptor::Flags(flags));
        }
        if (replaces != 0 && !compacted) || replaces > SEQ_MAX {
            return Err(NoDescriptor::Invalid);
        }
        Ok(Self { segment, previous, compacted, replaces })
    }
}

/// The length, in bytes, of the header and descriptor of every segment.
pub(crate) fn begin_bytes(keys: &Keys) -> u64 {
    Descriptor::default().begin_segment(keys).len() as u64
}

/// The section of the descriptor, directly after the header, in a segment that begins with `bytes`.
pub(crate) fn section(bytes: &[u8]) -> Option<SectionOffsets> {
    // The length of a header with one root fits in one byte.
    let header_end = usize::from(*bytes.first()?) + 1;
    SectionOffsets::parse(bytes.get(header_end..)?, header_end as u64).ok()
}

/// Whether the header of the segment names this root and no other.
pub(crate) fn has_root(bytes: &[u8], root: Cid) -> bool {
    Writer::new(Vec::new(), &[root]).and_then(Writer::finish).is_ok_and(|header| bytes.starts_with(&header))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of a commit is counted up from here.
    #[test]
    fn a_commit_number_that_no_log_reaches_is_refused() {
        let keys = Keys::new().unwrap();
        for (replaces, is_right) in [(1, true), (SEQ_MAX, true), (SEQ_MAX + 1, false), (u64::MAX, false)] {
            let found = Descriptor { segment: 7, compacted: true, replaces, ..Descriptor::default() };
            let decoded = Descriptor::decode(&found.encode(&keys), &keys);
            assert_eq!(decoded, if is_right { Ok(found) } else { Err(NoDescriptor::Invalid) }, "{replaces}");
        }
    }
}
