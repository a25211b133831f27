//! Archives that are faulty, as the program tells of them.

use std::{fs, io::Write as _, process::Stdio};

use mnem_storage::{Cid, RAW, cid_of, traits::cid::multihash::Multihash};

use crate::support::{BACKENDS, EMPTY_CAR, Place, ROOT, animals, snapshot};

#[test]
fn what_is_no_archive_makes_no_store() {
    let place = Place::new();
    place.write("empty.car", b"");
    place.write("notes.txt", b"these are notes and no archive\n");
    place.write("cut.car", &fs::read(animals()).expect("an archive")[..30]);
    for (file, exit) in [("empty.car", 1), ("notes.txt", 1), ("cut.car", 1)] {
        let said = place.run(&["import", file, "--heads", "--store", "a.redb"]).fails(exit);
        assert!(said.starts_with(&format!("error: {file}: import stopped at byte ")), "{said}");
        assert!(said.contains("caused by: ") && said.contains("hint: "), "{said}");
        assert!(!place.path("a.redb").exists(), "{file}");
    }
    let said = place.run_with_input(&["import", "-", "--store", "a.redb"], b"nonsense").fails(1);
    assert!(said.starts_with("error: standard input: import stopped at byte "), "{said}");
    fs::create_dir(place.path("folder")).expect("a folder");
    let said = place.run(&["import", "folder", "--store", "a.redb"]).fails(1);
    assert!(said.starts_with("error: folder is a folder"), "{said}");
    assert!(!place.path("a.redb").exists());
}

#[test]
fn a_cut_off_archive_keeps_its_blocks_and_is_finished_by_running_again() {
    let place = Place::new();
    let whole = fs::read(animals()).expect("an archive");
    place.write("cut.car", &whole[..whole.len() - 100]);
    place.write("whole.car", &whole);
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let said = place.run(&["import", "cut.car", "--heads", "--store", store]).fails(1);
        assert!(said.contains("verified blocks are in the store"), "{said}");
        assert!(said.contains("the heads are unchanged"), "{said}");
        assert!(said.contains("hint: get the whole archive and run the same command again"), "{said}");
        assert_eq!(place.run(&["heads", "--store", store]).ok(), "");
        let kept = place.run(&["ls", "--store", store]).ok().lines().count();
        assert!(
            said.contains(&format!("({kept} verified blocks are in the store, {kept} of them new")),
            "{kept}: {said}"
        );
        assert!(kept > 4000, "{kept}");

        let said = place.run(&["import", "whole.car", "--heads", "--store", store]).ok();
        assert!(said.contains(&format!("new            {}\n", 4077 - kept)), "{said}");
        place.run(&["verify", "--store", store]).ok();
    }
}

#[test]
fn changed_bytes_are_refused_with_their_place() {
    let place = Place::new();
    let mut bytes = fs::read(animals()).expect("an archive");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    place.write("bad.car", &bytes);
    let said = place.run(&["import", "bad.car", "--heads", "--store", "a.redb"]).fails(1);
    assert!(said.contains("do not match the CID"), "{said}");
    assert!(said.contains(" at byte 126"), "{said}");
    assert!(said.contains("hint: the archive was changed"), "{said}");
    assert_eq!(place.run(&["heads", "--store", "a.redb"]).ok(), "");
    assert_eq!(place.run(&["ls", "--store", "a.redb"]).ok().lines().count(), 4076);
}

#[test]
fn roots_without_a_block_are_named() {
    let place = Place::new();
    // The header and the first block's section left out: the header alone.
    let whole = fs::read(animals()).expect("an archive");
    let header = 1 + usize::from(whole[0]);
    place.write("header.car", &whole[..header]);
    let said = place.run(&["import", "header.car", "--store", "a.redb"]).ok();
    assert!(said.contains(&format!("missing roots  1\n  {ROOT}\n")), "{said}");
    let said = place.run(&["import", "header.car", "--heads", "--store", "a.redb"]).fails(1);
    assert!(said.contains(&format!("root {ROOT} has no block")), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert_eq!(place.run(&["heads", "--store", "a.redb"]).ok(), "");
    let said = place.run(&["import", "header.car", "--heads", "--store", "new.redb"]).fails(1);
    assert!(said.contains(&format!("root {ROOT} has no block")) && said.contains("hint: "), "{said}");
    assert!(!place.path("new.redb").exists(), "no store is made for roots alone");
}

#[test]
fn the_note_on_heads_is_for_roots_that_are_none() {
    let place = Place::new();
    place.small_store("a.redb");
    place.run(&["export", "a.car", "--store", "a.redb"]).ok();
    assert_eq!(place.run(&["import", "a.car", "--store", "a.redb"]).exits(0).err, "");
    let note = "note: no head was changed; --heads makes the roots of the archive heads\n";
    assert_eq!(place.run(&["import", "a.car", "--store", "b.redb"]).exits(0).err, note);
}

#[test]
fn a_block_above_the_limit_is_refused_and_the_hint_allows_it() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let cid = place.run_with_input(&["put", "-", "--store", "a.redb"], &[7; 5000]).ok();
    place.run(&["export", "a.car", "--root", cid.trim_end(), "--store", "a.redb"]).ok();
    let said = place.run(&["import", "a.car", "--max-block", "4999", "--store", "b.redb"]).fails(1);
    assert!(said.contains("5000") && said.contains("hint: `--max-block 5"), "{said}");
    place.run(&["import", "a.car", "--max-block", "5000", "--store", "b.redb"]).ok();
    let ran = place.run(&["import", "a.car", "--store", "c.redb"]).exits(0);
    assert!(ran.err.contains("--heads makes the roots of the archive heads"), "{}", ran.err);
}

