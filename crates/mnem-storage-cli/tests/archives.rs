//! Errors about faulty archives.

use std::{fs, io::Write as _, process::Stdio};

use mnem_storage::{Cid, RAW, cid::multihash::Multihash, cid_of};

use crate::support::{ABSENT, BACKENDS, EMPTY_CAR, Place, ROOT, animals, snapshot};

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
        assert!(said.contains("verified blocks in the store"), "{said}");
        assert!(said.contains("the heads are unchanged"), "{said}");
        assert!(said.contains("hint: get the whole archive, then run the same command again"), "{said}");
        assert_eq!(place.run(&["heads", "--store", store]).ok(), "");
        let kept = place.run(&["ls", "--store", store]).ok().lines().count();
        let grouped = format!("{},{:03}", kept / 1000, kept % 1000);
        assert!(said.contains(&format!("({grouped} verified blocks in the store, {grouped} new")), "{kept}: {said}");
        assert!(kept > 4000, "{kept}");

        let said = place.run(&["import", "whole.car", "--heads", "--store", store]).ok();
        assert!(said.contains(&format!("new            {}\n", 4077 - kept)), "{said}");
        place.run(&["verify", "--store", store]).ok();
    }
}

#[test]
fn an_adopted_archive_keeps_its_order_and_another_backend_refuses_it() {
    let place = Place::new();
    let archive = animals();
    let archive = archive.to_str().expect("text");
    let ordinary = place.run(&["import", archive, "--heads", "--store", "a.carlog"]).ok();
    let adopted = place.run(&["import", archive, "--adopt", "--heads", "--store", "b.carlog"]).ok();
    assert_eq!(adopted, ordinary.replace("a.carlog", "b.carlog"));
    let bytes = fs::read(archive).expect("an archive");
    let mut reader = mnem_storage::car::Reader::new(&bytes[..], 1 << 24).expect("an archive");
    let in_archive: Vec<String> = std::iter::from_fn(|| reader.next_offsets().expect("a section"))
        .map(|section| section.cid.to_string())
        .collect();
    let listed = |store: &str| place.run(&["ls", "--store", store]).ok();
    assert!(listed("b.carlog").lines().eq(&in_archive), "the listing has another order");
    assert!(!listed("a.carlog").lines().eq(&in_archive), "this archive is sorted, so it shows nothing");
    assert!(place.run(&["verify", "--store", "b.carlog"]).ok().starts_with("0 faults in 4,077 blocks"));

    // An archive that is cut off, and the rest.
    let whole = fs::read(archive).expect("an archive");
    place.write("cut.car", &whole[..whole.len() - 100]);
    let said = place.run(&["import", "cut.car", "--adopt", "--heads", "--store", "c.carlog"]).fails(1);
    assert!(said.contains("(4,076 verified blocks in the store, 4,076 new; the heads are unchanged)"), "{said}");
    let said = place.run(&["import", archive, "--adopt", "--heads", "--store", "c.carlog"]).ok();
    assert!(said.contains("new            1\npresent        4,076\n"), "{said}");

    for backend in BACKENDS {
        let store = &*format!("new.{backend}");
        let said = place.run(&["import", archive, "--adopt", "--heads", "--store", store]).fails(1);
        let expected =
            format!("error: a {backend} store does not keep the order of an archive, so it cannot adopt one\n");
        assert!(said.starts_with(&expected), "{said}");
        assert!(said.contains("hint: omit --adopt, or import into a carlog store, such as NEW.carlog"), "{said}");
        assert!(!place.path(store).exists(), "{store} was created");
    }
    let said = place.run(&["import", archive, "--adopt", "--backend", "redb", "--store", "b.carlog"]).fails(1);
    assert!(said.contains("is a carlog store, not redb"), "{said}");
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
    assert!(said.contains("hint: the archive is damaged"), "{said}");
    assert_eq!(place.run(&["heads", "--store", "a.redb"]).ok(), "");
    assert_eq!(place.run(&["ls", "--store", "a.redb"]).ok().lines().count(), 4076);
}

#[test]
fn roots_without_a_block_are_named() {
    let place = Place::new();
    // Only the header: without the header and the section of the first block.
    let whole = fs::read(animals()).expect("an archive");
    let header = 1 + usize::from(whole[0]);
    place.write("header.car", &whole[..header]);
    let said = place.run(&["import", "header.car", "--store", "a.redb"]).ok();
    assert!(said.contains(&format!("missing roots  1\n  {ROOT}\n")), "{said}");
    let said = place.run(&["import", "header.car", "--heads", "--store", "a.redb"]).fails(4);
    assert!(said.contains(&format!("root {ROOT} has no block")), "{said}");
    assert!(said.contains("hint: "), "{said}");
    assert_eq!(place.run(&["heads", "--store", "a.redb"]).ok(), "");
    let said = place.run(&["import", "header.car", "--heads", "--store", "new.redb"]).fails(4);
    assert!(said.contains(&format!("root {ROOT} has no block")) && said.contains("hint: "), "{said}");
    assert!(said.contains("hint: omit --heads to import only"), "{said}");
    let said = place.run(&["import", "header.car", "--complete", "--store", "new.redb"]).fails(4);
    assert!(said.contains("hint: omit --complete to import only"), "{said}");
    assert!(!place.path("new.redb").exists(), "no store is made for roots alone");
}

