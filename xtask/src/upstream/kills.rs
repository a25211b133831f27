//! Kills commits at moments spread over the duration of one: nothing acknowledged may be lost.

use std::{
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use xshell::Shell;

use super::{
    Row,
    programs::{Programs, answer, command},
    repositories::all_there,
};

const KILLS: u32 = 30;

pub(super) fn run(sh: &Shell, programs: &Programs) -> Result<Vec<Row>> {
    let mut left = Vec::new();
    for (name, program) in programs.both() {
        let folder = programs.folder.join(format!("killed-{name}"));
        sh.remove_path(&folder)?;
        sh.create_dir(&folder)?;
        left.push(kill(program, &folder)?);
    }
    let [published, ours] = [left[0], left[1]];
    let shown = |unreachable| format!("nothing lost, {unreachable} unreachable blocks");
    Ok(vec![Row {
        step: format!("{KILLS} killed commits"),
        published: shown(published),
        ours: shown(ours),
        // On a busy machine a commit that takes several puts may leave some.
        difference: (ours > published).then(|| format!("killed commits left {ours} blocks behind")),
    }])
}

/// Kills commits. Returns the number of unreachable blocks at the end.
fn kill(program: &Path, folder: &Path) -> Result<u64> {
    answer(program, folder, &["init"])?;
    let start = Instant::now();
    answer(program, folder, &add("first"))?;
    let time = start.elapsed();
    let mut acknowledged = vec!["first".to_owned()];
    for number in 0..KILLS {
        let name = format!("node{number}");
        if killed_after(program, folder, &name, time * number / KILLS)? {
            acknowledged.push(name);
        }
        answer(program, folder, &["status"])?;
    }
    all_there(program, folder, &acknowledged)?;
    answer(program, folder, &["fsck"])?;
    unreachable(&answer(program, folder, &["gc"])?)
}

fn add(name: &str) -> Vec<String> {
    let prop = format!("name={name}");
    ["add", "node", "--label", "N", "--no-embed", "--summary", name, "--prop", &prop].map(str::to_owned).to_vec()
}

/// Runs a commit and kills it after a delay. Returns whether the commit was acknowledged first.
fn killed_after(program: &Path, folder: &Path, name: &str, delay: Duration) -> Result<bool> {
    let mut child = command(program, folder, &add(name)).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    thread::sleep(delay);
    // The commit may already be over.
    let _ = child.kill();
    Ok(child.wait()?.success())
}

/// Parses `gc: 48 reachable blocks, 50 total blocks`.
fn unreachable(text: &str) -> Result<u64> {
    let line = text.lines().find(|line| line.contains("reachable blocks,")).context("gc counts no blocks")?;
    let counts: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [reachable, total] = counts[..] else { anyhow::bail!("gc counts otherwise: {line}") };
    Ok(total.saturating_sub(reachable))
}
