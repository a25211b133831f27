//! See `mnem_fuzz_bodies::bucket_pack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::bucket_pack(data));
