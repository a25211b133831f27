//! A repository in a place that cannot be written: what only reads works there.

use std::{path::Path, process::Command};

use anyhow::Result;
use xshell::{Shell, cmd};

use super::{
    Row,
    programs::{Programs, command, run as run_command, words},
    repositories::{ADA, Repositories},
    row,
};

pub(super) const STEP: &str = "reads of a place that cannot be written";

pub(super) fn run(sh: &Shell, programs: &Programs, repositories: &Repositories) -> Result<Vec<Row>> {
    let commands = ["status".to_owned(), format!("get {ADA}"), "export -".to_owned()];
    let [published, ours] = programs.both().map(|(_, program)| -> Result<String> {
        repositories.put(sh, &repositories.start)?;
        let answers = |bound| -> Result<Vec<_>> {
            commands.iter().map(|args| answer(program, &repositories.work, args, bound)).collect()
        };
        let expected = answers(false)?;
        let work = &repositories.work;
        cmd!(sh, "chmod -R a-w,a+rX {work}").quiet().run()?;
        let found = answers(true);
        cmd!(sh, "chmod -R u+w {work}").quiet().run()?;
        let same = expected.iter().zip(&found?).filter(|(expected, found)| expected == found).count();
        Ok(format!("{same} of {} answer as elsewhere", commands.len()))
    });
    let (published, ours) = (published?, ours?);
    Ok(vec![row(STEP, (published.clone(), &published), (ours.clone(), &ours))])
}

fn answer(program: &Path, folder: &Path, args: &str, bound: bool) -> Result<(Option<i32>, String)> {
    let mut command = command(program, folder, &words(args));
    if bound {
        bind(&mut command)?;
    }
    run_command(command)
}

/// The permissions of files do not bind `root`: somebody else runs the command then.
#[cfg(unix)]
fn bind(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    if Command::new("id").arg("-u").output()?.stdout.trim_ascii() == b"0" {
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(())
}

#[cfg(not(unix))]
fn bind(_: &mut Command) -> Result<()> {
    anyhow::bail!("this needs the permissions of Unix")
}
