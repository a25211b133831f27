//! Stores in an object storage whose answers take as long as those of Amazon S3.

#[cfg(feature = "bucket")]
mod commits;
#[cfg(feature = "bucket")]
mod peers;
#[cfg(feature = "bucket")]
mod reads;
#[cfg(feature = "bucket")]
mod service;

use anyhow::Result;

use super::Group;
use crate::run::Run;

pub(super) const GROUP: Group = Group {
    name: "remote",
    title: "In an object storage",
    about: "The bucket backend over an object storage in memory that answers like Amazon S3 in the same region: 40 \
            ms for a `PUT`, 20 ms for a `GET`, 50 ms for a `LIST`, each varied by up to 40 %, and 90 MB/s for each \
            request. Beside it, two common designs of such stores: *object per block* puts each block and each head \
            into an object of its own; *one manifest* puts the blocks of a commit into one object, and then replaces \
            the list of all such objects if nobody else has replaced it (`If-Match`). Both are part of the \
            benchmark, and make only these requests. Blocks of 300 bytes. Dollars are what S3 charges for the \
            requests of a million commits: $5 for a million of `PUT` and `LIST`, $0.40 for a million of `GET`, \
            nothing for `DELETE`. Most of each figure is delay, so a faster machine changes little.",
    run,
    opt_in: true,
};

#[cfg(feature = "bucket")]
fn run(run: &mut Run) -> Result<()> {
    commits::run(run)?;
    reads::run(run)
}

#[cfg(not(feature = "bucket"))]
fn run(_: &mut Run) -> Result<()> {
    anyhow::bail!("build it with `--features bucket`")
}
