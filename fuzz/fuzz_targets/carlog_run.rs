//! See `mnem_fuzz_bodies::carlog_run`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mnem_fuzz_bodies::carlog_run(data));
