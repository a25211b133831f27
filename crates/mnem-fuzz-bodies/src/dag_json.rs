//! The links of a DAG-JSON block.

use mnem_storage::{Cid, DAG_JSON, cid_of, links};
use serde_json::Value;

/// An accepted block is JSON to another parser too, and its links are those of that parser's tree.
pub fn dag_json_links(data: &[u8]) {
    let cid = cid_of(DAG_JSON, data);
    let Ok(mut found) = links(&cid, data) else { return };
    let tree: Value = match serde_json::from_slice(data) {
        Ok(tree) => tree,
        // Two limits of this parser that the format does not have.
        Err(error)
            if ["number out of range", "recursion limit"].iter().any(|what| error.to_string().contains(what)) =>
        {
            return;
        }
        Err(error) => panic!("what has links is no JSON: {error}"),
    };
    let mut expected = Vec::new();
    collect(&tree, &mut expected);
    // The tree does not keep the order of keys.
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "other links than those of the tree");
}

fn collect(value: &Value, links: &mut Vec<Cid>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, links)),
        Value::Object(entries) => match entries.get("/") {
            Some(Value::String(text)) if entries.len() == 1 => {
                let cid: Cid = text.parse().expect("a link is a CID");
                assert_eq!(cid.to_string(), *text, "a CID in another text than its own");
                links.push(cid);
            }
            _ => entries.values().for_each(|value| collect(value, links)),
        },
        _ => {}
    }
}
