//! The command line as operators have it, and stores opened through both families.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use mnem_core_bridge::Bridge;
use mnem_interop::graph::{Stores, halves};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _};

/// `mnem-store`, built for these tests: a package does not see another one's programs.
pub(crate) fn tool() -> &'static Path {
    static TOOL: LazyLock<PathBuf> = LazyLock::new(|| {
        let this = env::current_exe().expect("this binary");
        let folder = this.parent().and_then(Path::parent).expect("target/PROFILE/deps");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--locked", "--quiet", "-p", "mnem-storage-cli", "--bin", "mnem-store"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo");
        assert!(status.success(), "mnem-store could not be built");
        folder.join("mnem-store").with_extension(env::consts::EXE_EXTENSION)
    });
    &TOOL
}

/// What the tool says, whatever its exit status.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    Command::new(tool()).args(args).env_remove("MNEM_STORE").output().expect("mnem-store")
}

/// What the tool prints when it succeeds.
#[track_caller]
pub(crate) fn ok<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> String {
    let output = run(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A file through the published backend.
pub(crate) fn published(path: &Path) -> Stores {
    let (blocks, heads, _) = published_redb::open_or_init(path).expect("the published backend");
    (blocks, heads)
}

/// A store of ours that is there, through the bridge.
pub(crate) fn bridged(path: &Path) -> Stores {
    halves(Bridge::new(mnem_storage::OpenOptions::new().open(path).expect("a store")))
}

/// Keys and values.
type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The tables of a redb file, and the rows of that for edges.
pub(crate) fn tables(path: &Path, edges: &str) -> (Vec<String>, Rows) {
    let database = Database::open(path).expect("a redb file");
    let read = database.begin_read().expect("a snapshot");
    let names = read.list_tables().expect("tables").map(|table| table.name().to_owned()).collect();
    let rows = match read.open_table(TableDefinition::<&[u8], &[u8]>::new(edges)) {
        Ok(table) => {
            let rows = table.iter().expect("rows").map(|row| row.expect("a row"));
            rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect()
        }
        Err(redb::TableError::TableDoesNotExist(_)) => Vec::new(),
        Err(error) => panic!("{error}"),
    };
    (names, rows)
}
