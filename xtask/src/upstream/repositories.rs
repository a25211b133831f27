//! What the servers begin with: a repository of two nodes and an edge, and the same one node further.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use super::programs::{Programs, answer, words};

/// Ids of nodes; the third is in neither repository, or only in the one ahead.
pub(super) const ADA: &str = "00000000-0000-7000-8000-000000000001";
pub(super) const BOB: &str = "00000000-0000-7000-8000-000000000002";
pub(super) const EVE: &str = "00000000-0000-7000-8000-000000000003";

pub(super) struct Repositories {
    pub(super) start: PathBuf,
    /// `start` and one commit more.
    pub(super) ahead: PathBuf,
    /// Where the programs run, always at the same path.
    pub(super) work: PathBuf,
}

impl Repositories {
    /// Both files are made by the published program.
    pub(super) fn make(sh: &Shell, programs: &Programs) -> Result<Self> {
        let [start, ahead, work] = ["start", "ahead", "work"].map(|name| programs.folder.join(name));
        let mnem = |folder: &Path, args: &str| answer(&programs.published, folder, &words(args)).map(drop);
        sh.remove_path(&start)?;
        sh.create_dir(&start)?;
        mnem(&start, "init")?;
        for (id, name) in [(ADA, "Ada"), (BOB, "Bob")] {
            mnem(&start, &add(id, name))?;
        }
        mnem(&start, &format!("add edge --from {ADA} --to {BOB} --label knows"))?;
        copy(sh, &start, &ahead)?;
        mnem(&ahead, &add(EVE, "Eve"))?;
        Ok(Self { start, ahead, work })
    }

    /// A fresh copy of `repository` where the programs run.
    pub(super) fn put(&self, sh: &Shell, repository: &Path) -> Result<()> {
        copy(sh, repository, &self.work)
    }
}

/// The words that add a node with this id.
pub(super) fn add(id: &str, name: &str) -> String {
    format!("add node --id {id} --label Person --summary {name} --prop name={name} --no-embed")
}

/// `to` becomes a copy of the folder `from`.
pub(super) fn copy(sh: &Shell, from: &Path, to: &Path) -> Result<()> {
    sh.remove_path(to)?;
    Ok(cmd!(sh, "cp -rp {from} {to}").quiet().run()?)
}

/// A field of what `mnem status` says, such as `op_id`.
pub(super) fn status(program: &Path, folder: &Path, field: &str) -> Result<String> {
    let status = answer(program, folder, &["status"])?;
    let mut fields = status.lines().filter_map(|line| line.split_once(' '));
    let value = fields.find(|(name, _)| *name == field).with_context(|| format!("status names no {field}"))?.1;
    Ok(value.trim().to_owned())
}

/// Fails if a node that was acknowledged is lost.
pub(super) fn all_there(program: &Path, folder: &Path, acknowledged: &[String]) -> Result<()> {
    let nodes = answer(program, folder, &["query", "-n", "1000"])?;
    let names = nodes.lines().filter_map(|line| line.trim().strip_prefix("name: "));
    let names: HashSet<&str> = names.map(|name| name.trim_matches('"')).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|name| !names.contains(name.as_str())).collect();
    ensure!(lost.is_empty(), "{}: acknowledged nodes are lost: {lost:?}", program.display());
    Ok(())
}
