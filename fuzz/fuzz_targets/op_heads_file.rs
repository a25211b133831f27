//! See `mnem_fuzz_bodies::op_heads_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::op_heads_file(data));
