//! See `mnem_fuzz_bodies::knn_row`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::knn_row(data));
