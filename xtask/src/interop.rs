//! Exchanges archives with third-party implementations that check hashes: they read archives written here, and the
//! reverse. They also read the segments of a log. Opt-in: it installs packages from npm and PyPI into a temporary folder.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};
use xshell::{Shell, cmd};

const BLOCKS: usize = 4077;

/// Blocks that are removed from a log before it is compacted.
const REMOVED: usize = 500;

/// Counts the blocks of a CARv1 and hashes each, with a third-party reader.
const CARBOX: &str = "\
import sys, hashlib, carbox
roots, blocks = carbox.read_car(open(sys.argv[1], 'rb').read(), validate=True)
print(len(list(blocks)))
";

/// Writes the Bluesky commit that carbox ships as an archive, with carbox's own writer.
const CARBOX_FIXTURE: &str = "\
import sys, base64, pathlib, carbox
from carbox.car import write_car
from carbox.message import read_event_pair
raw = (pathlib.Path(carbox.__file__).parent / 'fixtures' / 'donkeyballs.b64').read_text()
_, event = read_event_pair(base64.b64decode(raw))
roots, blocks = carbox.read_car(event['blocks'], validate=True)
open(sys.argv[1], 'wb').write(write_car(roots, blocks))
print(len(blocks))
";

/// Runs the exchange and prints the results.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    cmd!(sh, "cargo build --locked --release --bin mnem-store").run()?;
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".into());
    let tool = sh.current_dir().join(target).join("release/mnem-store");
    let data = sh.current_dir().join("docs/data/wordnet-animals.car");
    let folder = sh.create_temp_dir()?;
    let dir = folder.path();
    let store = dir.join("animals.redb");
    let archive = dir.join("out.car");
    cmd!(sh, "{tool} import {data} --heads --store {store}").run()?;
    cmd!(sh, "{tool} export {archive} --store {store}").run()?;
    let segments = segments(&sh, dir, &tool, &data)?;
    ipfs_car(&sh, dir, &tool, &archive, &segments)?;
    carbox(&sh, dir, &tool, &archive, &segments)?;
    Ok(())
}

/// The segments of a log: of a new one, with deletes, those that a compaction wrote, and of an adopted archive.
fn segments(sh: &Shell, dir: &Path, tool: &Path, data: &Path) -> Result<Vec<PathBuf>> {
    let store = dir.join("animals.carlog");
    cmd!(sh, "{tool} import {data} --heads --store {store}").run()?;
    let live = store.join("seg-000001.car");
    let [new, deleted, compacted] = ["new.car", "deleted.car", "compacted.car"].map(|name| dir.join(name));
    sh.copy_file(&live, &new)?;
    let heads = cmd!(sh, "{tool} heads --store {store}").quiet().read()?;
    let listed = cmd!(sh, "{tool} ls --store {store}").quiet().read()?;
    let removed = listed.lines().filter(|cid| !heads.contains(cid)).take(REMOVED);
    cmd!(sh, "{tool} rm {removed...} --store {store}").quiet().ignore_stdout().run()?;
    sh.copy_file(&live, &deleted)?;
    cmd!(sh, "{tool} compact --store {store}").run()?;
    let left = sh.read_dir(&store)?;
    let left: Vec<_> = left.iter().filter(|path| path.extension().is_some_and(|end| end == "car")).collect();
    let [segment] = left[..] else { bail!("the compacted log has {} segments, not 1", left.len()) };
    ensure!(*segment != live, "nothing was compacted");
    sh.copy_file(segment, &compacted)?;
    let (other, adopted) = (dir.join("adopting.carlog"), dir.join("adopted.car"));
    cmd!(sh, "{tool} import {data} --adopt --heads --store {other}").run()?;
    sh.copy_file(other.join("seg-000001.car"), &adopted)?;
    Ok(vec![new, deleted, compacted, adopted])
}

