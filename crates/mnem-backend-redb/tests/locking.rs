//! Which handles can have the file open together.

use std::{sync::mpsc, time::Duration};

use mnem_backend_redb::{Check, OpenOptions};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Retry, Store, StoreError};

use crate::support::{FakeMedium, block, create, kind_of, large_block, open, place};

fn reader() -> OpenOptions {
    OpenOptions::new().read_only(true)
}

#[test]
fn a_second_writer_is_locked_out_at_once_and_named() {
    let place = place();
    let _first = create(&place.path);
    let opened = OpenOptions::new().create(true).open(&place.path);
    let Err(error @ StoreError::Locked { .. }) = opened else { panic!("expected Locked, got {opened:?}") };
    assert_eq!(error.retry(), Some(Retry::SameCall));
    let told = error.to_string();
    assert!(told.contains("test.redb") && told.contains("locked by another process or handle"), "{told}");
}

#[test]
fn lock_wait_waits_for_the_other_to_close() {
    let place = place();
    let first = create(&place.path);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let options = OpenOptions::new().lock_wait(Duration::from_secs(60));
            tell.send(()).expect("the test waits");
            options.open(&place.path).expect("open once it is free").put(&block(1).0, block(1).1).expect("put");
        });
        told.recv().expect("a message");
        first.close().expect("close");
    });
    assert!(open(&place.path).has(&block(1).0).expect("has"));
}

#[test]
fn readers_share_and_exclude_a_writer() {
    // Checked readers see the file through an overlay, unchecked ones do not. Each must coexist with each.
    for (first, second) in [
        (Check::Auto, Check::Auto),
        (Check::Always, Check::Never),
        (Check::Never, Check::Always),
        (Check::Pages, Check::Always),
        (Check::Never, Check::Pages),
        (Check::Never, Check::Never),
    ] {
        let place = place();
        let (cid, data) = block(1);
        create(&place.path).put(&cid, data.clone()).expect("put");
        let one = reader().check(first).open(&place.path).expect("the first reader");
        let two = reader().check(second).open(&place.path).expect("the second reader");
        assert_eq!(one.get(&cid).expect("get"), Some(data.clone()));
        assert_eq!(two.get(&cid).expect("get"), Some(data.clone()));
        for concurrency in [Sharing::ExclusiveWriter, Sharing::SingleWriter, Sharing::MultiWriter] {
            let writer = OpenOptions::new().sharing(concurrency).open(&place.path);
            assert_eq!(kind_of(writer), ErrorKind::Locked, "{first:?} {second:?} {concurrency:?}");
        }
        one.close().expect("close");
        assert_eq!(kind_of(OpenOptions::new().open(&place.path)), ErrorKind::Locked);
        two.close().expect("close");
        drop(open(&place.path));
    }
}

#[test]
fn a_writer_excludes_readers_of_the_exclusive_mode() {
    for concurrency in [Sharing::ExclusiveWriter, Sharing::SingleWriter, Sharing::MultiWriter] {
        let place = place();
        let writer = OpenOptions::new().create(true).sharing(concurrency).open(&place.path).expect("create");
        for check in [Check::Always, Check::Pages, Check::Never] {
            assert_eq!(
                kind_of(reader().check(check).open(&place.path)),
                ErrorKind::Locked,
                "{concurrency:?} {check:?}"
            );
        }
        writer.close().expect("close");
        drop(reader().open(&place.path).expect("open"));
    }
}

#[test]
fn many_writers_take_turns_and_see_each_other() {
    let place = place();
    let options = OpenOptions::new().create(true).sharing(Sharing::MultiWriter);
    let one = options.open(&place.path).expect("the first writer");
    let two = options.open(&place.path).expect("the second writer");
    std::thread::scope(|scope| {
        for (writer, store) in [&one, &two].into_iter().enumerate() {
            scope.spawn(move || {
                for n in 0..20 {
                    let (cid, data) = block(writer as u64 * 100 + n);
                    store.put(&cid, data).expect("put");
                    store.update(&cid, &[]).expect("update");
                }
            });
        }
    });
    for store in [&one, &two] {
        assert_eq!(store.heads().expect("heads").len(), 40);
        assert_eq!(store.cids().expect("cids").count(), 40);
    }
    one.close().expect("close");
    two.close().expect("close");
}

#[test]
fn a_reader_beside_a_single_writer_follows_it() {
    let place = place();
    let options = OpenOptions::new().sharing(Sharing::SingleWriter);
    let writer = options.clone().create(true).open(&place.path).expect("the writer");
    let reader = options.clone().read_only(true).open(&place.path).expect("the reader");
    let (cid, data) = block(1);
    assert_eq!(reader.get(&cid).expect("get"), None);
    writer.put(&cid, data.clone()).expect("put");
    assert_eq!(reader.get(&cid).expect("get"), Some(data));
    assert_eq!(kind_of(options.open(&place.path)), ErrorKind::Locked, "a second writer");
}

#[test]
fn an_open_beside_a_writer_that_never_ends_is_given_up() {
    let medium = FakeMedium::default();
    FakeMedium::options().open_medium(medium.clone(), "medium").expect("create").close().expect("close");
    medium.occupy();
    // redb alone would wait forever.
    let options = OpenOptions::new().sharing(Sharing::MultiWriter).lock_wait(Duration::from_millis(20));
    assert_eq!(kind_of(options.open_medium(medium, "medium")), ErrorKind::Locked);
}

#[test]
fn a_file_that_grew_before_its_lock_was_granted_is_sound() {
    for read_only in [false, true] {
        let medium = FakeMedium::default();
        let before = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
        before.put_many(&mut (0..10).map(|n| Ok(large_block(n, 2000)))).expect("put_many");
        medium.before_lock(move || {
            before.put_many(&mut (10..3000).map(|n| Ok(large_block(n, 2000)))).expect("put_many");
            before.close().expect("close");
        });
        let options = OpenOptions::new().read_only(read_only);
        let after = options.open_medium(medium, "medium").expect("open what the one before left");
        assert_eq!(after.cids().expect("cids").filter(Result::is_ok).count(), 3000);
    }
}
