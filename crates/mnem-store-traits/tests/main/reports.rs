//! Running the laws without a test harness.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use mnem_store_traits::{
    Cid, Durability, HeadsCapabilities, MemoryStore, OpHeadsStore, StoreError,
    conformance::{Fixture, FixtureError, Handles, Options, Profile, Verdict, assert_declared, law, laws, run},
};

#[derive(Clone, Copy)]
enum Shape {
    Whole,
    BlocksOnly,
    HeadsOnly,
    CannotOpen,
    Panics,
    Hangs,
    /// Cannot allocate a block of 16 MiB.
    Small,
}

struct Memory(Shape);

impl Fixture for Memory {
    type Place = MemoryStore;

    fn name(&self) -> &str {
        "memory"
    }

    fn create(&self) -> Result<MemoryStore, FixtureError> {
        Ok(MemoryStore::new())
    }

    fn open(&self, place: &MemoryStore) -> Result<Handles, FixtureError> {
        let store = Arc::new(place.clone());
        Ok(match self.0 {
            Shape::Whole | Shape::Small => Handles::from(store),
            Shape::BlocksOnly => Handles::blocks(store),
            Shape::HeadsOnly => Handles::heads(store),
            Shape::CannotOpen => return Err("the disk is not plugged in".into()),
            Shape::Panics => panic!("a bug in the fixture"),
            Shape::Hangs => loop {
                std::thread::park();
            },
        })
    }

    fn block_bytes_tried(&self) -> u64 {
        if matches!(self.0, Shape::Small) { 1 << 20 } else { 1 << 28 }
    }

    fn deadline(&self) -> Duration {
        if matches!(self.0, Shape::Hangs) { Duration::from_millis(50) } else { Duration::from_secs(60) }
    }
}

#[test]
fn the_reference_conforms_to_what_it_has() {
    let report = run(Memory(Shape::Whole), &Options::default());
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.entries.len(), laws().iter().map(|law| law.modes().len()).sum::<usize>());
    assert_eq!(
        report.conforms_to(),
        [Profile::Blocks, Profile::Heads, Profile::Store, Profile::Limits, Profile::SideTables]
    );
    let text = report.to_string();
    assert!(text.contains("ok        blocks::put_rejects_wrong_bytes ("), "{text}");
    let declined = "declined  persistence::heads_survive_reopen: profile persistence is not declared by the fixture";
    assert!(text.contains(declined), "{text}");
    for line in [
        "claims    block_bytes_max = 16777216: claimed, and kept: 3 laws\n",
        "claims    atomic_commit: claimed, and kept as far as tested: 2 laws; 2 were not run, such as faults::",
        "declines  put_durability = Power: not claimed: not observable from outside, and callers must not rely on it\n",
        "claims    atomic_heads: claimed, and kept: 3 laws\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(
        text.ends_with(
            "memory conforms to (contract version 2): blocks, heads, store, limits, side tables; not tested: \
             persistence, second handle, second reader, second process, damage, faults, crash, locks, network, driver\n"
        ),
        "{text}"
    );
}

/// The last line alone does not mislead a reader.
#[test]
fn the_last_line_says_what_is_broken_and_what_was_not_tested() {
    let report = run(Memory(Shape::CannotOpen), &Options::default().only("heads::update_adds_a_head"));
    let last = report.to_string().lines().last().map(str::to_owned).unwrap_or_default();
    let begins = "memory conforms to (contract version 2): nothing; breaks: heads; not tested: blocks, store, ";
    assert!(last.starts_with(begins), "{last}");
    let report = run(Forgetful, &Options::default().only("heads::update_adds_a_head"));
    assert!(report.to_string().ends_with("network, driver (durability was not tested)\n"), "{report}");
}

/// Claims promises that it does not keep.
struct Forgetful;

impl Fixture for Forgetful {
    type Place = MemoryStore;

    fn name(&self) -> &str {
        "forgetful"
    }
    fn create(&self) -> Result<MemoryStore, FixtureError> {
        Ok(MemoryStore::new())
    }
    fn open(&self, place: &MemoryStore) -> Result<Handles, FixtureError> {
        Ok(Handles::heads(Arc::new(Boastful(place.open_again()))))
    }
}

#[derive(Debug)]
struct Boastful(MemoryStore);

impl OpHeadsStore for Boastful {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.0.heads()
    }
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.0.update(new, supersedes)
    }
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.0.swap(expected, new)
    }
    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(Durability::Power)
    }
}

/// The line of `conformance_tests!` is compared with the store.
#[test]
fn a_line_of_tests_that_says_too_much_or_too_little_is_found() {
    let compared = |has: &[&str], inapplicable: &[&str]| {
        let compared = AssertUnwindSafe(|| assert_declared(Memory(Shape::BlocksOnly), has, inapplicable));
        catch_unwind(compared).map_err(|panic| panic.downcast::<String>().map(|text| *text).unwrap_or_default())
    };
    let has = ["Blocks", "Limits", "AtomicPutMany", "AtomicCommit", "AtomicSideTableWrites"];
    assert_eq!(compared(&has, &[]), Ok(()));
    assert!(compared(&has[1..], &[]).unwrap_err().contains("only in the fixture  Blocks"));
    assert!(compared(&[&has[..], &["Crash"]].concat(), &[]).unwrap_err().contains("only in the line     Crash"));
    let applies = compared(&has, &["put_twice_is_ok"]).unwrap_err();
    assert!(
        applies.contains("law blocks::put_twice_is_ok is listed as inapplicable, but applies (Passed)"),
        "{applies}"
    );
}