#[test]
fn the_note_on_heads_is_for_roots_that_are_none() {
    let place = Place::new();
    place.small_store("a.redb");
    place.run(&["export", "a.car", "--store", "a.redb"]).ok();
    assert_eq!(place.run(&["import", "a.car", "--store", "a.redb"]).exits(0).err, "");
    let note = "note: no head was changed; give --heads to make the roots of the archive heads\n";
    assert_eq!(place.run(&["import", "a.car", "--store", "b.redb"]).exits(0).err, note);
}

#[test]
fn a_block_above_the_limit_is_refused_and_the_hint_allows_it() {
    let place = Place::new();
    place.run(&["init", "--store", "a.redb"]).ok();
    let cid = place.run_with_input(&["put", "-", "--store", "a.redb"], &[7; 5000]).ok();
    place.run(&["export", "a.car", "--root", cid.trim_end(), "--store", "a.redb"]).ok();
    let said = place.run(&["import", "a.car", "--max-block", "4999", "--store", "b.redb"]).fails(1);
    assert!(said.contains("5000") && said.contains("hint: give `--max-block 5"), "{said}");
    place.run(&["import", "a.car", "--max-block", "5000", "--store", "b.redb"]).ok();

    // The largest block that a store accepts, and one byte more. No data follows.
    for (block_bytes, hint) in [
        (64_u32 << 20, "hint: give `--max-block 67108864`"),
        ((64 << 20) + 1, "hint: no store accepts blocks above 67108864 bytes"),
    ] {
        let cid: Cid = ABSENT.parse().expect("a CID");
        let section_bytes = block_bytes + 36;
        let length = [0, 7, 14, 21].map(|bits| (section_bytes >> bits) as u8 & 0x7f | if bits < 21 { 0x80 } else { 0 });
        place.write("large.car", &[EMPTY_CAR, &length, &cid.to_bytes()].concat());
        let said = place.run(&["import", "large.car", "--store", "b.redb"]).fails(1);
        assert!(said.contains(hint), "{said}");
    }
    let ran = place.run(&["import", "a.car", "--store", "c.redb"]).exits(0);
    assert!(ran.err.contains("give --heads to make the roots of the archive heads"), "{}", ran.err);
}

