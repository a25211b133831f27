//! The header of a CARv1, `{"roots": [CID, …], "version": 1}`, and the pragma of a CARv2, `{"version": 2}`: both canonical DAG-CBOR.

use std::fmt;

use mnem_store_traits::{Cid, DAG_CBOR, StoreError, cid_of, from_dag_cbor, links};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use super::{ROOTS_MAX, fault::CarFault};

/// What a CARv2 begins with, without the length before it.
pub(super) const V2_PRAGMA: [u8; 10] = *b"\xa1\x67version\x02";

/// What the header of every version has.
#[derive(Deserialize)]
struct AnyHeader {
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct V1Header {
    roots: Option<Roots>,
    #[serde(rename = "version")]
    _version: u64,
}

#[derive(Serialize)]
struct V1HeaderRef<'a> {
    roots: &'a [Cid],
    version: u64,
}

/// The roots, up to one more than are allowed: a link of 8 bytes becomes a CID of ten times that in memory.
struct Roots(Vec<Cid>);

struct RootsVisitor;

impl<'de> Deserialize<'de> for Roots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RootsVisitor)
    }
}

impl<'de> Visitor<'de> for RootsVisitor {
    type Value = Roots;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of links")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Roots, A::Error> {
        let mut roots = Vec::new();
        while roots.len() <= ROOTS_MAX {
            match items.next_element()? {
                Some(root) => roots.push(root),
                None => return Ok(Roots(roots)),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Roots(roots))
    }
}

/// What the header says the archive is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    V1 { roots: Vec<Cid> },
    V2,
}

/// Reads a whole header.
pub(super) fn decode(bytes: &[u8]) -> Result<Header, CarFault> {
    // A CBOR map; says so for text files and other archives before a decoder complains about details.
    if !matches!(bytes.first(), Some(0xa0..=0xbf)) {
        return Err(not_car("its first bytes are no CAR header"));
    }
    let any: AnyHeader = fields(bytes)?;
    match any.version {
        1 => decode_v1(bytes),
        2 if bytes == V2_PRAGMA => Ok(Header::V2),
        2 => Err(not_car("its header has version 2 and is not the pragma of a CARv2")),
        version => Err(CarFault::UnsupportedVersion { version, inside: false }),
    }
}

fn decode_v1(bytes: &[u8]) -> Result<Header, CarFault> {
    let header: V1Header = fields(bytes)?;
    let Some(Roots(roots)) = header.roots else { return Err(not_car("its header has no field `roots`")) };
    if roots.len() > ROOTS_MAX {
        return Err(CarFault::TooManyRoots { roots_max: ROOTS_MAX });
    }
    // The strict pass: one canonical item, nothing behind it, exactly one CID in each link.
    links(&cid_of(DAG_CBOR, bytes), bytes).map_err(|error| match error {
        StoreError::Malformed { source, .. } => not_valid(&*source),
        other => not_valid(&other),
    })?;
    Ok(Header::V1 { roots })
}

fn fields<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CarFault> {
    from_dag_cbor(bytes).map_err(|error| not_valid(&error))
}

fn not_valid(error: &dyn std::error::Error) -> CarFault {
    not_car(&format!("its header is not the DAG-CBOR of one: {error}"))
}

/// The canonical header of a CARv1.
pub(super) fn encode(roots: &[Cid]) -> std::io::Result<Vec<u8>> {
    serde_ipld_dagcbor::to_vec(&V1HeaderRef { roots, version: 1 }).map_err(std::io::Error::other)
}

pub(super) fn not_car(what: &str) -> CarFault {
    CarFault::NotCar { what: what.to_owned() }
}
