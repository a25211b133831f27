//! The file `state`: how far the log goes, for readers in other processes. Overwritten in place, never synced, never believed beyond what
//! the log itself proves.

use super::{fields::Fields, keys::Keys};

/// How the file begins.
const MAGIC: [u8; 8] = *b"mnemS\0\0\x01";

/// Its length, in bytes.
pub(crate) const STATE_BYTES: usize = 64;

/// Where the last commit ends that was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Of the manifest.
    pub(crate) generation: u64,
    /// Of the commit.
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

    /// `None`: torn, of another store, or not of this format.
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
