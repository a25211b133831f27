//! Files and the oldest redb that the published backend takes: 4.1, in a program built apart.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use mnem_backend_redb::{Layout, OpenOptions};
use mnem_core_bridge::Bridge;
use mnem_interop::{
    flow::{Contents, check, first_half, second_half},
    graph::{Stores, halves},
};
use published_core::store::{MemoryBlockstore, MemoryOpHeadsStore};

use crate::tool::bridged;

/// The program, built beside these tests.
fn program() -> PathBuf {
    let this = env::current_exe().expect("this binary");
    let folder = this.ancestors().nth(3).expect("target/PROFILE/deps").join("redb41");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--quiet", "--target-dir"]).arg(&folder);
    let status = build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/redb41")).status().expect("cargo");
    assert!(status.success(), "it could not be built");
    folder.join("debug/mnem-interop-redb41").with_extension(env::consts::EXE_EXTENSION)
}

fn run(program: &Path, command: &str, file: &Path) -> String {
    let output = Command::new(program).arg(command).arg(file).output().expect("the program");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn told(contents: &Contents) -> String {
    format!("{} blocks, {} reached, heads {:?}\n", contents.blocks.len(), contents.walk.len(), contents.heads)
}

#[test]
fn its_files_and_ours_are_each_others() {
    let program = program();
    let folder = tempfile::tempdir().unwrap();
    let alone: Stores = (Arc::new(MemoryBlockstore::new()), Arc::new(MemoryOpHeadsStore::new()));
    first_half(&alone).unwrap();
    second_half(&alone).unwrap();
    let expected = Contents::of(&alone).unwrap();

    let theirs = folder.path().join("theirs.redb");
    run(&program, "first", &theirs);
    second_half(&bridged(&theirs)).unwrap();
    assert_eq!(run(&program, "check", &theirs), told(&expected));
    assert_eq!(Contents::of(&bridged(&theirs)).unwrap(), expected);

    let ours = folder.path().join("ours.redb");
    let store = OpenOptions::new().create(true).layout(Layout::Mnem01).open(&ours).unwrap();
    first_half(&halves(Bridge::new(Arc::new(store)))).unwrap();
    assert_eq!(run(&program, "second", &ours), told(&expected));
    check(&bridged(&ours)).unwrap();
    assert_eq!(Contents::of(&bridged(&ours)).unwrap(), expected);
}
