//! Stores given as URLs. Those of a build with the feature `bucket` are in folders: no test here needs a service.

use crate::support::Place;

/// A secret in a URL is refused before anything opens or prints it, by every build.
#[test]
fn a_secret_in_a_url_is_never_printed() {
    let place = Place::new();
    place.small_store("a.redb");
    let url = "s3://ab12:hush@b/x";
    let key = "s3://b/x?secret_access_key=hush";
    for args in [
        &["ls", "-vv", "--store", url][..],
        &["init", "--json", "--store", key],
        &["copy", "-v", "a.redb", url],
        &["copy", "--salvage", key, "b.redb"],
        &["diff", "a.redb", key],
        &["put", "a.redb", "--store", "s3://b?endpoint=https://me:hush@h"],
        &["init", "--store", "nowhere://me:hush@b"],
    ] {
        let ran = place.run(args).exits(2);
        assert!(!ran.err.contains("hush") && ran.out().is_empty(), "{args:?}: {}", ran.err);
        assert!(
            ran.err.contains("the URL contains a secret") && ran.err.contains("environment"),
            "{args:?}: {}",
            ran.err
        );
    }
    let mut command = place.command(&["heads"]);
    let ran = crate::support::ran(command.env("MNEM_STORE", url)).exits(2);
    assert!(ran.err.contains("s3://***@b/x") && !ran.err.contains("hush"), "{}", ran.err);
    assert!(!place.path("b.redb").exists());
}

#[cfg(not(feature = "bucket"))]
#[test]
fn a_build_without_buckets_names_the_feature() {
    let place = Place::new();
    let install = "to install the program with it, run `cargo install mnem-storage-cli --features bucket`, \
                   or in a checkout `cargo install --path crates/mnem-storage-cli --features bucket`";
    for url in ["s3://b/x", "gs://b", "az://c", "abfs://c@a", "file:///nowhere/x"] {
        for command in ["init", "ls"] {
            let said = place.run(&[command, "--store", url]).fails(1);
            assert!(said.contains(url) && said.contains("feature `bucket`"), "{said}");
            assert!(said.contains(install), "{said}");
        }
    }
    let said = place.run(&["ls", "--store", "https://h/x"]).fails(10);
    let advice = "give a path: the backends of this build open no URL; ";
    assert!(said.contains(&format!("{advice}{}", install.replace("with it", "with one that does"))), "{said}");
    let said = place.run(&["--version"]).ok();
    assert!(said.lines().any(|line| line == format!("bucket: not in this build; {install}")), "{said}");
}

#[cfg(feature = "bucket")]
mod folders {
    use std::{fs, net::TcpListener, thread};

    use crate::support::{Place, ROOT, Ran, animals};

    fn url(place: &Place, name: &str) -> String {
        format!("file://{}", place.path(name).display())
    }

    #[test]
    fn a_store_goes_up_and_comes_back() {
        let place = Place::new();
        let up = url(&place, "up");
        place.run(&["import", animals().to_str().expect("text"), "--heads", "--store", "a.redb"]).ok();
        let said = place.run(&["copy", "a.redb", &up]).ok();
        assert!(said.contains(&format!("from a.redb to {up}")), "{said}");
        assert!(said.contains("proved   the CID sets are equal: 4,077 blocks in both"), "{said}");
        assert!(said.contains("proved   the heads are equal: 1 head in both"), "{said}");
        let said = place.run(&["copy", &up, "b.redb"]).ok();
        assert!(said.contains("proved   the CID sets are equal: 4,077 blocks in both"), "{said}");
        place.run(&["diff", "a.redb", &up]).ok();
        place.run(&["diff", &up, "b.redb"]).ok();
        place.run(&["verify", "--store", &up]).ok();
        assert_eq!(place.run(&["heads", "--store", &up]).ok(), format!("{ROOT}\n"));
        let walk = place.run(&["walk", "--store", &up]).ok();
        assert_eq!(walk, place.run(&["walk", "--store", "a.redb"]).ok());
        let stat = place.run(&["stat", "--store", &up]).ok();
        for line in
            ["backend     bucket (format mnem-backend-bucket 1)", "blocks      4,077", "log entries ", "requests    "]
        {
            assert!(stat.lines().any(|said| said.starts_with(line)), "{line}: {stat}");
        }
        let stat: serde_json::Value =
            serde_json::from_str(&place.run(&["stat", "--json", "--store", &up]).ok()).expect("JSON");
        assert!(stat["details"]["log_entries"].as_u64().is_some_and(|entries| entries > 0), "{stat}");
        assert!(stat["details"]["requests"].as_u64().is_some_and(|requests| requests > 0), "{stat}");
    }