#[test]
fn parts_conform_to_their_profile() {
    assert_eq!(run(Memory(Shape::BlocksOnly), &Options::default()).conforms_to(), [Profile::Blocks, Profile::Limits]);
    assert_eq!(run(Memory(Shape::HeadsOnly), &Options::default()).conforms_to(), [Profile::Heads]);
}

#[test]
fn laws_that_were_not_run_cost_their_profile() {
    let report = run(Memory(Shape::Whole), &Options::default().only("heads::"));
    assert!(report.is_ok() && !report.entries.is_empty());
    assert_eq!(report.conforms_to(), []);
    let not_run = report.counts().not_run;
    assert!(not_run > 500 && report.to_string().contains(&format!("0 failed, {not_run} not run (seed ")), "{report}");
}

/// A misspelt name must not look like a success.
#[test]
fn nothing_run_is_nothing_proved() {
    let report = run(Memory(Shape::Whole), &Options::default().only("no such law"));
    assert!(report.entries.is_empty() && !report.is_ok());
}

/// On a platform that cannot allocate the largest block, the store lacks the profile, and the report says so.
#[test]
fn a_limit_that_cannot_be_tried_is_declined() {
    let report = run(Memory(Shape::Small), &Options::default().only("blocks::"));
    assert!(report.is_ok() && !report.conforms_to().contains(&Profile::Limits), "{report}");
    let text = report.to_string();
    let why =
        "put_many_takes_a_block_of_the_limit: profile limits is not there: block_bytes_max is more than the fixture's";
    assert!(text.contains(why), "{text}");
    assert!(text.contains("block_bytes_max = 16777216: claimed but not tested: 3 laws did not run"), "{text}");
}

#[test]
fn a_profile_that_is_declared_is_tried_also_without_its_hook() {
    struct NoHooks(Memory);

    impl Fixture for NoHooks {
        type Place = MemoryStore;

        fn name(&self) -> &str {
            "no hooks"
        }
        fn create(&self) -> Result<MemoryStore, FixtureError> {
            self.0.create()
        }
        fn open(&self, place: &MemoryStore) -> Result<Handles, FixtureError> {
            self.0.open(place)
        }
        fn profiles(&self) -> &[Profile] {
            &[Profile::SecondHandle, Profile::Damage]
        }
    }

    let fixture = || NoHooks(Memory(Shape::Whole));
    let report = run(fixture(), &Options::default().only("heads_are_visible_through_a_second_handle"));
    assert_eq!((report.backend.as_str(), report.counts().passed), ("no hooks", 1), "{report}");
    let report = run(fixture(), &Options::default().only("damage_on_the_medium"));
    assert!(report.to_string().contains("does not implement its hook damage()"), "{report}");
}

/// A store that forgets everything claims nothing, so nearly every law of these profiles is declined.
#[test]
fn a_profile_whose_claims_are_all_absent_is_not_conformed_to() {
    struct Forgets;

    impl Fixture for Forgets {
        type Place = ();

        fn name(&self) -> &str {
            "forgets"
        }
        fn create(&self) -> Result<(), FixtureError> {
            Ok(())
        }
        fn open(&self, (): &()) -> Result<Handles, FixtureError> {
            Ok(Handles::from(Arc::new(MemoryStore::new())))
        }
        fn profiles(&self) -> &[Profile] {
            &[Profile::Persistence]
        }
    }

    let report = run(Forgets, &Options::default());
    assert_eq!(report.counts().failed, 0, "{report}");
    let of_profile = report.entries.iter().filter(|entry| entry.law.profiles.contains(&Profile::Persistence));
    assert!(of_profile.clone().any(|entry| entry.verdict == Verdict::Passed), "{report}");
    assert!(!report.conforms_to().contains(&Profile::Persistence), "{report}");
    assert!(report.conforms_to().contains(&Profile::Blocks), "{report}");
}

#[test]
fn a_fixture_that_fails_panics_or_hangs_is_a_failure_and_no_more() {
    for (shape, text) in [
        (Shape::CannotOpen, "the disk is not plugged in"),
        (Shape::Panics, "a panic: a bug in the fixture"),
        (Shape::Hangs, "no end: a deadlock, or a very slow store"),
    ] {
        let verdict = law("absent_is_none").expect("a law of this name").run(Memory(shape));
        let Verdict::Failed(failure) = verdict else { panic!("{verdict:?}") };
        assert_eq!(failure.saw(), text);
    }
}

#[test]
fn the_report_as_json_says_the_same() {
    let report = run(Memory(Shape::Whole), &Options::default().only("blocks::put_twice_is_ok").seed(7));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).expect("valid JSON");
    assert_eq!((&json["schema"], &json["seed"], &json["backend"]), (&1.into(), &7.into(), &"memory".into()));
    assert_eq!((&json["passed"], &json["declined"], &json["failed"]), (&3.into(), &3.into(), &0.into()));
    assert_eq!(json["capabilities"]["atomic_commit"], true);
    assert_eq!(json["heads_capabilities"]["atomic_heads"], true);
    let modes: Vec<_> = json["laws"].as_array().expect("laws").iter().map(|law| law["mode"].as_str()).collect();
    let expected = ["direct", "forwarded", "buffered", "reopened", "buffered_reopened", "second_handle"];
    assert_eq!(modes, expected.map(Some));
    assert_eq!(json["laws"][0]["law"], "blocks::put_twice_is_ok");
    assert_eq!(json["laws"][5]["why"], "profile second reader is not declared by the fixture");

    let report = run(Memory(Shape::CannotOpen), &Options::default().only("blocks::put_twice_is_ok"));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).expect("valid JSON");
    assert_eq!((&json["failed"], &json["capabilities"]), (&3.into(), &serde_json::Value::Null));
    assert!(json["laws"][0]["saw"].as_str().is_some_and(|saw| saw.contains("not plugged in")), "{json}");
}
