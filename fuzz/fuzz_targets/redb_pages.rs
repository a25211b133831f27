//! See `mnem_fuzz_bodies::redb_pages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::redb_pages(data));
