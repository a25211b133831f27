//! See `mnem_fuzz_bodies::car_read`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::car_read(data));
