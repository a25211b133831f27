//! `put`, `get`, `has`, `size`, `rm`, `ls`, `walk`.

use std::{collections::BTreeSet, fs::File, io::Write as _, process::Stdio};

use mnem_storage::{Blockstore as _, Bytes, Cid, RAW, Store as _, cid_of};

use crate::support::{ABSENT, BACKENDS, Place, ran};

#[test]
fn a_block_goes_in_and_comes_out() {
    let place = Place::new();
    // All byte values. The data is not text, and does not end with a newline.
    let data: Vec<u8> = (0..=255).rev().collect();
    let cid = cid_of(RAW, &data).to_string();
    place.write("data", &data);
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        place.run(&["init", "--store", store]).ok();
        assert_eq!(place.run(&["put", "data", "--store", store]).ok(), format!("{cid}\n"));
        assert_eq!(place.run_with_input(&["put", "-", "--store", store], &data).ok(), format!("{cid}\n"));
        assert_eq!(place.run(&["get", &cid, "--store", store]).exits(0).out, data);
        assert_eq!(place.run(&["size", &cid, "--store", store]).ok(), "256\n");
        assert_eq!(place.run(&["has", &cid, "--store", store]).ok(), "yes\n");
        assert_eq!(place.run(&["has", "-q", &cid, "--store", store]).ok(), "");
        assert_eq!(place.run(&["ls", "--store", store]).ok(), format!("{cid}\n"));
        assert_eq!(place.run(&["rm", &cid, "--store", store]).ok(), format!("removed {cid}\n"));
        assert_eq!(place.run(&["ls", "--store", store]).ok(), "");
        place.run(&["rm", &cid, "--store", store]).fails(4);
    }
}

#[test]
fn a_block_of_no_bytes_is_a_block() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let cid = place.run_with_input(&["put", "-", "--store", "a.redb"], b"").ok();
    let cid = cid.trim_end();
    assert_eq!(cid, cid_of(RAW, b"").to_string());
    assert_eq!(place.run(&["get", cid, "--store", "a.redb"]).exits(0).out, b"");
    assert_eq!(place.run(&["size", cid, "--store", "a.redb"]).ok(), "0\n");
}

#[test]
fn the_input_is_read_before_the_store_is_locked() {
    let place = Place::new();
    let store = place.store("a.redb");
    let mut child = place.command(&["put", "-", "--store", "a.redb"]).stdin(Stdio::piped()).spawn().expect("starts");
    let mut input = child.stdin.take().expect("a pipe");
    // More than fits into the pipe, so the program has read most of it while the store was locked.
    input.write_all(&[7; 1 << 20]).expect("somebody reads");
    store.close().expect("closed");
    drop((store, input));
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_is_read_from_a_terminal() {
    use std::os::unix::fs::OpenOptionsExt as _;
    /// Makes a program that reads get an error instead of waiting.
    const O_NONBLOCK: i32 = 0o4000;
    let place = Place::new();
    place.small_store("a.redb");
    for command in
        [&["put"][..], &["import"], &["knn", "build", "--vectors"], &["knn", "neighbors", ABSENT, "dog", "--labels"]]
    {
        let terminal = File::options().read(true).write(true).custom_flags(O_NONBLOCK).open("/dev/ptmx");
        let terminal = terminal.expect("a terminal");
        let said = ran(place.command(&[command, &["-", "--store", "a.redb"][..]].concat()).stdin(terminal)).fails(2);
        assert!(said.contains(" from a terminal\nhint: run `mnem-store ") && said.contains(" - < FILE`"), "{said}");
    }
}

#[test]
fn dag_cbor_is_checked() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let put = |data: &[u8]| place.run_with_input(&["put", "-", "--codec", "dag-cbor", "--store", "a.redb"], data);
    assert!(put(b"\xa0").ok().starts_with("bafyrei"));
    for (data, wrong) in [
        (&b"\xa0\xa0"[..], "bytes follow the item"),
        (b"", "ends inside an item"),
        (b"text", "ends inside an item"),
        (b"\x18\x01", "written in more bytes than it needs"),
        (b"\xa2\x61b\x01\x61a\x02", "out of order"),
        (b"\x9f\xff", "an indefinite length"),
        (b"\xa1\x01\x02", "the key of a map is not text"),
        (b"\x61\xff", "a text is not UTF-8"),
        (b"\xd8\x2a\x41\x00", "does not hold exactly one CID"),
        (b"\xc1\x01", "a tag is not 42"),
        (b"\xf7", "byte 0xf7 does not begin an item"),
        (b"\xf9\x3e\x00", "a float is not finite"),
    ] {
        let said = put(data).fails(1);
        assert!(said.starts_with("error: standard input is not valid DAG-CBOR\n"), "{said}");
        let (why, hint) = said.split_once("\nhint: ").expect("a hint");
        assert!(why.contains(wrong) && !hint.contains("verify"), "{data:x?}: {said}");
    }
    assert_eq!(place.run(&["ls", "--store", "a.redb"]).ok().lines().count(), 1);
}

#[test]
fn the_largest_block_is_taken_and_a_larger_one_is_not() {
    let place = Place::new();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let most = place.store(store).capabilities().block_bytes_max;
        assert!(most <= 64 << 20, "the program reads no more than that for one block");
        let data = vec![7; usize::try_from(most.min(16 << 20)).expect("fits")];
        let cid = place.run_with_input(&["put", "-", "--store", store], &data).ok();
        assert_eq!(place.run(&["size", cid.trim_end(), "--store", store]).ok(), format!("{}\n", data.len()));
        if most == 16 << 20 {
            let said = place.run_with_input(&["put", "-", "--store", store], &[&data[..], b"7"].concat()).fails(1);
            assert!(said.contains("more than 16777216 bytes"), "{said}");
        }
    }
}

