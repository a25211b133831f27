//! See `mnem_fuzz_bodies::carlog_manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::carlog_manifest(data));
