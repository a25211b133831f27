//! A slow store completes the whole suite, and keeps every law.

use std::{
    env,
    time::{Duration, Instant},
};

use mnem_store_traits::conformance::{Options, Profile, Report, run};

use crate::saboteurs::network::{Flaw, OverNetwork};

/// Runs only a part, because a debug build takes minutes for everything: the laws that make the most calls, and those
/// that have caught the most defects.
#[test]
fn a_store_of_a_millisecond_a_request_keeps_what_it_promises() {
    let latency = Duration::from_millis(1);
    for only in ["heads::", "put_many_", "trusted", "is_healed", "persistence::", "concurrency::", "over_a_network"] {
        let report = run(OverNetwork { flaw: Flaw::None, latency }, &Options::default().only(only));
        assert!(report.is_ok(), "{report}");
    }
}

fn whole_run(latency: Duration) -> Report {
    let report = run(OverNetwork { flaw: Flaw::None, latency }, &Options::default());
    assert!(report.is_ok(), "{report}");
    for profile in [Profile::Blocks, Profile::Heads, Profile::Store, Profile::Persistence, Profile::Network] {
        assert!(report.conforms_to().contains(&profile), "{profile} is missing\n{report}");
    }
    report
}

/// The full size: at 20 ms per request, the suite should take ten minutes at most.
#[test]
#[ignore = "takes up to ten minutes: cargo xtask soak slow"]
fn soak() {
    let latency = env::var("MNEM_SOAK_LATENCY_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let begin = Instant::now();
    let mut report = whole_run(Duration::from_millis(latency));
    println!("{latency} ms a request: {:.0?} for {} laws", begin.elapsed(), report.entries.len());
    report.entries.sort_by_key(|entry| std::cmp::Reverse(entry.duration));
    for entry in report.entries.iter().take(10) {
        println!("{:>8.1?}  {}", entry.duration, entry.law.path_in(entry.mode));
    }
    assert!(begin.elapsed() < Duration::from_secs(600), "more than ten minutes");
}
