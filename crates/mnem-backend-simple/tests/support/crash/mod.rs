//! Exploring what crashes leave: workloads through the public interface on a recorded file system, every state that a power cut may leave after every
//! call, and what must hold in each.

pub(crate) mod breaks;
pub(crate) mod expected;
pub(crate) mod explore;
mod observed;
pub(crate) mod process;
pub(crate) mod runner;
pub(crate) mod workload;

use std::sync::OnceLock;

use mnem_store_traits::{
    Bytes, Cid, RAW,
    cid::multibase::{Base, encode},
    cid_of,
};

/// Where the store lies.
pub(crate) const ROOT: &str = "/disk/store";

/// How many blocks there are to work with.
pub(crate) const BLOCKS: usize = 96;

/// Shards that they lie in: few, so that a folder has many unsynced names at once.
const SHARDS: usize = 6;

/// The `n`-th block. Some are empty, some longer than what a disk writes in one step.
pub(crate) fn block(n: usize) -> &'static (Cid, Bytes) {
    static ALL: OnceLock<Vec<(Cid, Bytes)>> = OnceLock::new();
    &ALL.get_or_init(|| (0..BLOCKS).map(make_block).collect())[n]
}

fn make_block(n: usize) -> (Cid, Bytes) {
    let bytes = match n {
        0 => 0,
        _ if n % 7 == 3 => 9000,
        _ if n % 5 == 2 => 700,
        _ => 12 + n,
    };
    if bytes == 0 {
        return (cid_of(RAW, b""), Bytes::new());
    }
    let tries = (0u32..).map(|salt| {
        let mut data = format!("block {n}, {salt} ").into_bytes();
        data.resize(bytes.max(data.len()), n as u8);
        (cid_of(RAW, &data), Bytes::from(data))
    });
    let in_few_shards = |cid: &Cid| {
        let name = encode(Base::Base32Lower, cid.to_bytes());
        let shard = &name.as_bytes()[name.len() - 3..name.len() - 1];
        shard[0] == b'q' && usize::from(shard[1].wrapping_sub(b'a')) < SHARDS
    };
    tries.into_iter().find(|(cid, _)| in_few_shards(cid)).expect("some salt will do")
}
