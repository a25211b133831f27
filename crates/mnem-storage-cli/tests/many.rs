//! Several processes at once.

use std::collections::BTreeSet;

use mnem_storage::{RAW, cid_of};

use crate::support::{BACKENDS, Place, ran};

#[test]
fn processes_that_make_the_same_store_at_once_share_one() {
    let place = Place::new();
    let mut expected = BTreeSet::new();
    place.run(&["init", "--store", "source.redb"]).ok();
    for n in 0..6 {
        let data = format!("block {n}");
        let cid = place.run_with_input(&["put", "-", "--store", "source.redb"], data.as_bytes()).ok();
        assert_eq!(cid.trim_end(), cid_of(RAW, data.as_bytes()).to_string());
        place.run(&["export", &format!("{n}.car"), "--root", cid.trim_end(), "--store", "source.redb"]).ok();
        expected.insert(cid.trim_end().to_owned());
    }
    for backend in BACKENDS {
        let store = &*format!("new.{backend}");
        let processes: Vec<_> = (0..6)
            .map(|n| {
                let archive = format!("{n}.car");
                let args = ["import", &archive, "--heads", "-q", "--store", store, "--lock-wait", "600"];
                place.command(&args).spawn().expect("the program starts")
            })
            .collect();
        for mut process in processes {
            assert_eq!(process.wait().expect("it ends").code(), Some(0), "{backend}");
        }
        for listing in ["ls", "heads"] {
            let listed = place.run(&[listing, "--store", store]).ok();
            assert_eq!(listed.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected, "{listing} of {backend}");
        }
        place.run(&["verify", "--store", store]).ok();
    }
}

/// The message is the same whether the other store is seen before this one is created or during its creation.
#[test]
fn the_one_that_comes_too_late_says_that_a_store_is_there() {
    let place = Place::new();
    for (round, backend) in BACKENDS.into_iter().cycle().take(24).enumerate() {
        let store = &*format!("{round}.{backend}");
        let all: Vec<_> = std::thread::scope(|scope| {
            let init = || ran(&mut place.command(&["init", "--store", store, "--lock-wait", "600"]));
            let running: Vec<_> = (0..4).map(|_| scope.spawn(init)).collect();
            running.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        let (made, late): (Vec<_>, Vec<_>) = all.into_iter().partition(|ran| ran.exit == Some(0));
        assert_eq!(made.len(), 1, "one made it: {late:?}");
        let expected = format!(
            "error: {store} is already a {backend} store\nhint: run `mnem-store stat --store {store}` to inspect it\n"
        );
        assert!(late.iter().all(|ran| ran.err == expected), "{late:?}");
    }
}
