//! A block store behind a pipe, for programs in other languages: one JSON request per line on standard input, one JSON
//! answer per line on standard output.
//!
//! ```text
//! cargo run -p mnem-storage --example json_lines -- memory
//! {"id": 1, "op": "put", "cid": "bafkrei…", "data": "<base64>"}    →  {"id":1,"ok":null}
//! {"id": 2, "op": "get", "cid": "bafkrei…"}                        →  {"id":2,"ok":"<base64>"}, or {"id":2,"ok":null} if absent
//! {"id": 3, "op": "has" or "delete", "cid": "bafkrei…"}            →  {"id":3,"ok":true}, {"id":3,"ok":null}
//! {"id": 4, "op": "cids"}                                          →  {"id":4,"ok":["bafkrei…"]}
//! any request that fails                                           →  {"id":5,"error":"CidMismatch","message":"…"}
//! ```

use std::io::{BufRead, Write};

use mnem_storage::{Bytes, Cid, Store, cid::multibase};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: json_lines PATH")?;
    let store = mnem_storage::open_or_init(path)?;
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let mut answer = match answer(&*store, &request) {
            Ok(value) => json!({ "ok": value }),
            Err(Failure { kind, message }) => json!({ "error": kind, "message": message }),
        };
        answer["id"] = request["id"].clone();
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(store.close()?)
}

struct Failure {
    kind: String,
    message: String,
}

impl From<mnem_storage::StoreError> for Failure {
    fn from(error: mnem_storage::StoreError) -> Self {
        Self { kind: format!("{:?}", error.kind()), message: error.to_string() }
    }
}

fn bad_request(message: impl ToString) -> Failure {
    Failure { kind: "BadRequest".into(), message: message.to_string() }
}

fn answer(store: &dyn Store, request: &Value) -> Result<Value, Failure> {
    let text = |name: &str| request[name].as_str().ok_or_else(|| bad_request(format!("{name} is not a text")));
    let cid = || text("cid")?.parse::<Cid>().map_err(bad_request);
    match text("op")? {
        "put" => {
            let (_, data) = multibase::decode(format!("M{}", text("data")?)).map_err(bad_request)?;
            store.put(&cid()?, Bytes::from(data))?;
            Ok(Value::Null)
        }
        "get" => Ok(store.get(&cid()?)?.map_or(Value::Null, |data| json!(base64(&data)))),
        "has" => Ok(json!(store.has(&cid()?)?)),
        "delete" => {
            store.delete(&cid()?)?;
            Ok(Value::Null)
        }
        "cids" => {
            let cids = store.cids()?.map(|cid| Ok(cid?.to_string()));
            Ok(json!(cids.collect::<Result<Vec<_>, mnem_storage::StoreError>>()?))
        }
        other => Err(bad_request(format!("no operation is called {other}"))),
    }
}

/// Standard base64 with padding: multibase's `M`, without that letter.
fn base64(data: &[u8]) -> String {
    multibase::encode(multibase::Base::Base64Pad, data).split_off(1)
}
