//! The header of a CARv1, `{"roots": [CID, …], "version": 1}`, and the pragma of a CARv2, `{"version": 2}`. Both are
//! canonical DAG-CBOR.

use cid::Cid;

use crate::{
    cbor::{self, Items, write_head},
    error::CarFault,
    limits::ROOTS_MAX,
    section_cid,
};

/// The first bytes of a CARv2, after their length.
const V2_PRAGMA: [u8; 10] = *b"\xa1\x67version\x02";

const ROOTS: &[u8] = b"roots";
const VERSION: &[u8] = b"version";

/// The CBOR tag of a link.
const LINK: u64 = 42;

/// The byte before the CID in a link.
const LINK_PREFIX: u8 = 0;

/// Bytes of the name of an unknown field that an error shows, at most.
const SHOWN_BYTES: usize = 40;

/// The kind of archive that the header announces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Header {
    V1 { roots: Vec<Cid> },
    V2,
}

/// The fields of a header, in any order, not yet checked.
struct Fields<'a> {
    version: u64,
    roots: Option<Items<'a>>,
    unknown: Option<&'a [u8]>,
}

/// Decodes a whole header.
pub(crate) fn decode(bytes: &[u8]) -> Result<Header, CarFault> {
    // The header is a CBOR map. Report text files and other archives before any detail.
    if !matches!(bytes.first(), Some(0xa0..=0xbf)) {
        return Err(not_car("the input does not start with a CAR header"));
    }
    let fields = Fields::read(bytes).map_err(not_valid)?;
    match fields.version {
        1 => decode_v1(bytes, fields),
        2 if bytes == V2_PRAGMA => Ok(Header::V2),
        2 => Err(not_car("its header has version 2 but is not the CARv2 pragma")),
        version => Err(CarFault::UnsupportedVersion { version, inside: false }),
    }
}

fn decode_v1(bytes: &[u8], fields: Fields<'_>) -> Result<Header, CarFault> {
    if let Some(name) = fields.unknown {
        let shown = name.get(..SHOWN_BYTES).unwrap_or(name).escape_ascii();
        return Err(not_valid(&format!("unknown field `{shown}`")));
    }
    let Some(mut items) = fields.roots else { return Err(not_car("its header has no field `roots`")) };
    let count = items.expect(cbor::ARRAY, "its roots are not a list").map_err(not_valid)?;
    if count > ROOTS_MAX as u64 {
        return Err(CarFault::TooManyRoots { roots_max: ROOTS_MAX });
    }
    let roots = (0..count).map(|_| link(&mut items)).collect::<Result<Vec<Cid>, CarFault>>()?;
    // Only one encoding is allowed. This comparison also refuses fields that repeat or are out of order, lengths in
    // longer forms, and bytes after the CID in a root.
    if encode(&roots) != bytes {
        return Err(not_valid("its encoding is not canonical"));
    }
    Ok(Header::V1 { roots })
}

impl<'a> Fields<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let mut items = Items::new(bytes);
        let (mut version, mut roots, mut unknown) = (None, None, None);
        for _ in 0..items.expect(cbor::MAP, "it is not a map")? {
            match items.string(cbor::TEXT, "the name of a field is not text")? {
                VERSION => version = Some(items.expect(cbor::UNSIGNED, "its version is not a number")?),
                name => {
                    let value = items;
                    items.skip()?;
                    if name == ROOTS { roots = Some(value) } else { unknown = unknown.or(Some(name)) }
                }
            }
        }
        if !items.is_empty() {
            return Err("bytes follow it");
        }
        Ok(Self { version: version.ok_or("it has no field `version`")?, roots, unknown })
    }
}

fn link(items: &mut Items<'_>) -> Result<Cid, CarFault> {
    const NO_LINK: &str = "a root is not a link";
    let tag = items.expect(cbor::TAG, NO_LINK).map_err(not_valid)?;
    let bytes = items.string(cbor::BYTES, NO_LINK).map_err(not_valid)?;
    match bytes {
        [LINK_PREFIX, bytes @ ..] if tag == LINK => match section_cid::read_cid(bytes) {
            Ok((cid, _)) => Ok(cid),
            Err((fault, _)) => Err(not_valid(&format!("a root has {fault}"))),
        },
        _ => Err(not_valid(NO_LINK)),
    }
}

fn not_valid(what: &str) -> CarFault {
    not_car(&format!("its header is malformed: {what}"))
}

pub(crate) fn not_car(what: &str) -> CarFault {
    CarFault::NotCar { what: what.to_owned() }
}

/// Encodes the canonical header of a CARv1.
pub(crate) fn encode(roots: &[Cid]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_head(cbor::MAP, 2, &mut bytes);
    write_text(ROOTS, &mut bytes);
    write_head(cbor::ARRAY, roots.len() as u64, &mut bytes);
    for root in roots {
        let cid = root.to_bytes();
        write_head(cbor::TAG, LINK, &mut bytes);
        write_head(cbor::BYTES, cid.len() as u64 + 1, &mut bytes);
        bytes.push(LINK_PREFIX);
        bytes.extend(cid);
    }
    write_text(VERSION, &mut bytes);
    write_head(cbor::UNSIGNED, 1, &mut bytes);
    bytes
}

fn write_text(text: &[u8], to: &mut Vec<u8>) {
    write_head(cbor::TEXT, text.len() as u64, to);
    to.extend(text);
}
