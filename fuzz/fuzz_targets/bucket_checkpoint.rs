//! See `mnem_fuzz_bodies::bucket_checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::bucket_checkpoint(data));