    #[test]
    fn every_command_takes_the_url() {
        let place = Place::new();
        let store = url(&place, "store");
        let env = |args: &[&str]| -> Ran { crate::support::ran(place.command(args).env("MNEM_STORE", &store)) };
        assert_eq!(env(&["init"]).ok(), format!("created an empty bucket store at {store}\n"));
        let said = env(&["init"]).fails(1);
        assert!(said.contains(&format!("{store} is already a bucket store")), "{said}");
        place.write("note", b"a note");
        let cid = env(&["put", "note"]).ok().trim().to_owned();
        assert_eq!(env(&["get", &cid]).ok(), "a note");
        assert_eq!(env(&["ls"]).ok().trim(), cid);
        env(&["has", &cid]).ok();
        env(&["show", &cid]).ok();
        env(&["size", &cid]).ok();
        env(&["heads", "update", &cid]).ok();
        env(&["export", "out.car"]).ok();
        env(&["import", animals().to_str().expect("text")]).ok();
        let said = env(&["gc"]).ok();
        assert!(said.contains("removed  4,077 blocks"), "{said}");
        assert_eq!(env(&["ls"]).ok().trim(), cid);
        let said = env(&["compact"]).ok();
        assert!(said.starts_with(&format!("compacted {store}\n")) && said.contains("unused  "), "{said}");
        let said = env(&["compact", "--grace", "0"]).ok();
        assert!(said.starts_with("compacted ") && !said.contains("unused"), "{said}");
        let report: serde_json::Value = serde_json::from_str(&env(&["compact", "--json"]).ok()).expect("JSON");
        assert!(report["pending_bytes"] == 0 && report["before_bytes"] == report["after_bytes"], "{report}");
        assert_eq!(env(&["get", &cid]).ok(), "a note");
        env(&["verify"]).ok();
        env(&["rm", &cid, "--force"]).ok();
        assert_eq!(env(&["ls"]).ok(), "");
        // A plain path leads to the same store.
        place.run(&["stat", "--store", "store"]).ok();
        for [from, to] in [[&*store, &*store], ["store", &*store]] {
            assert!(place.run(&["copy", from, to]).fails(2).contains("cannot be copied onto itself"));
            assert!(place.run(&["diff", from, to]).fails(2).contains("are the same store"));
        }
        place.run(&["init", "--store", "named", "--backend", "bucket"]).ok();
        assert!(place.path("named/mnem").exists());
    }

