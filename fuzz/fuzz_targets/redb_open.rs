//! See `mnem_fuzz_bodies::redb_open`. redb panics on altered files, and the backend contains that: only a panic that gets out is a finding, so
//! the hook that ends the process at the first one is taken away.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| mnem_fuzz_bodies::redb_open(data)
);