#[test]
fn a_damaged_block_is_never_written_out() {
    let place = Place::new();
    let (_, [leaf, _]) = place.small_store("a.simple");
    let leaf = leaf.to_string();
    let shard = &leaf[leaf.len() - 3..leaf.len() - 1];
    let file = format!("a.simple/objects/{shard}/{leaf}");
    assert_eq!(place.read(&file), b"\x61a");
    std::fs::remove_file(place.path(&file)).expect("removed");
    place.write(&file, b"\x61z");
    let said = place.run(&["get", &leaf, "--store", "a.simple"]).fails(1);
    assert!(said.starts_with(&format!("error: block {leaf} in the ")), "{said}");
    assert!(said.contains(&format!("hint: run `mnem-store rm {leaf} --store a.simple`")), "{said}");
    let ran = place.run(&["verify", "--store", "a.simple"]).exits(3);
    assert!(ran.out().starts_with("corrupt: "), "{}", ran.out());
    let said = place.run(&["copy", "a.simple", "b.redb"]).fails(1);
    assert!(said.contains(&format!("caused by: block {leaf} ")), "{said}");
    assert!(said.contains(&format!("hint: run `mnem-store rm {leaf} --store a.simple`")), "{said}");
    // As the hint advises.
    place.run(&["rm", &leaf, "--store", "a.simple"]).ok();
    place.run_with_input(&["put", "-", "--codec", "dag-cbor", "--store", "a.simple"], b"\x61a").ok();
    place.run(&["verify", "--store", "a.simple"]).ok();
}

#[test]
fn a_listing_has_every_block_once() {
    let place = Place::new();
    for backend in BACKENDS {
        let name = &*format!("a.{backend}");
        let store = place.store(name);
        let blocks: Vec<(Cid, Bytes)> =
            (0..3000).map(|n: u32| Bytes::from(n.to_string())).map(|data| (cid_of(RAW, &data), data)).collect();
        store.put_many(&mut blocks.iter().cloned().map(Ok)).expect("stored");
        store.close().expect("closed");
        drop(store);
        let listed = place.run(&["ls", "--store", name]).ok();
        let set: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
        assert_eq!(listed.lines().count(), 3000, "{backend}");
        assert_eq!(set, blocks.iter().map(|(cid, _)| cid.to_string()).collect(), "{backend}");
    }
}

#[test]
fn a_walk_has_parents_first() {
    let place = Place::new();
    let (root, [a, b]) = place.small_store("a.redb");
    let walked = place.run(&["walk", &root.to_string(), "--store", "a.redb"]).ok();
    assert_eq!(walked, format!("{root}\n{a}\n{b}\n"));
    assert_eq!(place.run(&["walk", "--store", "a.redb"]).ok(), walked, "from the only head");
    place.run(&["heads", "update", &b.to_string(), "--supersedes", &root.to_string(), "--store", "a.redb"]).ok();
    assert_eq!(place.run(&["walk", "--store", "a.redb"]).ok(), format!("{b}\n"));
    let both = place.run(&["walk", &a.to_string(), &root.to_string(), "--store", "a.redb"]).ok();
    assert_eq!(both, format!("{a}\n{root}\n{b}\n"), "each block once");
    place.run(&["heads", "update", &root.to_string(), "--supersedes", &b.to_string(), "--store", "a.redb"]).ok();
    // The blocks before the missing one are listed, and then the walk fails.
    place.run(&["rm", &b.to_string(), "--store", "a.redb"]).ok();
    let ran = place.run(&["walk", &root.to_string(), "--store", "a.redb"]).exits(4);
    assert_eq!(ran.out(), format!("{root}\n{a}\n"));
    assert!(ran.err.starts_with(&format!("error: block {b} is missing (linked from {root})\nhint: ")), "{}", ran.err);
}

#[test]
fn a_store_without_heads_has_nothing_to_walk_from() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let said = place.run(&["walk", "--store", "a.redb"]).fails(1);
    assert!(said.starts_with("error: a.redb has no heads to walk from\nhint: "), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_no_text_is_not_written_to_a_terminal() {
    use std::{fs::File, io::Read as _};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let place = Place::new();
    let (root, _) = place.small_store("a.redb");
    let text = place.run_with_input(&["put", "-", "--store", "a.redb"], b"A note.\n").ok();
    let get = |cid: &str| {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it is ours");
        let name = ptsname(&terminal, Vec::new()).expect("its name");
        let side = File::options().read(true).write(true).open(name.to_str().expect("text")).expect("opened");
        let mut command = place.command(&["get", cid, "--store", "a.redb"]);
        let child = command.stdout(side.try_clone().expect("the same")).stderr(std::process::Stdio::piped()).spawn();
        // The data stays readable as long as one end is open here.
        let output = child.expect("the program starts").wait_with_output().expect("it ends");
        let mut shown = [0; 100];
        let shown_bytes =
            if output.status.success() { File::from(terminal).read(&mut shown).expect("read") } else { 0 };
        drop(side);
        let shown = String::from_utf8_lossy(&shown[..shown_bytes]).into_owned();
        (output.status.code(), shown, String::from_utf8(output.stderr).expect("text"))
    };
    assert_eq!(get(text.trim_end()), (Some(0), "A note.\r\n".into(), String::new()));
    let (exit, _, said) = get(&root.to_string());
    assert_eq!(exit, Some(2));
    assert!(
        said.starts_with(&format!("error: block {root} is binary and cannot be written to a terminal\nhint: ")),
        "{said}"
    );
}