fn ipfs_car(sh: &Shell, dir: &Path, tool: &Path, archive: &Path, segments: &[PathBuf]) -> Result<()> {
    let _inside = sh.push_dir(dir);
    cmd!(sh, "npm install --silent --ignore-scripts --no-save --prefix . ipfs-car@3.1.0").run()?;
    let ipfs_car = "node_modules/.bin/ipfs-car";
    let listed = cmd!(sh, "{ipfs_car} blocks {archive}").quiet().read()?.lines().count();
    ensure!(listed == BLOCKS, "ipfs-car lists {listed} blocks of ours, not {BLOCKS}");
    println!("ipfs-car 3.1.0 reads ours: {listed} blocks, hashes checked");

    let mut damaged = sh.read_binary_file(archive)?;
    if let Some(last) = damaged.last_mut() {
        *last ^= 1;
    }
    sh.write_file("damaged.car", &damaged)?;
    let refused = cmd!(sh, "{ipfs_car} blocks damaged.car").quiet().ignore_status().ignore_stdout().output()?;
    ensure!(!refused.status.success(), "ipfs-car accepts a damaged archive, so its reading of ours proves nothing");
    println!("ipfs-car 3.1.0 refuses a copy with one bit changed");

    for segment in segments {
        same_blocks(sh, tool, ipfs_car, segment)?;
    }

    let numbers: Vec<u8> = (0u32..750_000).flat_map(u32::to_le_bytes).collect();
    sh.write_file("numbers.bin", numbers)?;
    cmd!(sh, "{ipfs_car} pack numbers.bin --output packed.car").quiet().ignore_stdout().run()?;
    same_blocks(sh, tool, ipfs_car, Path::new("packed.car"))?;
    for archive in sh.read_dir("node_modules/ipfs-car/test/fixtures")? {
        if archive.extension().is_some_and(|extension| extension == "car") {
            same_blocks(sh, tool, ipfs_car, &archive)?;
        }
    }
    Ok(())
}

/// Checks that we read the same blocks from an archive as ipfs-car does. The fixtures of that package have several
/// roots, none, and one that is not among the blocks.
fn same_blocks(sh: &Shell, tool: &Path, ipfs_car: &str, archive: &Path) -> Result<()> {
    let store = "same.redb";
    sh.remove_path(store)?;
    let listed = cmd!(sh, "{ipfs_car} blocks {archive}").quiet().read()?;
    let theirs: BTreeSet<&str> = listed.lines().collect();
    cmd!(sh, "{tool} import {archive} --store {store}").quiet().ignore_stderr().run()?;
    let listed = cmd!(sh, "{tool} ls --store {store}").quiet().read()?;
    let ours: BTreeSet<&str> = listed.lines().collect();
    ensure!(theirs == ours, "{}: we read other blocks than ipfs-car", archive.display());
    println!("we read {}: the same {} blocks", archive.file_name().unwrap_or_default().display(), ours.len());
    Ok(())
}

fn carbox(sh: &Shell, dir: &Path, tool: &Path, archive: &Path, segments: &[PathBuf]) -> Result<()> {
    let _inside = sh.push_dir(dir);
    cmd!(sh, "python3 -m pip install --quiet --disable-pip-version-check --target python carbox==0.3").run()?;
    let _path = sh.push_env("PYTHONPATH", dir.join("python"));
    let count = cmd!(sh, "python3 -c {CARBOX} {archive}").quiet().read()?;
    ensure!(count == BLOCKS.to_string(), "carbox reads {count} blocks of ours, not {BLOCKS}");
    println!("carbox 0.3 reads ours: {count} blocks, hashes checked");

    for segment in segments {
        let count: usize = cmd!(sh, "python3 -c {CARBOX} {segment}").quiet().read()?.parse()?;
        // And the store's own records.
        let least = if segment.ends_with("compacted.car") { BLOCKS - REMOVED } else { BLOCKS };
        ensure!(count > least, "carbox reads {count} blocks of {}, not {least}", segment.display());
        println!("carbox 0.3 reads {}: {count} blocks", segment.file_name().unwrap_or_default().display());
    }

    let blocks = cmd!(sh, "python3 -c {CARBOX_FIXTURE} theirs.car").quiet().read()?;
    cmd!(sh, "{tool} import theirs.car --heads --store carbox.redb").run()?;
    let ours = cmd!(sh, "{tool} ls --store carbox.redb").quiet().read()?.lines().count();
    ensure!(blocks == ours.to_string(), "we read {ours} of the {blocks} blocks that carbox wrote");
    println!("we read carbox's archive of a Bluesky commit: {ours} blocks");
    Ok(())
}
