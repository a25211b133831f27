//! A DAG-PB node as an IPLD value: `Data`, and `Links` with `Hash`, `Name` and `Tsize`, as in its specification.

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;
use mnem_storage::cid_from_bytes;

/// Decodes a node. `None` if it is not valid DAG-PB.
pub(super) fn decode(data: &[u8]) -> Option<Ipld> {
    let mut links = Vec::new();
    let mut node = BTreeMap::new();
    let mut fields = Fields(data);
    while !fields.0.is_empty() {
        match fields.field()? {
            (1, Field::Bytes(data)) => drop(node.insert("Data".to_owned(), Ipld::Bytes(data.to_vec()))),
            (2, Field::Bytes(data)) => links.push(link(data)?),
            _ => return None,
        }
    }
    node.insert("Links".to_owned(), Ipld::List(links));
    Some(Ipld::Map(node))
}

fn link(data: &[u8]) -> Option<Ipld> {
    let mut link = BTreeMap::new();
    let mut fields = Fields(data);
    while !fields.0.is_empty() {
        let (name, value) = match fields.field()? {
            (1, Field::Bytes(cid)) => ("Hash", Ipld::Link(cid_from_bytes(cid).ok()?)),
            (2, Field::Bytes(name)) => ("Name", text(name)),
            (3, Field::Number(bytes)) => ("Tsize", Ipld::Integer(bytes.into())),
            _ => return None,
        };
        link.insert(name.to_owned(), value);
    }
    Some(Ipld::Map(link))
}

/// The name of a link: text by specification, but any bytes in practice.
fn text(name: &[u8]) -> Ipld {
    str::from_utf8(name).map_or_else(|_| Ipld::Bytes(name.to_vec()), |name| Ipld::String(name.to_owned()))
}

/// The remaining fields of a protobuf message.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    /// The next field, with its number.
    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        match tag & 7 {
            0 => Some((tag >> 3, Field::Number(self.varint()?))),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Some((tag >> 3, Field::Bytes(bytes)))
            }
            _ => None,
        }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::show::dag_json::DagJson;

    #[test]
    fn links_and_data_have_their_names() {
        let cid = b"\x01\x55\x00\x00";
        let link = [b"\x0a\x04", &cid[..], b"\x12\x01a\x18\x80\x01"].concat();
        let node = [b"\x12", &[link.len() as u8][..], &link, b"\x0a\x02hi"].concat();
        let value = decode(&node).expect("a node");
        let json = serde_json::to_string(&DagJson(value)).expect("JSON");
        assert_eq!(
            json,
            r#"{"Data":{"/":{"bytes":"aGk"}},"Links":[{"Hash":{"/":"bafkqaaa"},"Name":"a","Tsize":128}]}"#
        );
        assert!(decode(b"").is_some_and(|node| matches!(node, Ipld::Map(_))));
    }

    #[test]
    fn what_is_cut_off_is_no_node() {
        for data in
            [&b"\x0a\x05hi"[..], b"\x12\x02\x0a", b"\x0a", b"\x0f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            assert!(decode(data).is_none(), "{data:x?}");
        }
    }
}
