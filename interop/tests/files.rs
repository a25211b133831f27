//! One file, used by the published programs and by ours in turn.

use std::{path::Path, sync::Arc};

use mnem_ann_persist::{DistanceMetric, KnnEdgeIndex};
use mnem_backend_redb::{
    Layout, OpenOptions,
    knn_edges_store::{load_knn_edges, store_knn_edges},
};
use mnem_core_bridge::{Bridge, store_cid};
use mnem_interop::{
    edges::{Made, to_published, to_published_cid},
    flow::{Contents, check, first_half, second_half},
    graph::{Stores, halves},
};
use mnem_store_traits::{Cid, cid_from_bytes};
use redb::Database;

use crate::tool::{bridged, ok, published, run, tables};

const THEIRS: &str = "mnem_knn_edges";
const OURS: &str = "knn_edges";

fn index(seed: u64) -> KnnEdgeIndex {
    Made::new(30, 4, DistanceMetric::Cosine, seed).index()
}

/// Stores an index as the published program does. It has the file to itself.
fn store_published(path: &Path, index: &KnnEdgeIndex) -> Cid {
    let database = Arc::new(Database::open(path).expect("their file"));
    let cid = published_redb::store_knn_edges(&database, &to_published(index)).expect("stored");
    cid_from_bytes(&cid.to_bytes()).expect("a CID")
}

fn load_published(path: &Path, cid: &Cid) -> published_ann::KnnEdgeIndex {
    let database = Arc::new(Database::open(path).expect("their file"));
    published_redb::load_knn_edges(&database, &to_published_cid(cid)).expect("loaded")
}

/// What one program alone makes of the same life.
fn expected() -> Contents {
    let alone: Stores = (
        Arc::new(published_core::store::MemoryBlockstore::new()),
        Arc::new(published_core::store::MemoryOpHeadsStore::new()),
    );
    first_half(&alone).expect("their memory");
    second_half(&alone).expect("their memory");
    Contents::of(&alone).expect("their memory")
}

#[test]
fn what_they_wrote_is_read_and_written_here_and_theirs_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.redb");
    first_half(&published(&path)).unwrap();
    let half = Contents::of(&published(&path)).unwrap();
    let first = store_published(&path, &index(1));

    assert_eq!(Contents::of(&bridged(&path)).unwrap(), half, "read whole");
    second_half(&bridged(&path)).unwrap();
    let store = OpenOptions::new().open(&path).unwrap();
    assert_eq!((store.layout(), store.format()), (Layout::Mnem01, "mnem-backend-redb 0.1"));
    assert_eq!(load_knn_edges(&store, &first).unwrap(), Some(index(1)));
    let second = store_knn_edges(&store, &index(2)).unwrap();
    drop(store);

    assert_eq!(tables(&path, THEIRS).0, [THEIRS, "mnem_objects", "mnem_op_heads"], "no table of ours, no version row");
    let stores = published(&path);
    check(&stores).unwrap();
    assert_eq!(Contents::of(&stores).unwrap(), expected());
    drop(stores);
    assert_eq!(load_published(&path, &first), to_published(&index(1)));
    assert_eq!(load_published(&path, &second), to_published(&index(2)));
}

#[test]
fn what_we_wrote_in_their_layout_is_read_and_written_there_and_ours_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.redb");
    let store = OpenOptions::new().create(true).layout(Layout::Mnem01).open(&path).unwrap();
    let first = store_knn_edges(&store, &index(1)).unwrap();
    let bridge = Bridge::new(Arc::new(store));
    first_half(&bridge.stores()).unwrap();
    bridge.close().unwrap();
    drop(bridge);

    assert_eq!(load_published(&path, &first), to_published(&index(1)));
    second_half(&published(&path)).unwrap();
    let second = store_published(&path, &index(2));

    assert_eq!(Contents::of(&bridged(&path)).unwrap(), expected());
    let store = OpenOptions::new().open(&path).unwrap();
    for (cid, seed) in [(first, 1), (second, 2)] {
        assert_eq!(load_knn_edges(&store, &cid).unwrap(), Some(index(seed)));
    }
}

/// Their file with the whole life and two indexes in it.
fn made_by_them(path: &Path) -> Contents {
    first_half(&published(path)).unwrap();
    second_half(&published(path)).unwrap();
    store_published(path, &index(1));
    store_published(path, &index(2));
    Contents::of(&published(path)).unwrap()
}

#[test]
fn the_command_line_works_on_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.redb");
    let contents = made_by_them(&path);
    let before = std::fs::read(&path).unwrap();
    let store = path.to_str().unwrap();
    let stat = ok(["stat", "--store", store, "--json"]);
    let blocks = format!("\"blocks\":{},", contents.blocks.len());
    for part in [blocks.as_str(), "\"heads\":1,", "\"knn_indexes\":2,", "mnem-backend-redb 0.1"] {
        assert!(stat.replace(": ", ":").contains(part), "{part} is not in {stat}");
    }
    ok(["verify", "--store", store]);
    assert_eq!(ok(["heads", "--store", store]).trim(), contents.heads[0].to_string());
    assert_eq!(ok(["knn", "list", "--store", store]).lines().count(), 2);
    let archive = folder.path().join("out.car");
    ok(["export", archive.to_str().unwrap(), "--store", store]);
    assert!(std::fs::read(&path).unwrap() == before, "reading changes no byte of the file");

    let imported = folder.path().join("imported.redb");
    ok(["import", archive.to_str().unwrap(), "--heads", "--store", imported.to_str().unwrap()]);
    let mut reached = contents.walk.clone();
    reached.sort();
    let listed: Vec<_> = Contents::of(&bridged(&imported)).unwrap().blocks.into_iter().map(|(cid, _)| cid).collect();
    assert_eq!(listed, reached, "an archive holds what the head reaches");
}

