//! The body of each fuzz target. The fuzzer in `fuzz/` and the ordinary tests call these functions. No input may make
//! them panic.
//!
//! Each target also checks the result: what is accepted is canonical, what is stored matches its CID, and what fails
//! changes nothing.

mod archive;
mod bucket;
mod carlog;
mod cids;
mod dag_json;
mod dag_pb;
mod edges;
mod heads;
mod import;
mod links;
mod redb_file;
mod redb_pages;

pub use archive::car_read;
pub use bucket::{bucket_checkpoint, bucket_entry, bucket_pack};
pub use carlog::{carlog_manifest, carlog_run, carlog_segment};
pub use cids::cli_cid;
pub use dag_json::dag_json_links;
pub use dag_pb::dag_pb_links;
pub use edges::{knn_row, whole_knn_rows};
pub use heads::op_heads_file;
pub use import::car_import;
pub use links::dag_cbor_links;
pub use redb_file::redb_open;
pub use redb_pages::redb_pages;

/// A fuzz target: its name, which is also the name of its corpus, and its body.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name in `fuzz/fuzz_targets` and `fuzz/corpus`.
    pub name: &'static str,
    /// Panics if the input shows a defect.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 16] = [
    Target { name: "car_read", run: car_read },
    Target { name: "car_import", run: car_import },
    Target { name: "knn_row", run: knn_row },
    Target { name: "dag_cbor_links", run: dag_cbor_links },
    Target { name: "dag_pb_links", run: dag_pb_links },
    Target { name: "dag_json_links", run: dag_json_links },
    Target { name: "op_heads_file", run: op_heads_file },
    Target { name: "redb_open", run: redb_open },
    Target { name: "redb_pages", run: redb_pages },
    Target { name: "carlog_segment", run: carlog_segment },
    Target { name: "carlog_run", run: carlog_run },
    Target { name: "carlog_manifest", run: carlog_manifest },
    Target { name: "bucket_entry", run: bucket_entry },
    Target { name: "bucket_checkpoint", run: bucket_checkpoint },
    Target { name: "bucket_pack", run: bucket_pack },
    Target { name: "cli_cid", run: cli_cid },
];
