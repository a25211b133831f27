//! Tests of the crate through its public API, and the proof that the suite catches what it claims to catch.

#[path = "main/batches.rs"]
mod batches;
#[path = "main/cbor.rs"]
mod cbor;
#[path = "main/codecs.rs"]
mod codecs;
#[path = "main/contract.rs"]
mod contract;
#[path = "main/dag_cbor_words.rs"]
mod dag_cbor_words;
#[path = "main/dag_json.rs"]
mod dag_json;
#[path = "main/dag_pb.rs"]
mod dag_pb;
#[path = "main/debug.rs"]
mod debug;
#[path = "main/entry.rs"]
mod entry;
#[path = "main/fetch_ahead.rs"]
mod fetch_ahead;
#[path = "main/forwarders.rs"]
mod forwarders;
#[path = "main/hashes.rs"]
mod hashes;
#[path = "main/many_checks.rs"]
mod many_checks;
#[path = "main/refused.rs"]
mod refused;
#[path = "main/reports.rs"]
mod reports;
#[path = "main/saboteurs/mod.rs"]
mod saboteurs;
#[path = "main/slow.rs"]
mod slow;
#[path = "main/typed.rs"]
mod typed;
