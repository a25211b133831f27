//! Printing IPLD values as DAG-JSON.

use std::fmt::Write as _;

use ipld_core::ipld::Ipld;
use mnem_storage::cid::multibase::Base;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

/// A value that serializes as DAG-JSON, with keys in byte order.
pub(super) struct DagJson(pub(super) Ipld);

struct Item<'a>(&'a Ipld);

/// The map that represents bytes.
#[derive(Serialize)]
struct Base64 {
    bytes: String,
}

impl DagJson {
    /// Formats the value over several lines, safe for a terminal.
    pub(super) fn pretty(&self) -> String {
        // Serializing into memory cannot fail.
        printable(&serde_json::to_string_pretty(self).unwrap_or_default())
    }
}

impl Serialize for DagJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Item(&self.0).serialize(serializer)
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Ipld::Null => serializer.serialize_unit(),
            Ipld::Bool(value) => serializer.serialize_bool(*value),
            Ipld::Integer(value) => serializer.serialize_i128(*value),
            Ipld::Float(value) => serializer.serialize_f64(*value),
            Ipld::String(value) => serializer.serialize_str(value),
            Ipld::List(items) => serializer.collect_seq(items.iter().map(Item)),
            Ipld::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, Item(value)))),
            Ipld::Bytes(bytes) => slash(serializer, &Base64 { bytes: Base::Base64.encode(bytes) }),
            Ipld::Link(cid) => slash(serializer, &cid.to_string()),
        }
    }
}

/// The map with the reserved key `/`.
fn slash<S: Serializer>(serializer: S, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry("/", value)?;
    map.end()
}

/// Escapes control characters in JSON text, including those outside ASCII; keeps white space.
pub(super) fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t' | '\r') {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn json(value: Ipld) -> String {
        serde_json::to_string(&DagJson(value)).expect("JSON")
    }

    #[test]
    fn every_kind_of_value_has_its_form() {
        let cid = "bafkqaaa".parse().expect("a CID");
        for (value, expected) in [
            (Ipld::Null, "null"),
            (Ipld::Bool(true), "true"),
            (Ipld::Integer(-(1 << 64)), "-18446744073709551616"),
            (Ipld::Integer(u64::MAX.into()), "18446744073709551615"),
            (Ipld::Float(1.0), "1.0"),
            (Ipld::String("a\"\n".into()), r#""a\"\n""#),
            (Ipld::Bytes(vec![0xfb, 0xff]), r#"{"/":{"bytes":"+/8"}}"#),
            (Ipld::Link(cid), r#"{"/":"bafkqaaa"}"#),
            (Ipld::List(vec![Ipld::Null, Ipld::List(Vec::new())]), "[null,[]]"),
            (
                Ipld::Map(BTreeMap::from([("b".into(), Ipld::Null), ("aa".into(), Ipld::Null)])),
                r#"{"aa":null,"b":null}"#,
            ),
        ] {
            assert_eq!(json(value), expected);
        }
    }

    #[test]
    fn a_terminal_takes_no_orders_from_a_text() {
        let pretty = DagJson(Ipld::List(vec![Ipld::String("\u{9b}2J\x1b[\u{7f}é".into())])).pretty();
        assert_eq!(pretty, "[\n  \"\\u009b2J\\u001b[\\u007fé\"\n]");
        let parsed: Vec<String> = serde_json::from_str(&pretty).expect("JSON");
        assert_eq!(parsed, ["\u{9b}2J\x1b[\u{7f}é"]);
    }
}
