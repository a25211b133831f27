//! The file `state`: how far the log goes, for readers in other processes. It is overwritten in place and never synced,
//! and readers trust it only as far as the log confirms it.

use super::{fields::Fields, keys::Keys};

/// How the file begins.
const MAGIC: [u8; 8] = *b"mnemS\0\0\x01";

/// The length of the file in bytes.
pub(crate) const STATE_BYTES: usize = 64;

/// The end of the last acknowledged commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The generation of the manifest.
    pub(crate) generation: u64,
    /// The number of the commit.
    pub(crate) seq: u64,
    pub(crate) segment: u32,
    pub(crate) end: u32,
}

impl State {
    pub(crate) fn encode(&self, keys: &Keys) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        let mut body = MAGIC.to_vec();
        body.extend(self.generation.to_le_bytes());
        body.extend(self.seq.to_le_bytes());
        body.extend(self.segment.to_le_bytes());
        body.extend(self.end.to_le_bytes());
        // Reserved.
        body.extend([0; 16]);
        let mac = keys.record_mac(u32::MAX, &body);
        body.extend(mac);
        for (to, from) in bytes.iter_mut().zip(body) {
            *to = from;
        }
        bytes
    }

    /// Returns `None` if the bytes are torn, or are not of this store or this format.
    pub(crate) fn decode(bytes: &[u8], keys: &Keys) -> Option<Self> {
        let (body, mac) = bytes.get(..STATE_BYTES)?.split_last_chunk()?;
        if keys.record_mac(u32::MAX, body) != *mac {
            return None;
        }
        let mut fields = Fields::new(body);
        let magic: [u8; 8] = fields.array()?;
        let state = Self { generation: fields.u64()?, seq: fields.u64()?, segment: fields.u32()?, end: fields.u32()? };
        (magic == MAGIC).then_some(state)
    }
}
