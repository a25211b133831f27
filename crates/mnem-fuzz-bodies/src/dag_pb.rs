//! The links of a DAG-PB block.

use mnem_storage::{Cid, DAG_PB, cid_of, links};

/// The content of a node, and the order of its parts.
#[derive(Default)]
struct Node<'a> {
    links: Vec<Link<'a>>,
    data: Option<&'a [u8]>,
    data_is_first: bool,
}

#[derive(Default)]
struct Link<'a> {
    hash: &'a [u8],
    name: Option<&'a [u8]>,
    size: Option<u64>,
}

/// An accepted block is the only encoding of a node, and its links are those of the node.
pub fn dag_pb_links(data: &[u8]) {
    let cid = cid_of(DAG_PB, data);
    let Ok(found) = links(&cid, data) else { return };
    let node = decode(data).expect("what has links is a message");
    assert_eq!(encode(&node), data, "not the canonical encoding");
    let expected: Vec<Cid> = node.links.iter().map(|link| Cid::try_from(link.hash).expect("a CID")).collect();
    assert_eq!(found, expected, "other links than those of the node");
}

/// Accepts everything that a general protobuf reader accepts.
fn decode(data: &[u8]) -> Option<Node<'_>> {
    let mut node = Node::default();
    for (number, field) in fields(data)? {
        match (number, field) {
            (1, Field::Bytes(data)) => {
                node.data_is_first = node.links.is_empty();
                node.data = Some(data);
            }
            (2, Field::Bytes(data)) => node.links.push(decode_link(data)?),
            _ => {}
        }
    }
    Some(node)
}

fn decode_link(data: &[u8]) -> Option<Link<'_>> {
    let mut link = Link::default();
    for (number, field) in fields(data)? {
        match (number, field) {
            (1, Field::Bytes(hash)) => link.hash = hash,
            (2, Field::Bytes(name)) => link.name = Some(name),
            (3, Field::Number(size)) => link.size = Some(size),
            _ => {}
        }
    }
    Some(link)
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut data: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !data.is_empty() {
        let tag = number(&mut data)?;
        let value = number(&mut data)?;
        let field = match tag % 8 {
            0 => Field::Number(value),
            2 => {
                let (field, rest) = data.split_at_checked(usize::try_from(value).ok()?)?;
                data = rest;
                Field::Bytes(field)
            }
            _ => return None,
        };
        fields.push((tag / 8, field));
    }
    Some(fields)
}

fn number(data: &mut &[u8]) -> Option<u64> {
    let end = data.iter().position(|byte| *byte < 0x80)?;
    let (bytes, rest) = data.split_at(end + 1);
    *data = rest;
    bytes.iter().rev().try_fold(0_u64, |value, byte| value.checked_mul(128)?.checked_add(u64::from(byte % 128)))
}

fn encode(node: &Node<'_>) -> Vec<u8> {
    let mut links = Vec::new();
    for link in &node.links {
        let mut inner = Vec::new();
        put_bytes(&mut inner, 1, link.hash);
        link.name.iter().for_each(|name| put_bytes(&mut inner, 2, name));
        if let Some(size) = link.size {
            put_number(&mut inner, 3 * 8);
            put_number(&mut inner, size);
        }
        put_bytes(&mut links, 2, &inner);
    }
    let mut data = Vec::new();
    node.data.iter().for_each(|bytes| put_bytes(&mut data, 1, bytes));
    if node.data_is_first { [data, links].concat() } else { [links, data].concat() }
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_number(out, field * 8 + 2);
    put_number(out, bytes.len() as u64);
    out.extend(bytes);
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value % 128) as u8 | 0x80);
        value /= 128;
    }
    out.push(value as u8);
}
