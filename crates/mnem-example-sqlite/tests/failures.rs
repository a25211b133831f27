//! Failures that no law can cause without a failing medium: a failed commit, and files that are not a store.

use mnem_example_sqlite::SqliteStore;
use mnem_store_traits::{
    Blockstore as _, BlockstoreExt as _, Bytes, ErrorKind, OpHeadsStore as _, Outcome, RAW, Store as _, WriteBatch,
    cid_of,
};
use rusqlite::Connection;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A trigger that makes every new head refer to a missing row. SQLite notices at the very end, in `COMMIT`.
const FAIL_AT_COMMIT: &str = "
    CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER fail AFTER INSERT ON heads BEGIN INSERT INTO child VALUES (1); END;";

#[test]
fn failed_commit_poisons_the_handle() -> Result {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("store.sqlite");
    let store = SqliteStore::open(&file)?;
    let kept = store.put_as(RAW, Bytes::from_static(b"kept"))?;
    let other = Connection::open(&file)?;
    other.execute_batch(FAIL_AT_COMMIT)?;

    let data = Bytes::from_static(b"lost");
    let lost = cid_of(RAW, &data);
    let error = store.commit(WriteBatch::new().put(lost, data).update(lost, [])).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Backend, Outcome::Unknown));
    let refused = store.put_as(RAW, Bytes::from_static(b"refused")).unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Poisoned, Outcome::NotApplied));
    assert_eq!(store.delete(&kept).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(store.get_required(&kept)?, "kept");
    assert_eq!(store.heads()?, []);

    other.execute_batch("DROP TRIGGER fail")?;
    let again = SqliteStore::open(&file)?;
    again.update(&kept, &[])?;
    assert_eq!(store.heads()?, [kept]);
    store.close()?;
    Ok(())
}

#[test]
fn other_files_are_left_alone() -> Result {
    let folder = tempfile::tempdir()?;
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no database ".repeat(1000))?;
    assert_eq!(SqliteStore::open(&text).unwrap_err().kind(), ErrorKind::NotAStore);
    assert_eq!(std::fs::read_to_string(&text)?, "no database ".repeat(1000));

    let music = folder.path().join("music.sqlite");
    Connection::open(&music)?.execute_batch("CREATE TABLE songs (name TEXT)")?;
    let before = std::fs::read(&music)?;
    assert_eq!(SqliteStore::open(&music).unwrap_err().kind(), ErrorKind::NotAStore);
    assert_eq!(std::fs::read(&music)?, before);

    let newer = folder.path().join("newer.sqlite");
    SqliteStore::open(&newer)?.close()?;
    Connection::open(&newer)?.pragma_update(None, "user_version", 2)?;
    assert_eq!(SqliteStore::open(&newer).unwrap_err().kind(), ErrorKind::UnsupportedFormat);
    Ok(())
}

/// Opening syncs whatever a killed process left in the log: it writes a page, though nothing changes.
#[test]
fn opening_writes_the_log() -> Result {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("store.sqlite");
    let _first = SqliteStore::open(&file)?;
    let log_bytes = || std::fs::metadata(folder.path().join("store.sqlite-wal")).map(|log| log.len());
    let before = log_bytes()?;
    let _second = SqliteStore::open(&file)?;
    assert!(log_bytes()? > before);
    Ok(())
}
