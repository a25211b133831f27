//! See `mnem_fuzz_bodies::cli_cid`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::cli_cid(data));
