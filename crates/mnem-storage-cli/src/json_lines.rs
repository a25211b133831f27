//! Files of JSON lines: vectors and labels. An error names the line.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Read},
    path::Path,
};

use mnem_storage::knn::NodeId;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    error::{Failure, Result},
    file_arg,
    limits::JSON_LINE_BYTES_MAX,
    output::counted,
};

const VECTORS_HINT: &str = "fix or remove the line; its form is {\"id\": 32 hexadecimal digits, \"vector\": [numbers]}";

const LABELS_HINT: &str = "fix or remove the line; its form is {\"id\": 32 hexadecimal digits, \"label\": text}";

/// Vectors, with their ids and line numbers.
#[derive(Debug, Default)]
pub(crate) struct Vectors {
    pub(crate) ids: Vec<NodeId>,
    pub(crate) vectors: Vec<Vec<f32>>,
    /// The line of each vector, counted from 1.
    pub(crate) lines: Vec<u64>,
}

/// Other fields are ignored.
#[derive(Deserialize)]
struct VectorLine {
    id: String,
    vector: Vec<f32>,
}

#[derive(Deserialize)]
struct LabelLine {
    id: String,
    label: Option<String>,
}

/// Reads vectors. Checks that they have distinct ids, equal lengths and finite numbers; with `normalize`, that none is
/// zero.
pub(crate) fn vectors(file: &Path, normalize: bool) -> Result<Vectors> {
    let mut all = Vectors::default();
    let mut seen: HashMap<NodeId, u64> = HashMap::new();
    let input = file_arg::open(file, "vectors", "mnem-store knn build --vectors")?;
    each_line(file, input, VECTORS_HINT, |number, line: VectorLine| {
        let id = node_id(&line.id)?;
        if let Some(earlier) = seen.insert(id, number) {
            return Err(format!("node {id} already has a vector in line {earlier}"));
        }
        let vector = checked(line.vector, all.vectors.first())?;
        if normalize && vector.iter().all(|number| *number == 0.0) {
            return Err("a zero vector cannot be normalized".into());
        }
        all.ids.push(id);
        all.vectors.push(vector);
        all.lines.push(number);
        Ok(())
    })?;
    Ok(all)
}

fn checked(vector: Vec<f32>, first: Option<&Vec<f32>>) -> std::result::Result<Vec<f32>, String> {
    if vector.is_empty() {
        return Err("the vector is empty".into());
    }
    if let Some(first) = first.filter(|first| first.len() != vector.len()) {
        return Err(format!(
            "the vector has {}, but the first vector has {}",
            counted(vector.len() as u64, "number"),
            first.len()
        ));
    }
    match vector.iter().position(|number| !number.is_finite()) {
        Some(at) => Err(format!("number {} of the vector does not fit a 32-bit float", at + 1)),
        None => Ok(vector),
    }
}

/// Reads the labels of nodes. If a node has two, the later one counts.
pub(crate) fn labels(file: &Path) -> Result<HashMap<NodeId, String>> {
    let mut labels = HashMap::new();
    let input = file_arg::open(file, "labels", "mnem-store knn neighbors CID NODE --labels")?;
    each_line(file, input, LABELS_HINT, |_, line: LabelLine| {
        let id = node_id(&line.id)?;
        if let Some(label) = line.label {
            labels.insert(id, label);
        }
        Ok(())
    })?;
    Ok(labels)
}

fn node_id(text: &str) -> std::result::Result<NodeId, String> {
    text.parse().map_err(|error| format!("invalid id {text:?}: {error}"))
}

/// Calls `take` with each line and its number, counted from 1. Skips blank lines.
fn each_line<T: DeserializeOwned>(
    file: &Path,
    input: Box<dyn Read>,
    hint: &'static str,
    mut take: impl FnMut(u64, T) -> std::result::Result<(), String>,
) -> Result<()> {
    let unreadable = |source| Failure::Io { what: format!("read {}", file_arg::named(file)), source };
    let mut reader = BufReader::with_capacity(256 * 1024, input);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        // One byte above the limit shows that the line is too long, without reading the rest into memory.
        let mut rest = reader.by_ref().take(JSON_LINE_BYTES_MAX + 1);
        if rest.read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            break;
        }
        let wrong = |why: String| Failure::Line { file: file.to_owned(), line: number, why, hint };
        if bytes.len() as u64 > JSON_LINE_BYTES_MAX {
            return Err(wrong(format!("the line has more than {JSON_LINE_BYTES_MAX} bytes")));
        }
        let line = bytes.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        let value = serde_json::from_slice(line).map_err(|error| wrong(of_one_line(&error)))?;
        take(number, value).map_err(wrong)?;
    }
    Ok(())
}

/// Drops the parser's line number: it parses one line at a time, so its number is always 1.
fn of_one_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split_once(" at line ").map_or(&*text, |(what, _)| what);
    format!("{what} (byte {})", error.column())
}
