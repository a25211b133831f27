//! `gc`: which blocks it removes, which it keeps, and when it refuses.

use mnem_storage::{
    Bytes, RAW, WriteBatch, cid_of,
    knn::{self, DistanceMetric, KnnEdgeIndex},
};

use crate::support::{ABSENT, BACKENDS, Place};

/// Stores two blocks that no head reaches, and returns the CID of the first.
fn put_dead(place: &Place, store: &str) -> String {
    place.run_with_input(&["put", "-", "--store", store], b"another").ok();
    place.run_with_input(&["put", "-", "--store", store], b"dead").ok().trim_end().to_owned()
}

#[test]
fn what_no_head_reaches_is_counted_then_removed() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        place.small_store(store);
        let dead = &*put_dead(&place, store);
        let run = |args: &[&str]| place.run(&[args, &["--store", store]].concat());
        assert_eq!(
            run(&["gc", "-n"]).ok(),
            format!("reached  3 of 5 blocks in {store}\ndead     2 blocks (11 bytes)\n")
        );
        run(&["has", dead]).ok();
        let kept = run(&["gc", "--keep", dead]).ok();
        assert_eq!(kept, format!("reached  4 of 5 blocks in {store}\nremoved  1 block (7 bytes)\n"));
        assert_eq!(run(&["gc"]).ok(), format!("reached  3 of 4 blocks in {store}\nremoved  1 block (4 bytes)\n"));
        run(&["has", dead]).exits(4);
        assert_eq!(run(&["gc", "-q"]).ok(), "");
        assert!(run(&["verify"]).ok().starts_with("0 faults in 3 blocks"));
    }
}

#[test]
fn a_store_without_heads_is_refused() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        place.store(store).close().expect("closed");
        let dead = &*put_dead(&place, store);
        for args in [&["gc", "--store", store][..], &["gc", "--dry-run", "--store", store]] {
            let said = place.run(args).fails(1);
            assert!(said.contains("no heads") && said.contains("gc --keep CID"), "{said}");
        }
        place.run(&["gc", "--keep", dead, "--store", store]).ok();
        assert_eq!(place.run(&["ls", "--store", store]).ok(), format!("{dead}\n"));
    }
}

#[test]
fn what_might_lose_a_live_block_is_refused_with_the_option_that_allows_it() {
    let place = Place::new();
    let (_, [leaf, other]) = place.small_store("a.redb");
    let run = |args: &[&str]| place.run(&[args, &["--store", "a.redb"]].concat());
    put_dead(&place, "a.redb");
    let said = run(&["gc", "--keep", ABSENT]).fails(4);
    assert!(said.starts_with(&format!("error: block {ABSENT} is missing\n")), "{said}");
    assert!(said.contains("if it is of --keep, check its CID"), "{said}");
    run(&["rm", &leaf.to_string()]).ok();
    let said = run(&["gc"]).fails(4);
    assert!(said.contains(&leaf.to_string()) && said.contains("--allow-missing"), "{said}");
    assert_eq!(run(&["ls"]).ok().lines().count(), 4);
    let ran = run(&["gc", "--allow-missing"]).exits(0);
    assert!(ran.err.contains(&format!("continued without 1 missing block: {leaf}")), "{}", ran.err);
    assert_eq!(run(&["ls"]).ok().lines().count(), 2);

    let store = place.store("a.redb");
    let opaque = cid_of(0x85, b"dag-jose");
    store.commit(WriteBatch::new().put(opaque, Bytes::from_static(b"dag-jose")).update(opaque, [])).expect("committed");
    store.delete(&other).expect("deleted");
    store.put_trusted(&other, Bytes::from_static(b"damaged")).expect("put");
    store.close().expect("closed");
    drop(store);
    let said = run(&["gc", "--allow-missing"]).fails(1);
    assert!(said.contains(&opaque.to_string()) && said.contains("--opaque-leaves"), "{said}");
    let said = run(&["gc", "--opaque-leaves"]).fails(4);
    assert!(said.contains("--allow-missing"), "{said}");
    let ran = run(&["gc", "--allow-missing", "--opaque-leaves"]).exits(0);
    assert!(ran.err.contains("links were not followed in 1 block"), "{}", ran.err);
    assert!(ran.err.contains("cannot read 1 block"), "{}", ran.err);
    assert!(ran.out().ends_with("\nremoved  0 blocks (0 bytes)\n"), "{}", ran.out());
}

#[test]
fn an_index_whose_root_is_dead_is_named_and_removed_with_an_option() {
    let place = Place::new();
    place.small_store("a.redb");
    let dead = cid_of(RAW, b"dead");
    put_dead(&place, "a.redb");
    let store = place.store("a.redb");
    let index = KnnEdgeIndex::empty(dead, 1, DistanceMetric::Cosine);
    let index = knn::store(&*store.side_table(knn::TABLE).expect("a table"), &index).expect("stored");
    store.close().expect("closed");
    drop(store);
    let ran = place.run(&["gc", "--store", "a.redb"]).exits(0);
    assert!(ran.out().ends_with(&format!("\ndead     index {index}, root {dead}\n")), "{}", ran.out());
    assert!(ran.err.contains("give --indexes to remove it"), "{}", ran.err);
    let ran = place.run(&["gc", "--indexes", "--store", "a.redb"]).exits(0);
    assert!(ran.out().ends_with(&format!("\nremoved  index {index}, root {dead}\n")), "{}", ran.out());
    assert_eq!((&*ran.err, &*place.run(&["knn", "list", "--store", "a.redb"]).ok()), ("", ""));
}

#[test]
fn beside_a_writer_it_is_locked() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        place.small_store(store);
        put_dead(&place, store);
        let writer = place.store(store);
        place.run(&["gc", "--store", store]).fails(11);
        assert_eq!(writer.cids().expect("a listing").count(), 5, "{backend}");
        writer.close().expect("closed");
        drop(writer);
        place.run(&["gc", "--store", store]).ok();
    }
}

#[test]
fn progress_and_other_errors_are_as_usual() {
    let place = Place::new();
    place.small_store("a.redb");
    let ran = place.run(&["gc", "--progress", "always", "--store", "a.redb"]).exits(0);
    for stage in ["counting", "links", "sweep"] {
        assert!(ran.err.contains(&format!("gc: {stage}: ")), "{stage}: {}", ran.err);
    }
    place.run(&["gc", "--store", "nothing.redb"]).fails(10);
    place.run(&["gc", "--keep", "bafy", "--store", "a.redb"]).fails(2);
    place.run(&["gc"]).fails(2);
}

#[test]
fn a_shared_mode_is_refused_for_a_collection_that_removes() {
    let place = Place::new();
    place.small_store("a.redb");
    let said = place.run(&["gc", "--sharing", "multi-writer", "--store", "a.redb"]).fails(2);
    assert!(
        said.contains("error: gc needs exclusive access, so --sharing cannot be used\n")
            && said.contains("hint: omit --sharing, or give --dry-run\n"),
        "{said}"
    );
    place.run(&["gc", "--dry-run", "--sharing", "multi-writer", "--store", "a.redb"]).ok();
}
