//! Runs work in a child process, to measure its peak memory, kill it, or trace its system calls.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use mnem_benches::{
    Blocks, RECORDED, Trace, bulk_import, commit, commit_until_killed, enumerate, get_all_threads, single_puts, usage,
};
use mnem_store_traits::Buffered;

use crate::{
    run::{FILLED_SEED, SMALL},
    stores,
};

/// The first argument of such a child process.
pub(crate) const ARGUMENT: &str = "child";

/// Measurements of an import or a listing in a child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// Peak memory of the process, in bytes.
    pub(crate) peak_bytes: f64,
    /// The part of the peak that was allocated during the work.
    pub(crate) growth_bytes: f64,
    /// Bytes written to the medium.
    pub(crate) written_bytes: f64,
}

/// The command line of a child, without the program.
pub(crate) fn arguments(work: &str, subject: &str, path: &Path, numbers: &[usize]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![ARGUMENT.into(), work.into(), subject.into(), path.into()];
    arguments.extend(numbers.iter().map(|number| number.to_string().into()));
    arguments
}

/// Runs a child to its end and returns its measurements.
pub(crate) fn run(work: &str, subject: &str, path: &Path, numbers: &[usize]) -> Result<Measured> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments(work, subject, path, numbers))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the child failed");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match *numbers.as_slice() {
        [seconds, peak_bytes, growth_bytes, written_bytes] => {
            Ok(Measured { seconds, peak_bytes, growth_bytes, written_bytes })
        }
        _ => bail!("the child wrote {text:?}"),
    }
}

/// A child that commits without an end, until it is killed.
#[derive(Debug)]
pub(crate) struct Committing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Committing {
    pub(crate) fn start(subject: &str, path: &Path, seed: u64) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments("commits", subject, path, &[seed as usize]))
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("the child has no output")?;
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    /// Waits for the next commits, up to this number in all, and returns how many were acknowledged. Fewer: the child
    /// has ended.
    pub(crate) fn wait_for(&mut self, commits: u64) -> Result<u64> {
        let mut acknowledged = 0;
        for line in self.lines.by_ref() {
            acknowledged = line?.parse()?;
            if acknowledged == commits {
                break;
            }
        }
        Ok(acknowledged)
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Kills it and returns how many commits it acknowledged in all; `None` if none since the last wait.
    pub(crate) fn kill(mut self) -> Result<Option<u64>> {
        self.child.kill()?;
        let mut last = None;
        for line in self.lines.by_ref() {
            last = Some(line?.parse()?);
        }
        Ok(last)
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a child that commits, kills it after it has acknowledged `commits` commits, and returns how many it
/// acknowledged in all.
pub(crate) fn kill_after(subject: &str, path: &Path, seed: u64, commits: u64) -> Result<u64> {
    let mut child = Committing::start(subject, path, seed)?;
    let acknowledged = child.wait_for(commits)?;
    let acknowledged = child.kill()?.unwrap_or(acknowledged);
    ensure!(acknowledged >= commits, "the child ended after {acknowledged} commits");
    Ok(acknowledged)
}

fn edge() -> Result<Trace> {
    let [.., (_, text)] = RECORDED;
    Ok(text.parse()?)
}

/// The code of a child: `work subject path numbers…`.
pub(crate) fn main(arguments: &[OsString]) -> Result<()> {
    let [work, subject, path, numbers @ ..] = arguments else { bail!("a child needs work, a store and a path") };
    let subject = subject.to_str().and_then(stores::named).context("no store of this name")?;
    let path = PathBuf::from(path);
    let numbers = numbers.iter().map(|number| Ok(number.to_str().context("a number")?.parse()?));
    let numbers: Vec<usize> = numbers.collect::<Result<_>>()?;
    let store = (subject.open)(&path)?;
    let (peak, written) = (usage::peak_memory_bytes(), usage::written_bytes());
    let time = match (work.to_str().unwrap_or_default(), numbers.as_slice()) {
        ("import", &[count, batch]) => {
            let time = bulk_import(&*store, &mut Blocks::new(FILLED_SEED, SMALL), count, batch)?;
            store.close()?;
            time
        }
        ("get", &[count, held, block_bytes]) => {
            let supply = Blocks::new(FILLED_SEED, block_bytes);
            let apart = (held / count.max(1)).max(1);
            let known: Vec<_> = supply.step_by(apart).take(count).collect();
            get_all_threads(&*store, &known, 1)?
        }
        ("list", &[count]) => enumerate(&*store, count as u64)?,
        ("commits", &[seed]) => {
            commit_until_killed(&*store, seed as u64, &mut |number| {
                println!("{number}");
                // If the parent is gone, no one reads this any more.
                let _ = std::io::stdout().flush();
            })?;
            return Ok(());
        }
        ("puts", &[count]) => single_puts(&*store, &mut Blocks::new(2, SMALL), count)?.total(),
        ("commit", &[count, blocks]) => {
            let mut supply = Blocks::new(3, SMALL);
            (0..count).map(|_| commit(&*store, &mut supply, blocks)).sum::<Result<_, _>>()?
        }
        ("prepare", &[]) => {
            edge()?.prepare(&*store)?;
            store.close()?;
            Duration::ZERO
        }
        ("trace", &[]) => edge()?.replay(&*store)?.time,
        ("trace-buffered", &[]) => edge()?.replay(&Buffered::new(store))?.time,
        _ => bail!("no such work"),
    };
    let since = |now: Option<u64>, then: Option<u64>| now.unwrap_or_default() - then.unwrap_or_default();
    println!(
        "{} {} {} {}",
        time.as_secs_f64(),
        usage::peak_memory_bytes().unwrap_or_default(),
        since(usage::peak_memory_bytes(), peak),
        since(usage::written_bytes(), written),
    );
    Ok(())
}
