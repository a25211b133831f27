//! See `mnem_fuzz_bodies::dag_pb_links`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::dag_pb_links(data));