    #[test]
    fn the_log_says_what_was_written_and_when() {
        let place = Place::new();
        let store = url(&place, "store");
        place.run(&["init", "--store", &store]).ok();
        assert_eq!(place.run(&["log", "--store", &store]).ok(), "");
        place.write("note", b"a note");
        let note = place.run(&["put", "note", "--store", &store]).ok().trim().to_owned();
        place.run(&["heads", "update", &note, "--store", &store]).ok();
        place.run(&["import", animals().to_str().expect("text"), "--heads", "--store", &store]).ok();
        let log = place.run(&["log", "--store", &store]).ok();
        let lines: Vec<&str> = log.lines().collect();
        let is_like = |line: &str, number: usize, rest: &str| {
            let (begin, end) = line.split_once("Z commit: ").expect("a commit");
            begin.starts_with(&format!("{number} 20")) && begin.len() == number.to_string().len() + 24 && end == rest
        };
        assert!(is_like(lines[lines.len() - 1], 0, "1 block, 6 bytes; no heads"), "{log}");
        assert!(is_like(lines[lines.len() - 2], 1, &format!("0 blocks, 0 bytes; heads {note}")), "{log}");
        let last = lines.len() - 1;
        assert!(lines[0].starts_with(&format!("{last} ")) && lines[0].contains(ROOT), "{log}");
        assert_eq!(place.run(&["log", "-n", "2", "--store", &store]).ok().lines().collect::<Vec<_>>(), &lines[..2]);
        let json = place.run(&["log", "--json", "--store", &store]).ok();
        let blocks: Vec<u64> = json
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).expect("JSON")["blocks"].as_u64().expect("a count")
            })
            .collect();
        assert_eq!((blocks.len(), blocks.iter().sum::<u64>()), (lines.len(), 4_078));
        place.run(&["compact", "--grace", "0", "--store", &store]).ok();
        let log = place.run(&["log", "--store", &store]).ok();
        assert!(log.lines().any(|line| line.contains(" compaction: moved ")), "{log}");
        assert!(
            log.lines().any(|line| line.starts_with("0 ") && line.ends_with(" compacted: 1 block; no heads")),
            "{log}"
        );
        place.run(&["init", "--store", "a.redb"]).ok();
        let said = place.run(&["log", "--store", "a.redb"]).fails(2);
        assert!(said.contains("a.redb is a redb store, which has no log to list"), "{said}");
    }

    #[test]
    fn processes_that_write_at_once_lose_nothing() {
        let place = Place::new();
        let store = url(&place, "store");
        place.run(&["init", "--store", &store]).ok();
        let mut cids: Vec<String> = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (place, store) = (&place, &store);
                    scope.spawn(move || {
                        let put = |n: usize| {
                            let name = format!("note {writer} {n}");
                            place.write(&name, name.as_bytes());
                            let cid = place.run(&["put", &name, "--store", store]).ok().trim().to_owned();
                            place.run(&["heads", "update", &cid, "--store", store]).ok();
                            cid
                        };
                        (0..3).map(put).collect::<Vec<_>>()
                    })
                })
                .collect();
            writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect()
        });
        cids.sort();
        let mut heads: Vec<String> = place.run(&["heads", "--store", &store]).ok().lines().map(str::to_owned).collect();
        heads.sort();
        assert_eq!(heads, cids);
        place.run(&["verify", "--store", &store]).ok();
    }

    #[test]
    fn a_wrong_url_is_an_error_that_leads_on() {
        let place = Place::new();
        let here = url(&place, "");
        for (store, exit, words) in [
            ("swift://b/x", 10, "supports s3://, s3a://, gs://, az://, abfs://, file://"),
            ("https://b.s3.amazonaws.com/x", 10, "s3://BUCKET/PREFIX?endpoint=https://HOST"),
            ("s3://", 1, "no bucket"),
            ("s3:///x", 1, "no bucket"),
            ("s3://b?regoin=eu", 1, "unknown setting `regoin`; known are `region`, `endpoint`"),
            ("s3://b?endpoint=http://h", 1, "add `&allow_http=true`"),
            ("s3://b:9000/x", 1, "`endpoint`"),
            ("file://b/x", 1, "file:///folder"),
            (&*format!("{here}none/x"), 10, "does not exist"),
        ] {
            for command in ["init", "ls"] {
                let said = place.run(&[command, "--store", store]).fails(exit);
                assert!(said.contains(words) && said.contains(store), "{command} {store}: {said}");
                assert!(!said.contains("open: "), "{said}");
            }
        }
        let said = place.run(&["ls", "--store", &url(&place, "x")]).fails(10);
        assert!(said.contains(&format!("`mnem-store init --store {}`", url(&place, "x"))), "{said}");
        place.write("letter", b"Dear");
        let said = place.run(&["init", "--store", &url(&place, "letter")]).fails(10);
        assert!(said.contains("it is a file, not a folder"), "{said}");
        assert_eq!(fs::read_dir(place.path("")).expect("a folder").count(), 1);
    }

    /// The port was free a moment ago, so nobody listens there.
    #[test]
    fn a_server_that_is_not_there_is_named_soon() {
        let place = Place::new();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let store = format!("s3://b/x?endpoint=http://127.0.0.1:{port}&allow_http=true");
        for command in ["init", "ls"] {
            let mut command = place.command(&[command, "--store", &store]);
            command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "hush");
            let said = crate::support::ran(&mut command).fails(1);
            assert!(said.contains(&store) && said.contains("the service cannot be reached"), "{said}");
            assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("`endpoint` in the URL"), "{said}");
            assert!(!said.contains("hush"), "{said}");
        }
    }

    #[test]
    fn a_damaged_log_names_the_entry_and_the_way_out() {
        let place = Place::new();
        let store = url(&place, "store");
        place.run(&["init", "--store", &store]).ok();
        for note in ["one", "two"] {
            place.write(note, note.as_bytes());
            place.run(&["put", note, "--store", &store]).ok();
        }
        fs::remove_file(place.path("store/log/00000000000000000000.car")).expect("removed");
        for args in
            [&["ls", "--store", &store][..], &["copy", &store, "b.redb"], &["copy", "--salvage", &store, "b.redb"]]
        {
            let said = place.run(args).exits(1).err;
            assert!(
                said.contains("log/00000000000000000000.car") && said.contains("`mnem-store import FILE"),
                "{said}"
            );
        }
        let ran = place.run(&["verify", "--store", &store]).exits(3);
        assert!(ran.err.contains("`log/` and `pack/`") && !ran.err.contains("--salvage"), "{}", ran.err);
        // Each entry is an archive.
        place.run(&["import", "store/log/00000000000000000001.car", "--store", "saved.redb"]).ok();
    }

    /// The blocks of a large commit are in packs, so the entries of the log alone do not restore a store.
    #[test]
    fn a_lost_pack_costs_its_blocks_and_names_them() {
        let place = Place::new();
        let store = url(&place, "store");
        place.run(&["init", "--store", &store]).ok();
        place.write("note", b"a note");
        let note = place.run(&["put", "note", "--store", &store]).ok().trim().to_owned();
        place.run(&["import", animals().to_str().expect("text"), "--heads", "--store", &store]).ok();
        let packs: Vec<_> =
            fs::read_dir(place.path("store/pack")).expect("packs").map(|pack| pack.expect("one")).collect();
        for pack in &packs {
            fs::remove_file(pack.path()).expect("removed");
        }
        let ran = place.run(&["verify", "--store", &store]).exits(3);
        let lost =
            |line: &&str| line.starts_with("unreadable: baf") && line.contains("pack/") && line.contains("missing");
        let lines: std::collections::BTreeSet<_> = ran.out().lines().filter(lost).collect();
        assert_eq!(lines.len(), 4_077, "each line names another block: {}", ran.out());
        assert!(ran.err.contains("copy --salvage") && !ran.err.contains("`mnem-store rm"), "{}", ran.err);
        place.run(&["copy", "--salvage", &store, "saved.redb"]).exits(3);
        assert_eq!(place.run(&["ls", "--store", "saved.redb"]).ok().trim(), note);
    }

    #[test]
    fn a_store_without_its_first_object_is_damaged() {
        let place = Place::new();
        let store = url(&place, "store");
        place.run(&["import", animals().to_str().expect("text"), "--heads", "--store", &store]).ok();
        fs::remove_file(place.path("store/mnem")).expect("removed");
        for args in
            [&["ls", "--store", &store][..], &["put", "store/probe", "--store", &store], &["ls", "--store", "store"]]
        {
            let said = place.run(args).fails(1);
            assert!(said.contains("mnem") && said.contains("`log/` and `pack/`"), "{args:?}: {said}");
        }
    }
}
