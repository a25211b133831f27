//! The examples of `FORMAT.md`: every byte of them is what this build writes, and what it reads.

use mnem_store_traits::{Bytes, Cid, RAW, cid_of, driver::Location};
use object_store::memory::InMemory;
use serde_bytes::{ByteArray, ByteBuf};

use super::{
    entry::{self, Entry, Part, Slot, Undecoded},
    format::Format,
    objects::Objects,
    pack::{Packer, Piece},
    queue::value_cid,
    record::{Record, VERSION},
    tombstone::Tombstone,
};

const FORMAT: &str = include_str!("../../FORMAT.md");

/// The code block of `FORMAT.md` that begins so.
fn block(start: &str) -> &'static str {
    let blocks = FORMAT.split("```text\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.starts_with(start)).unwrap_or_else(|| panic!("no example begins with {start}"))
}

/// The bytes that a code block shows: each line has an offset, hexadecimal digits, and two spaces before any words.
fn bytes_of(block: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in block.lines() {
        let (offset, rest) = line.split_once(' ').unwrap();
        assert_eq!(usize::from_str_radix(offset, 16), Ok(bytes.len()), "{line}");
        let digits = rest.split("  ").next().unwrap();
        let pairs = digits.as_bytes().chunks(2);
        bytes.extend(pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()));
    }
    bytes
}

fn example() -> (Record, Vec<Bytes>) {
    let (block, value) = (Bytes::from_static(b"hello"), Bytes::from_static(b"2"));
    let head = cid_of(RAW, &block);
    let record = Record {
        v: VERSION,
        n: 0,
        store: ByteArray::new([0x5a; 16]),
        token: ByteArray::new([0xc3; 16]),
        prev: None,
        at: 1_800_000_000_000,
        heads: vec![head],
        deleted: vec![],
        blocks: vec![(head, 5)],
        values: vec![(value_cid(&value), 1)],
        packs: vec![],
        rows: vec![("counts".into(), ByteBuf::from(*b"cat"), Some(0))],
        dead: vec![],
        dropped: vec![],
    };
    (record, vec![block, value])
}

fn decode(bytes: &[u8], size: u64) -> Result<Entry, Undecoded> {
    match entry::decode(bytes, size)? {
        Slot::Entry(entry) => Ok(entry),
        Slot::Tombstone(tombstone) => panic!("{tombstone:?}"),
    }
}

fn written(record: Record, data: &[Bytes]) -> (Vec<u8>, Entry) {
    let pieces: Vec<Piece> = data.iter().map(|data| (cid_of(RAW, data), data.clone())).collect();
    let encoded = entry::encode(record, &pieces, vec![]).unwrap();
    (encoded.parts.concat(), encoded.entry)
}

#[test]
fn the_entry_is_what_is_written_and_read() {
    let (record, data) = example();
    let (bytes, entry) = written(record, &data);
    let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(bytes_of(block("000 3a")), bytes, "{shown}");
    assert_eq!(decode(&bytes, bytes.len() as u64).as_ref(), Ok(&entry));
    let pieces: Vec<(Cid, Part)> = entry.blocks().chain(entry.value(0)).collect();
    for ((cid, part), data) in pieces.into_iter().zip(&data) {
        assert_eq!(bytes[part.offset as usize..(part.offset + part.bytes) as usize], data[..]);
        assert_eq!(cid, cid_of(RAW, data));
    }
}

#[test]
fn the_tombstone_is_what_is_written_and_read() {
    let (record, data) = example();
    let tombstone = Tombstone::of(&written(record, &data).1, 1);
    let bytes = tombstone.encode().unwrap();
    let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(bytes_of(block("000 3a  varint 58: the header of the tombstone")), bytes, "{shown}");
    assert_eq!(entry::decode(&bytes, bytes.len() as u64), Ok(Slot::Tombstone(tombstone)));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(entry::decode(&changed, changed.len() as u64), Err(Undecoded::Wrong(_))), "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert!(matches!(entry::decode(&bytes[..cut], cut as u64), Err(Undecoded::Wrong(_))), "cut at {cut}");
    }
}

#[test]
fn the_pack_is_what_is_written() {
    let shown = bytes_of(block("000 11"));
    let data = Bytes::from(vec![0; 300 * 1024]);
    let packs = Packer::default()
        .pack(&[(cid_of(RAW, b"hello"), Bytes::from_static(b"hello")), (cid_of(RAW, &data), data)], |_| false);
    assert!(packs[0].parts().concat().starts_with(&shown));
}