#[test]
fn every_fault_has_a_hint() {
    let place = Place::new();
    let behind = |bytes: &[u8]| [EMPTY_CAR, bytes].concat();
    let version_3 = [&EMPTY_CAR[..17], b"\x03"].concat();
    let unknown_hash = [&[77, 1, 0x55, 0x13, 64][..], &[9; 64], b"some data"].concat();
    let cases: [(&[&str], Vec<u8>, &str); 12] = [
        (&[], b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(), "a CAR archive is what `mnem-store export FILE` writes"),
        (&[], b"\x80\0".to_vec(), "a CAR archive is what "),
        (&[], version_3, "versions 1 and 2 are read: "),
        (&[], behind(b"\0\0\0"), "if nothing but zeros follows, `head -c 18` gives the archive without them"),
        (&[], behind(EMPTY_CAR), "archives are not joined by putting one behind the other"),
        (&[], behind(b"\x0a\xa1gversion\x02"), "archives are not joined by putting one behind the other"),
        (&[], behind(b"\x02\x80\x00"), "the archive is faulty at byte 20: get it again"),
        (&[], behind(b"\x02\x02\x02"), "the archive is faulty at byte 19: get it again"),
        (&[], behind(&unknown_hash), "sha2-256 and blake3 with 32 bytes, and identity, can be checked"),
        (&[], [b"\x0a\xa1gversion\x02", &[0; 40][..]].concat(), "the offsets in its CARv2 header lead nowhere"),
        (&[], behind(b"\x80\x80\x80\x80\x80\x80\x20"), "no store takes blocks above 67108864 bytes"),
        (&["--max-block", "100MiB"], behind(b"\x80\x80\x80\x28"), "this store takes blocks of up to 67108864 bytes"),
    ];
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        for (more, archive, hint) in &cases {
            let args = [&["import", "-", "--store", store][..], more].concat();
            let said = place.run_with_input(&args, archive).fails(1);
            assert!(said.contains(&format!("\nhint: {hint}")), "{archive:x?}: {said}");
        }
    }
}

#[test]
fn every_version_of_a_cid_goes_in_and_out() {
    let place = Place::new();
    let data = b"\x0a\x00";
    let v1 = cid_of(0x70, data);
    let blocks = [
        Cid::new_v0(*v1.hash()).expect("sha2-256"),
        v1,
        Cid::new_v1(RAW, Multihash::wrap(0, data).expect("a short digest")),
    ];
    let mut archive = EMPTY_CAR.to_vec();
    for cid in &blocks {
        archive.extend(section(cid, data));
    }
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let said = place.run_with_input(&["import", "-", "--store", store], &archive).ok();
        assert!(said.starts_with("imported 3 blocks (6 bytes)") && said.contains("new            3\n"), "{said}");
        for cid in &blocks {
            assert_eq!(place.run(&["get", &cid.to_string(), "--store", store]).exits(0).out, data, "{cid}");
        }
        let said = place.run(&["verify", "--store", store]).ok();
        assert!(said.starts_with("0 faults in 3 blocks (6 bytes)"), "{said}");
    }
}

#[test]
fn an_import_that_was_killed_is_finished_by_running_it_again() {
    const BLOCKS: usize = 18_000;
    let sections: Vec<Vec<u8>> =
        (0..BLOCKS).map(|n| n.to_string()).map(|n| section(&cid_of(RAW, n.as_bytes()), n.as_bytes())).collect();
    let root = cid_of(RAW, b"0");
    let header = [&b"\x3a\xa2eroots\x81\xd8\x2a\x58\x25\0"[..], &root.to_bytes(), b"gversion\x01"].concat();
    let place = Place::new();
    for backend in BACKENDS {
        // How much has landed by the time of the kill is up to the machine; it is tried until that is some of it.
        let (store, kept) = (0..20)
            .find_map(|attempt| {
                let store = format!("{attempt}.{backend}");
                let kept = kill_an_import(&place, &store, &header, &sections[..BLOCKS - 1], 50 << attempt.min(6));
                (kept > 0).then_some((store, kept))
            })
            .expect("an import that was killed after something had landed");
        assert!(kept < BLOCKS, "{backend}: {kept}");
        let whole = [header.clone(), sections.concat()].concat();
        let said = place.run_with_input(&["import", "-", "--heads", "--json", "--store", &store], &whole).ok();
        assert!(said.contains(&format!("\"new\":{},\"present\":{kept},", BLOCKS - kept)), "{backend}: {said}");
        assert_eq!(place.run(&["heads", "--store", &store]).ok(), format!("{root}\n"));
        place.run(&["verify", "--store", &store]).ok();
    }
}

/// Kills an import that waits for more of its archive, and returns how many blocks it has left in the store.
fn kill_an_import(place: &Place, store: &str, header: &[u8], sections: &[Vec<u8>], wait_millis: u64) -> usize {
    let mut child =
        place.command(&["import", "-", "--heads", "--store", store]).stdin(Stdio::piped()).spawn().expect("starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(header).expect("written");
    input.write_all(&sections.concat()).expect("written");
    std::thread::sleep(std::time::Duration::from_millis(wait_millis));
    child.kill().expect("killed");
    assert_eq!(child.wait().expect("it ends").code(), None, "killed, and not ended");
    let before = snapshot(&place.path(store));
    assert_eq!(place.run(&["heads", "--store", store]).ok(), "");
    let kept = place.run(&["ls", "--store", store]).ok().lines().count();
    assert!(snapshot(&place.path(store)) == before, "reading changes nothing");
    kept
}

/// A section of an archive, with a length of one byte.
fn section(cid: &Cid, data: &[u8]) -> Vec<u8> {
    let content = [&cid.to_bytes(), data].concat();
    let length = u8::try_from(content.len()).expect("short");
    assert!(length < 128);
    [&[length], &content[..]].concat()
}
