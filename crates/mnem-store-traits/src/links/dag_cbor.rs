//! Strict DAG-CBOR, read without building a tree.

use std::fmt;

use cid::Cid;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{Cause, cid_from_bytes};

/// Adds the links of a block to `found`. Nesting is limited to 128 by the decoder.
pub(super) fn collect(data: &[u8], found: &mut Vec<Cid>) -> Result<(), Cause> {
    let mut decoder = serde_ipld_dagcbor::de::Deserializer::from_slice(data);
    Collect(found).deserialize(&mut decoder).and_then(|()| decoder.end()).map_err(Cause::new)
}

/// Visits one item of any type and adds the links below it.
struct Collect<'a>(&'a mut Vec<Cid>);

impl<'de> DeserializeSeed<'de> for Collect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Takes the key of a map. The decoder takes one of unknown length too, in pieces, and puts them together: only a whole one can be lent.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of known length")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_string<E: de::Error>(self, key: String) -> Result<(), E> {
        Err(E::invalid_value(de::Unexpected::Str(&key), &self))
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Collect(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_key_seed(Key)?.is_some() {
            entries.next_value_seed(Collect(self.0))?;
        }
        Ok(())
    }

    /// The decoder presents a link, and nothing else, as a newtype around the bytes of its CID.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // The decoder takes a byte string of unknown length, in pieces, which it then cannot lend.
        let bytes = <&[u8] as de::Deserialize>::deserialize(deserializer)?;
        let cid = cid_from_bytes(bytes)
            .map_err(|e| de::Error::custom(format_args!("a link does not hold exactly one CID: {e}")))?;
        self.0.push(cid);
        Ok(())
    }
}
