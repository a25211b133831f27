//! See `mnem_fuzz_bodies::car_import`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::car_import(data));