#[test]
fn copies_to_our_layout_and_to_files_and_back_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let copy = |from: &str, to: &str, more: &[&str]| {
        let (from, to) = (path(from), path(to));
        ok(["copy".as_ref(), from.as_os_str(), to.as_os_str()].into_iter().chain(more.iter().map(|arg| arg.as_ref())))
    };
    let contents = made_by_them(&path("theirs.redb"));
    let rows = tables(&path("theirs.redb"), THEIRS).1;
    assert_eq!(rows.len(), 2);

    copy("theirs.redb", "ours.redb", &[]);
    assert_eq!(Contents::of(&bridged(&path("ours.redb"))).unwrap(), contents);
    let (names, ours) = tables(&path("ours.redb"), OURS);
    assert_eq!((names.contains(&"meta".to_owned()), ours), (true, rows.clone()));
    copy("theirs.redb", "ours.simple", &[]);
    assert_eq!(Contents::of(&bridged(&path("ours.simple"))).unwrap(), contents);

    for from in ["ours.redb", "ours.simple"] {
        let back = format!("back-from-{from}.redb");
        copy(from, &back, &["--format", "mnem-backend-redb 0.1"]);
        assert_eq!(
            tables(&path(&back), THEIRS),
            (vec![THEIRS.into(), "mnem_objects".into(), "mnem_op_heads".into()], rows.clone())
        );
        let stores = published(&path(&back));
        assert_eq!(Contents::of(&stores).unwrap(), contents);
        check(&stores).unwrap();
    }
    // Only a redb file has that layout, and one that is there keeps its own.
    for to in ["new.simple", "ours.redb"] {
        let refused = run([
            "copy".as_ref(),
            path("theirs.redb").as_os_str(),
            path(to).as_os_str(),
            "--format".as_ref(),
            "mnem-backend-redb 0.1".as_ref(),
        ]);
        assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    }
    assert!(!path("new.simple").exists());
}

/// A row larger than our tables' values. Here it is kept in parts, and there is no way back for it.
#[test]
fn a_large_index_of_theirs_is_copied_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    first_half(&published(&path("theirs.redb"))).unwrap();
    let contents = Contents::of(&published(&path("theirs.redb"))).unwrap();
    let large = Made::new(20_000, 15, DistanceMetric::Dot, 4).index();
    let cids = [store_published(&path("theirs.redb"), &large), store_published(&path("theirs.redb"), &index(1))];

    let copy = |from: &str, to: &str| {
        let (from, to) = (path(from), path(to));
        run([
            "copy".as_ref(),
            from.as_os_str(),
            to.as_os_str(),
            "--format".as_ref(),
            if to.ends_with("back.redb") { "mnem-backend-redb 0.1" } else { "mnem-backend-redb 1" }.as_ref(),
        ])
    };
    // Twice: an interrupted copy is run again, and finds parts that the source has not.
    for _ in 0..2 {
        let copied = copy("theirs.redb", "ours.redb");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    }
    let store = OpenOptions::new().open(path("ours.redb")).unwrap();
    assert_eq!(load_knn_edges(&store, &cids[0]).unwrap(), Some(large));
    assert_eq!(load_knn_edges(&store, &cids[1]).unwrap(), Some(index(1)));
    drop(store);
    ok(["verify".as_ref(), "--store".as_ref(), path("ours.redb").as_os_str()]);

    let refused = copy("ours.redb", "back.redb");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("300000 edges make a row of"), "{said}");
    assert_eq!(Contents::of(&published(&path("back.redb"))).unwrap(), contents, "everything else is in place");
}

/// The published program reads rows only.
#[test]
fn an_index_in_our_format_becomes_a_row_on_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.redb"), folder.path().join("theirs.redb"));
    let store = OpenOptions::new().create(true).open(&ours).unwrap();
    let cid = store_knn_edges(&store, &index(3)).unwrap();
    first_half(&halves(Bridge::new(Arc::new(store)))).unwrap();
    assert!(tables(&ours, OURS).1.len() > 1, "in parts");

    let copy =
        ["copy".as_ref(), ours.as_os_str(), theirs.as_os_str(), "--format".as_ref(), "mnem-backend-redb 0.1".as_ref()];
    for round in 0..2 {
        let told = ok(copy);
        // The second time it is there, whole, and stays.
        let turned = told.contains("knn      1 index in the published format");
        assert_eq!(turned, round == 0, "round {round}: {told}");
        assert_eq!(tables(&theirs, THEIRS).1, [(cid.to_bytes(), index(3).canonical_bytes())]);
    }
    assert_eq!(load_published(&theirs, &cid), to_published(&index(3)));
    let stores = published(&theirs);
    second_half(&stores).unwrap();
    assert_eq!(Contents::of(&stores).unwrap(), expected());
    assert!(stores.1.current().unwrap().iter().all(|head| store_cid(head).is_ok()));
}
