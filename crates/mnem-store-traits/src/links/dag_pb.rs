//! Strict DAG-PB: the links of a node, and nothing else is kept.
//!
//! A node is a protobuf message with links (field 2) and data (field 1), in either order but not mixed. A link has a
//! CID (field 1), then maybe a name (field 2), then maybe a size (field 3). Everything else is refused, and so is any
//! varint that is longer than it need be: two encodings of one node are two blocks, and only one of them is valid.

use cid::Cid;

use super::fault::Fault;
use crate::cid_from_bytes;

/// Field numbers with their wire types, as they stand in front of a field.
mod tag {
    pub(super) const NODE_DATA: u8 = 0x0a;
    pub(super) const NODE_LINK: u8 = 0x12;
    pub(super) const LINK_HASH: u8 = 0x0a;
    pub(super) const LINK_NAME: u8 = 0x12;
    pub(super) const LINK_TSIZE: u8 = 0x18;
}

/// Adds the links of a block to `found`, in the order in which they stand there.
pub(super) fn collect(data: &[u8], found: &mut Vec<Cid>) -> Result<(), Fault> {
    let mut node = Fields { data, at: 0, end: data.len() };
    let (mut has_links, mut has_data, mut links_are_over) = (false, false, false);
    while let Some(tag) = node.tag() {
        let offset = node.at - 1;
        match tag {
            tag::NODE_DATA if has_data => return Err(Fault::new("second data field", offset)),
            tag::NODE_DATA => {
                node.bytes()?;
                has_data = true;
                links_are_over = has_links;
            }
            tag::NODE_LINK if links_are_over => return Err(Fault::new("link both before and after the data", offset)),
            tag::NODE_LINK => {
                found.push(link(node.bytes()?)?);
                has_links = true;
            }
            _ => return Err(Fault::new("field that is neither a link nor the data", offset)),
        }
    }
    Ok(())
}

fn link(mut link: Fields<'_>) -> Result<Cid, Fault> {
    let start = link.at;
    if link.next_is(tag::LINK_HASH).is_none() {
        return Err(Fault::new("link that does not begin with its CID", start));
    }
    let hash = link.bytes()?;
    let cid = cid_from_bytes(&hash.data[hash.at..hash.end])
        .map_err(|_| Fault::new("link that does not hold exactly one CID", hash.at))?;
    if link.next_is(tag::LINK_NAME).is_some() {
        link.bytes()?;
    }
    if link.next_is(tag::LINK_TSIZE).is_some() {
        link.varint()?;
    }
    match link.tag() {
        None => Ok(cid),
        Some(_) => Err(Fault::new("unexpected field in a link", link.at - 1)),
    }
}

/// The part of a block from `at` to `end`.
struct Fields<'a> {
    data: &'a [u8],
    at: usize,
    end: usize,
}

impl Fields<'_> {
    /// The next byte, unless this is the end. All tags of the format take one.
    fn tag(&mut self) -> Option<u8> {
        let byte = *self.data[..self.end].get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn next_is(&mut self, tag: u8) -> Option<u8> {
        let next = *self.data[..self.end].get(self.at)?;
        if next == tag { self.tag() } else { None }
    }

    /// At most 64 bits, in as few bytes as they need.
    fn varint(&mut self) -> Result<u64, Fault> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.tag() else { return Err(Fault::new("truncated number", start)) };
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                let shortest = byte != 0 || shift == 0;
                return if shortest { Ok(value) } else { Err(Fault::new("number in more bytes than it needs", start)) };
            }
        }
        Err(Fault::new("number of more than 64 bits", start))
    }

    /// A length and so many bytes.
    fn bytes(&mut self) -> Result<Self, Fault> {
        let start = self.at;
        let length = usize::try_from(self.varint()?).ok().filter(|length| *length <= self.end - self.at);
        let Some(length) = length else { return Err(Fault::new("length beyond the end", start)) };
        let inner = Self { data: self.data, at: self.at, end: self.at + length };
        self.at += length;
        Ok(inner)
    }
}
