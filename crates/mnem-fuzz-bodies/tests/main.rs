//! Every corpus is replayed, and changed at random, through what the fuzzer runs; hostile archives take no memory.

mod corpora;
#[cfg(target_os = "linux")]
mod memory;
mod mutated;
