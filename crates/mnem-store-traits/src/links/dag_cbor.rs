//! Strict DAG-CBOR, read without building a tree.

use std::fmt;

use cid::Cid;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_ipld_dagcbor::DecodeError;

use crate::{DagCborError, cid_from_bytes};

/// Adds the links of a block to `found`. Nesting is limited to 128 by the decoder.
pub(super) fn collect(data: &[u8], found: &mut Vec<Cid>) -> Result<(), DagCborError> {
    let mut decoder = serde_ipld_dagcbor::de::Deserializer::from_slice(data);
    let mut fault = None;
    let read = Collect { found, fault: &mut fault }.deserialize(&mut decoder).and_then(|()| decoder.end());
    read.map_err(|error| match error {
        // Any value is expected here, so only a link or a key is objected to in words.
        DecodeError::Msg(_) => fault.unwrap_or(DagCborError::Link),
        error => DagCborError::of_decoder(error),
    })
}

/// Visits one item of any type and adds the links below it.
struct Collect<'a> {
    found: &'a mut Vec<Cid>,
    /// What a visitor objects to: the decoder's error has room for words alone.
    fault: &'a mut Option<DagCborError>,
}

impl Collect<'_> {
    fn below(&mut self) -> Collect<'_> {
        Collect { found: self.found, fault: self.fault }
    }
}

/// Notes the fault and ends the decoding.
fn refuse<E: de::Error>(note: &mut Option<DagCborError>, fault: DagCborError) -> E {
    let error = E::custom(&fault);
    *note = Some(fault);
    error
}

impl<'de> DeserializeSeed<'de> for Collect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Takes the key of a map. The decoder takes one of unknown length too, in pieces, and puts them together: only a whole
/// one can be lent.
struct Key<'a>(&'a mut Option<DagCborError>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of known length")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_string<E: de::Error>(self, _: String) -> Result<(), E> {
        Err(refuse(self.0, DagCborError::IndefiniteLength))
    }
}

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a DAG-CBOR item")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i128<E>(self, _: i128) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.below())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_key_seed(Key(self.fault))?.is_some() {
            entries.next_value_seed(self.below())?;
        }
        Ok(())
    }

    /// The decoder presents a link, and nothing else, as a newtype around the bytes of its CID.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_bytes(Link(self))
    }
}

/// Takes the bytes of a link.
struct Link<'a>(Collect<'a>);

impl<'de> Visitor<'de> for Link<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a CID")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<(), E> {
        let Ok(cid) = cid_from_bytes(bytes) else { return Err(refuse(self.0.fault, DagCborError::Link)) };
        self.0.found.push(cid);
        Ok(())
    }

    /// The decoder takes a byte string of unknown length too, in pieces, and puts them together.
    fn visit_byte_buf<E: de::Error>(self, _: Vec<u8>) -> Result<(), E> {
        Err(refuse(self.0.fault, DagCborError::IndefiniteLength))
    }
}