#[test]
fn every_fault_has_a_hint() {
    let place = Place::new();
    let behind = |bytes: &[u8]| [EMPTY_CAR, bytes].concat();
    let version_3 = [&EMPTY_CAR[..17], b"\x03"].concat();
    let unknown_hash = section(&unknown_hash(9), b"some data");
    let uncovered = [&car_v2(EMPTY_CAR, &[])[..], &section(&cid_of(RAW, b"left out"), b"left out")].concat();
    let cases: [(&[&str], Vec<u8>, &str); 18] = [
        (&[], b"\xff\xfd\xff\xe0\0\x10".to_vec(), "give a CAR archive, as `mnem-store export FILE` writes it"),
        (&[], b"\x1f\x8b\x08\0\0".to_vec(), "decompress it first: `gzip -d`"),
        (&[], b"<!DOCTYPE html><html>".to_vec(), "check the URL"),
        (&[], b"\x80\0".to_vec(), "give a CAR archive, "),
        (&[], version_3, "convert the archive to CARv1 or CARv2 "),
        (&[], behind(b"\0\0\0"), "give `--allow-padding` to accept the zeros"),
        (&["--allow-padding"], behind(b"\0\0\x01"), "the archive is malformed at byte 18: get it"),
        (&[], behind(b"\r\n"), "if the trailing data does not belong there, cut it off: `head -c 18 FILE > NEW.car`"),
        (
            &[],
            behind(b"PK\x03\x04"),
            "if the trailing data does not belong there, cut it off: `head -c 18 FILE > NEW.car`",
        ),
        (&[], uncovered, "the header may belong to a shorter archive: "),
        (&[], behind(EMPTY_CAR), "import each archive by itself: concatenated archives are not valid"),
        (&[], behind(b"\x0a\xa1gversion\x02"), "import each archive by itself: concatenated archives are not valid"),
        (&[], behind(b"\x02\x80\x00"), "the archive is malformed at byte 20: get it"),
        (&[], behind(b"\x02\x02\x02"), "the archive is malformed at byte 19: get it"),
        (&[], behind(&unknown_hash), "give `--keep-unknown-hashes` to store such blocks unverified"),
        (&[], [b"\x0a\xa1gversion\x02", &[0; 40][..]].concat(), "finish the archive with the tool that wrote it"),
        (&[], behind(b"\x80\x80\x80\x80\x80\x80\x20"), "no store accepts blocks above 67108864 bytes"),
        (
            &["--max-block", "100MiB"],
            behind(b"\x80\x80\x80\x28"),
            "write the archive with smaller blocks: this store accepts up to 67108864 bytes",
        ),
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

/// A CARv2 with this payload, followed by `index`; its header names an index unless that is empty.
fn car_v2(payload: &[u8], index: &[u8]) -> Vec<u8> {
    let end = 51 + payload.len() as u64;
    let fields = [51, payload.len() as u64, if index.is_empty() { 0 } else { end }];
    let fields: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
    [b"\x0a\xa1gversion\x02", &[0; 16][..], &fields, payload, index].concat()
}

/// A CID with a hash function for private use, which no build supports.
fn unknown_hash(fill: u8) -> Cid {
    Cid::new_v1(RAW, Multihash::wrap(0x3f_0001, &[fill; 32]).expect("a short digest"))
}

#[test]
fn what_is_odd_about_an_archive_is_a_warning() {
    let place = Place::new();
    let payload = [EMPTY_CAR, &section(&cid_of(RAW, b"data"), b"data")].concat();
    // An index that is truncated one byte after its format code.
    let archive = car_v2(&payload, b"\x81\x08\0");
    let ran = place.run_with_input(&["import", "-", "--store", "a.redb"], &archive).exits(0);
    let end = 51 + payload.len();
    let warning = format!("the CARv2 ends inside its index, which begins at byte {end}");
    assert!(ran.err.contains(&format!("warning: {warning}\n")), "{}", ran.err);
    let said = place.run_with_input(&["import", "-", "--json", "--store", "a.redb"], &archive).ok();
    let expected = format!(r#""warnings":[{{"kind":"index_cut_off","offset":{end},"message":"{warning}"}}]"#);
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn padding_is_taken_with_a_flag_and_told() {
    let place = Place::new();
    let archive = [EMPTY_CAR, &section(&cid_of(RAW, b"data"), b"data"), &[0; 700]].concat();
    let said = place.run_with_input(&["import", "-", "--store", "a.redb"], &archive).fails(1);
    assert!(said.contains("zeros follow the archive: 700 bytes of padding"), "{said}");
    let args = ["import", "-", "--allow-padding", "--store", "a.redb"];
    let said = place.run_with_input(&args, &archive).ok();
    assert!(said.contains("padding        700 bytes of zeros after the last block\n"), "{said}");
    let said = place.run_with_input(&[&args[..], &["--json"]].concat(), &archive).ok();
    assert!(said.contains(r#""padding_bytes":700,"#), "{said}");
}

#[test]
fn blocks_of_unknown_hash_functions_are_kept_with_a_flag_and_listed() {
    let place = Place::new();
    let cids: Vec<Cid> = (0..12).map(unknown_hash).collect();
    let header = [&b"\x3b\xa2eroots\x81\xd8\x2a\x58\x28\0"[..], &cids[3].to_bytes(), b"gversion\x01"].concat();
    let header = [&[header.len() as u8 - 1], &header[1..]].concat();
    let sections: Vec<u8> = cids.iter().flat_map(|cid| section(cid, b"as it is")).collect();
    let archive = [header, sections].concat();
    for backend in BACKENDS {
        let store = &*format!("a.{backend}");
        let said = place.run_with_input(&["import", "-", "--store", store], &archive).fails(1);
        assert!(said.contains("hash function 0x3f0001"), "{said}");
        let args = ["import", "-", "--heads", "--keep-unknown-hashes", "--store", store];
        let said = place.run_with_input(&args, &archive).ok();
        assert!(said.contains("unchecked      12 of unknown hash functions, stored unverified\n"), "{said}");
        assert!(
            said.contains(&format!("  {}\n  and 2 more; ", cids[9])) && !said.contains(&cids[10].to_string()),
            "{said}"
        );
        assert_eq!(place.run(&["get", &cids[11].to_string(), "--store", store]).ok(), "as it is");
        assert_eq!(place.run(&["heads", "--store", store]).ok(), format!("{}\n", cids[3]));
        let said = place.run_with_input(&[&args[..], &["--json"]].concat(), &archive).ok();
        assert!(
            said.contains(r#""unchecked":12,"unchecked_cids":[""#) && said.contains(&cids[11].to_string()),
            "{said}"
        );
        // Other bytes under the same CID: nothing shows which are right.
        let other = [EMPTY_CAR, &section(&cids[0], b"other bytes")].concat();
        let said = place.run_with_input(&args, &other).fails(1);
        assert!(said.contains("the store has other bytes under"), "{said}");
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
        // How much is stored at the time of the kill depends on the machine, so repeat until it is a part.
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

/// Kills an import that waits for more of its archive. Returns how many blocks it left in the store.
fn kill_an_import(place: &Place, store: &str, header: &[u8], sections: &[Vec<u8>], wait_millis: u64) -> usize {
    let mut child =
        place.command(&["import", "-", "--heads", "--store", store]).stdin(Stdio::piped()).spawn().expect("starts");
    let mut input = child.stdin.take().expect("a pipe");
    let (first, rest) = sections.split_at(sections.len() / 2);
    input.write_all(header).expect("written");
    input.write_all(&first.concat()).expect("written");
    // Blocks are gathered for a second before they are stored.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    input.write_all(&rest.concat()).expect("written");
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
