//! Runs the program, and makes stores for it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use mnem_storage::{Bytes, Cid, DAG_CBOR, OpenOptions, Store, WriteBatch, cid_of};
use tempfile::TempDir;

/// The root of the real data.
pub(crate) const ROOT: &str = "bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe";

/// A well-formed CID of a block that no store here holds.
pub(crate) const ABSENT: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

/// A CARv1 without roots and blocks.
pub(crate) const EMPTY_CAR: &[u8] = b"\x11\xa2eroots\x80gversion\x01";

/// The two backends, by the extensions of their paths.
pub(crate) const BACKENDS: [&str; 2] = ["redb", "simple"];

/// Whether this process was started with the signal ignored, as a shell starts background jobs with SIGINT and SIGQUIT
/// ignored. Child processes inherit this, and rightly keep ignoring the signal.
#[cfg(unix)]
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map_or("0", str::trim);
    u64::from_str_radix(ignored, 16).expect("a mask") & (1 << (signal - 1)) != 0
}

/// The output and exit status of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.out).expect("text")
    }

    /// The output of a successful run.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        self.exits(0).out().to_owned()
    }

    #[track_caller]
    pub(crate) fn exits(self, exit: i32) -> Self {
        assert_eq!(self.exit, Some(exit), "stdout: {}\nstderr: {}", String::from_utf8_lossy(&self.out), self.err);
        self
    }

    /// The messages of a run that failed with this status: an `error:` line, and nothing on standard output.
    #[track_caller]
    pub(crate) fn fails(self, exit: i32) -> String {
        let ran = self.exits(exit);
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
        // The next step: a hint of ours, or one of the command line parser.
        assert!(
            ran.err.contains("\nhint: ") || ran.err.contains("\nFor more information, try '--help'"),
            "{}",
            ran.err
        );
        assert_eq!(ran.out(), "");
        ran.err
    }
}

/// A folder in which the program runs.
pub(crate) struct Place {
    folder: PathBuf,
    /// Removes the folder at the end, unless it is inside another place.
    _own: Option<TempDir>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let own = tempfile::tempdir().expect("a temporary folder");
        Self { folder: own.path().to_owned(), _own: Some(own) }
    }

    /// A new folder in this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        fs::create_dir(self.path(name)).expect("a new folder");
        Self { folder: self.path(name), _own: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).expect("written");
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program with these arguments, in this folder, without environment variables that affect it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnem-store"));
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        for name in ["MNEM_STORE", "NO_COLOR", "CLICOLOR_FORCE", "RUST_BACKTRACE", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // The program may end before it has read everything.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        let output = child.wait_with_output().expect("it ends");
        Ran { exit: output.status.code(), out: output.stdout, err: text(output.stderr) }
    }

    /// The store with this name, created if necessary.
    pub(crate) fn store(&self, name: &str) -> Arc<dyn Store> {
        OpenOptions::new().create(true).open(self.path(name)).expect("a store")
    }

    /// Makes a store with [`small_graph`] and a head, and closes it. Returns the root and the leaves.
    pub(crate) fn small_store(&self, name: &str) -> (Cid, [Cid; 2]) {
        let store = self.store(name);
        let (blocks, root, leaves) = small_graph();
        let mut batch = WriteBatch::new();
        batch.extend(blocks);
        store.commit(batch.update(root, [])).expect("committed");
        store.close().expect("closed");
        (root, leaves)
    }
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().expect("the program starts");
    Ran { exit: output.status.code(), out: output.stdout, err: text(output.stderr) }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// A DAG-CBOR list of links to two leaves.
pub(crate) fn small_graph() -> (Vec<(Cid, Bytes)>, Cid, [Cid; 2]) {
    let leaves = [b"\x61a", b"\x61b"].map(|data| (cid_of(DAG_CBOR, data), Bytes::from_static(data)));
    let mut root = vec![0x82];
    for (cid, _) in &leaves {
        root.extend_from_slice(b"\xd8\x2a\x58\x25\x00");
        root.extend_from_slice(&cid.to_bytes());
    }
    let root = (cid_of(DAG_CBOR, &root), Bytes::from(root));
    let (cids, root_cid) = (leaves.clone().map(|(cid, _)| cid), root.0);
    (leaves.into_iter().chain([root]).collect(), root_cid, cids)
}

/// The archive of real data.
pub(crate) fn animals() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data/wordnet-animals.car")
}

/// Every file below a folder or file, with its bytes.
pub(crate) fn snapshot(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut pending = vec![path.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.exists() {
            files.push((path.clone(), fs::read(&path).expect("a file")));
        }
    }
    files.sort();
    files
}