#[test]
fn the_format_object_is_what_is_written_and_read() {
    let format = Format { store: [0x5a; 16], lease: std::time::Duration::from_secs(1) };
    let text = block("mnem-backend-bucket 1");
    assert_eq!(format.encode(), text);
    let service = std::sync::Arc::new(InMemory::new());
    let objects = Objects::new(service, Default::default(), Location::from("a"), Default::default());
    assert_eq!(Format::decode(&objects, text.as_bytes()).ok(), Some(format));
    for at in 0..text.len() {
        let mut changed = text.as_bytes().to_vec();
        changed[at] ^= 1;
        assert!(Format::decode(&objects, &changed).is_err(), "byte {at}");
        assert!(Format::decode(&objects, &text.as_bytes()[..at]).is_err(), "cut at {at}");
    }
}

/// A changed entry is refused, or decodes to the same record. In the second case the change is in its blocks or between
/// them, and the blocks have hashes of their own.
#[test]
fn an_entry_that_is_cut_or_changed_is_refused_or_says_the_same() {
    let (record, data) = example();
    let (bytes, entry) = written(record, &data);
    let record_end = entry.blocks().next().unwrap().1.offset as usize - 37;
    for cut in 0..bytes.len() {
        assert!(matches!(decode(&bytes[..cut], cut as u64), Err(Undecoded::Wrong(_))), "cut at {cut}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let decoded = decode(&changed, changed.len() as u64);
        if bit / 8 < record_end {
            assert!(matches!(decoded, Err(Undecoded::Wrong(_))), "bit {bit}: {decoded:?}");
        } else {
            assert_eq!(decoded.as_ref(), Ok(&entry), "bit {bit}");
        }
    }
}

#[test]
fn the_beginning_of_an_entry_says_how_much_of_it_is_needed() {
    let (record, data) = example();
    let (bytes, entry) = written(record, &data);
    let size = bytes.len() as u64;
    for held in 0..bytes.len() {
        let mut decoded = decode(&bytes[..held], size);
        let mut asked = held as u64;
        while let Err(Undecoded::More(wanted)) = decoded {
            assert!(wanted > asked && wanted <= size, "{held}: {wanted} after {asked}");
            asked = wanted;
            decoded = decode(&bytes[..wanted as usize], size);
        }
        assert_eq!(decoded.as_ref(), Ok(&entry), "{held}");
    }
}

/// A forged record may say anything under a hash that is right.
#[test]
fn a_record_that_cannot_be_is_refused() {
    type Change = fn(&mut Record);
    let changes: [Change; 15] = [
        |record| record.v = 4,
        |record| record.n = u64::MAX,
        |record| record.blocks[0].1 = u64::MAX,
        |record| record.blocks[0].1 = u64::MAX - 200,
        |record| record.blocks[0].1 += 1,
        |record| record.heads = vec![value_cid(b"b"), value_cid(b"b")],
        |record| record.rows[0].0 = "Counts".into(),
        |record| record.rows[0].1 = ByteBuf::new(),
        |record| record.rows[0].2 = Some(1),
        |record| record.packs = vec![(ByteArray::new([7; 32]), 0)],
        |record| record.packs = vec![(ByteArray::new([7; 32]), 1), (ByteArray::new([7; 32]), u64::MAX)],
        |record| record.dead = vec![0],
        |record| record.dropped = vec![ByteArray::new([7; 32])],
        |record| (record.v, record.dead) = (2, vec![1]),
        |record| (record.v, record.dead) = (2, vec![0, 0]),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (mut record, data) = example();
        let (sound, _) = written(record.clone(), &data);
        change(&mut record);
        let body = record.encode().unwrap();
        let mut bytes = mnem_car::Writer::new(Vec::new(), &record.heads).unwrap();
        bytes.write(&cid_of(mnem_store_traits::DAG_CBOR, &body), &body).unwrap();
        for data in &data {
            bytes.write(&cid_of(RAW, data), data).unwrap();
        }
        let bytes = bytes.finish().unwrap();
        match decode(&bytes, bytes.len() as u64) {
            Err(Undecoded::Later(4)) => assert_eq!(number, 0),
            Err(Undecoded::Wrong(_)) => assert!(number > 0),
            decoded => panic!("change {number}: {decoded:?}"),
        }
        assert!(decode(&sound, sound.len() as u64).is_ok());
    }
}
