//! Runs the commands in the documents as typed: every `console` block, in a folder that looks like the root of a clone.
//! With TRYCMD=overwrite, updates the documents to the current output.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_storage::{Store, WriteBatch};
use trycmd::schema::Bin;

use crate::support::{Place, ROOT, small_graph};

/// Programs of the system that the documents use.
const TOOLS: [&str; 8] = ["cat", "cp", "head", "ls", "mv", "sh", "sha256sum", "truncate"];

#[test]
#[cfg_attr(feature = "bucket", ignore = "the page shows the default backends, which its errors name")]
fn operations() {
    run("docs/OPERATIONS.md", |place| {
        place.small_store("newer.simple");
        place.write("newer.simple/format", b"mnem-backend-simple 2\n");
        // Kept open while the commands run, as if by another process. A copy of the open file is what a kill leaves.
        let busy = place.store("busy.redb");
        let (blocks, root, _) = small_graph();
        let mut batch = WriteBatch::new();
        batch.extend(blocks);
        busy.commit(batch.update(root, [])).expect("committed");
        for name in ["killed.redb", "unclean.redb"] {
            place.write(name, &place.read("busy.redb"));
        }
        Some(busy)
    });
}

/// The blocks marked `console,bucket`.
#[cfg(feature = "bucket")]
#[test]
fn operations_in_a_bucket() {
    run("docs/OPERATIONS.md", |_| None);
}

#[test]
fn first_page() {
    run("README.md", with_animals);
}

#[test]
fn page_of_the_command_line() {
    run("crates/mnem-storage-cli/README.md", |place| {
        for file in ["wordnet-animals.car", "animals-vectors.jsonl"] {
            let name = file.trim_start_matches("wordnet-");
            fs::copy(place.path("docs/data").join(file), place.path(name)).expect("copied");
        }
        None
    });
}

/// The result of the first command on the first page.
fn with_animals(place: &Place) -> Option<Arc<dyn Store>> {
    place.run(&["import", "docs/data/wordnet-animals.car", "--heads", "--store", "animals.redb"]).ok();
    assert_eq!(place.run(&["heads", "--store", "animals.redb"]).ok(), format!("{ROOT}\n"));
    None
}

/// The first line of a block that needs the feature `bucket`, and what it becomes in a build without the feature.
const WITH_BUCKETS: &str = "```console,bucket\n";
const WITH_BUCKETS_IGNORED: &str = "```console,ignore,bucket\n";

/// The first line of any other block, and what it becomes in a build with the feature.
const PLAIN: &str = "```console\n";
const PLAIN_IGNORED: &str = "```console,ignore,plain\n";

/// Marks the blocks that this build does not run. In a document with blocks for buckets, a build with the feature runs
/// these only.
fn with_ignored_blocks(text: &str) -> String {
    match (text.contains(WITH_BUCKETS), cfg!(feature = "bucket")) {
        (true, true) => text.replace(PLAIN, PLAIN_IGNORED),
        (true, false) => text.replace(WITH_BUCKETS, WITH_BUCKETS_IGNORED),
        (false, _) => text.to_owned(),
    }
}

fn without_marks(text: &str) -> String {
    text.replace(PLAIN_IGNORED, PLAIN).replace(WITH_BUCKETS_IGNORED, WITH_BUCKETS)
}

/// Runs the blocks of one document in order, in one folder. `prepare` sets up the folder, and may return a store that
/// stays open.
fn run(document: &str, prepare: impl FnOnce(&Place) -> Option<Arc<dyn Store>>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let place = Place::new();
    let copy = place.path("document.md");
    let text = fs::read_to_string(root.join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    fs::write(&copy, with_ignored_blocks(&text)).expect("a copy");
    // trycmd runs the commands of `document.md` in `document.in`.
    let folder = place.below("document.in");
    copy_files(&root.join("docs/data"), &folder.path("docs/data")).expect("the data");
    folder.write("notes.txt", b"A note.\n");
    let _open = prepare(&folder);

    let program = PathBuf::from(env!("CARGO_BIN_EXE_mnem-store"));
    let path = env::join_paths(program.parent().map(Path::to_owned).into_iter().chain(search_path())).expect("a path");
    let cases = trycmd::TestCases::new();
    cases.env("COLUMNS", "100").env("PATH", path.to_string_lossy());
    cases.register_bins(TOOLS.map(|tool| (tool, Bin::Path(found(tool)))));
    cases.case(&copy).run();
    if env::var_os("TRYCMD").is_some_and(|mode| mode == "overwrite") {
        let text = without_marks(&fs::read_to_string(&copy).expect("the copy"));
        fs::write(root.join(document), text).unwrap_or_else(|error| panic!("{document}: {error}"));
    }
}

fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

fn found(tool: &str) -> PathBuf {
    let mut candidates = search_path().into_iter().map(|folder| folder.join(tool));
    candidates.find(|file| file.is_file()).unwrap_or_else(|| panic!("{tool} is not on the path"))
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
