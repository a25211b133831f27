//! One run: rounds in which every store takes its turn, so that a slow minute of the machine affects all of them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::Result;
use mnem_benches::{Blocks, WorkloadError, bulk_import};
use mnem_store_traits::{ErrorKind, Store};
use tempfile::TempDir;

use crate::{
    results::{Results, Unit},
    stores::{self, Subject},
};

/// Seed of the blocks in filled stores.
pub(crate) const FILLED_SEED: u64 = 1;
/// Size of most blocks, in bytes.
pub(crate) const SMALL: usize = 300;

/// The options of the command line.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Divisor of the sizes.
    pub(crate) scale: usize,
    pub(crate) rounds: usize,
    /// Names of the stores to measure; empty: all.
    pub(crate) only: Vec<String>,
    /// Folder for the stores.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) archive: PathBuf,
    /// Whether to write the documents there.
    pub(crate) write: bool,
    pub(crate) docs: PathBuf,
}

/// The state of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) results: Results,
    /// The failures, reported at the end.
    pub(crate) failures: Vec<String>,
    scratch: TempDir,
    filled: BTreeSet<PathBuf>,
    folders: usize,
}

/// A store being measured.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) subject: Subject,
    pub(crate) path: PathBuf,
    pub(crate) store: Arc<dyn Store>,
    /// It has failed, or lacks what the workload needs.
    pub(crate) out: bool,
}

impl Run {
    pub(crate) fn new(options: Options) -> Result<Self> {
        let scratch = match &options.folder {
            Some(folder) => TempDir::new_in(folder)?,
            None => TempDir::new()?,
        };
        let (results, failures, filled) = Default::default();
        Ok(Self { options, results, failures, scratch, filled, folders: 0 })
    }

    /// `full` divided by the scale, but large enough for a workload to have something to do.
    pub(crate) fn size(&self, full: usize) -> usize {
        (full / self.options.scale).max(full.min(20))
    }

    /// The selected stores that hold `blocks` blocks in reasonable time, with these variants.
    pub(crate) fn subjects(&self, blocks: usize, variants: &[&str]) -> Vec<Subject> {
        let only = &self.options.only;
        // Selecting a store selects its variants.
        let base = |name: &'static str| name.split(", ").next().unwrap_or(name);
        let asked = |name| only.is_empty() || only.iter().any(|asked| asked == base(name));
        let all = stores::all().into_iter().filter(|subject| asked(subject.name) && subject.blocks_max >= blocks);
        all.filter(|subject| !subject.variant || variants.contains(&subject.name)).collect()
    }

    /// A new, empty folder.
    pub(crate) fn folder(&mut self) -> Result<PathBuf> {
        self.folders += 1;
        let folder = self.scratch.path().join(format!("{}", self.folders));
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// New, empty stores.
    pub(crate) fn fresh(&mut self, subjects: &[Subject]) -> Result<Vec<Contender>> {
        let folder = self.folder()?;
        let paths = subjects.iter().map(|subject| folder.join(subject.name)).collect::<Vec<_>>();
        Ok(self.open(subjects, &paths))
    }

    fn open(&mut self, subjects: &[Subject], paths: &[PathBuf]) -> Vec<Contender> {
        let mut opened = Vec::new();
        for (subject, path) in subjects.iter().zip(paths) {
            match (subject.open)(path) {
                Ok(store) => opened.push(Contender { subject: *subject, path: path.clone(), store, out: false }),
                Err(error) => self.failed("open", subject.name, &error),
            }
        }
        opened
    }

    /// Stores that hold `count` blocks of 300 bytes: those of [`Blocks::new`] with [`FILLED_SEED`]. They are filled on
    /// first use.
    pub(crate) fn filled(&mut self, subjects: &[Subject], count: usize) -> Result<Vec<Contender>> {
        let mut opened = Vec::new();
        for subject in subjects {
            let path = self.filled_path(subject, count)?;
            let mut one = self.open(std::slice::from_ref(subject), std::slice::from_ref(&path));
            if !self.filled.contains(&path) {
                let start = Instant::now();
                self.each(&mut one, "fill", |contender| {
                    let mut blocks = Blocks::new(FILLED_SEED, SMALL);
                    bulk_import(&*contender.store, &mut blocks, count, 10_000).map(drop)
                });
                one.retain(|contender| !contender.out);
                // A store that could not be filled must not be used as a filled one.
                if !one.is_empty() {
                    self.filled.insert(path);
                }
                eprintln!("  filled {} with {count}: {:.1} s", subject.name, start.elapsed().as_secs_f64());
            }
            opened.append(&mut one);
        }
        Ok(opened)
    }

    /// The path of a filled store. Variants share the file of their store.
    pub(crate) fn filled_path(&self, subject: &Subject, count: usize) -> Result<PathBuf> {
        let folder = self.scratch.path().join(format!("filled-{count}"));
        fs::create_dir_all(&folder)?;
        Ok(folder.join(subject.name))
    }

    /// Records that another workload has filled this path.
    pub(crate) fn is_filled(&mut self, path: &Path) {
        self.filled.insert(path.to_owned());
    }

    /// Removes the store at a path, which is then not filled any more.
    pub(crate) fn unfill(&mut self, path: &Path) {
        self.filled.remove(path);
        // It may be absent, a file or a folder. If it cannot be removed, the next user of the path reports that.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }

    /// Removes stores that are not needed any more.
    pub(crate) fn discard(&mut self, contenders: Vec<Contender>) {
        for Contender { store, path, .. } in contenders {
            drop(store);
            self.unfill(&path);
        }
    }

    /// Runs `turn` once for every store.
    pub(crate) fn each(
        &mut self,
        contenders: &mut [Contender],
        what: &str,
        mut turn: impl FnMut(&mut Contender) -> Result<(), WorkloadError>,
    ) {
        for contender in contenders.iter_mut().filter(|contender| !contender.out) {
            if let Err(error) = turn(contender) {
                contender.out = true;
                let unsupported =
                    matches!(&error, WorkloadError::Store(error) if error.kind() == ErrorKind::Unsupported);
                if !unsupported {
                    self.failed(what, contender.subject.name, &error);
                }
            }
        }
    }

    /// Runs the requested number of rounds, in each of which every store takes its turn. The result of `turn` is one
    /// sample for each named row.
    pub(crate) fn rounds(
        &mut self,
        group: &str,
        contenders: &mut [Contender],
        mut turn: impl FnMut(&mut Contender, usize) -> Result<Vec<(String, Unit, f64)>, WorkloadError>,
    ) {
        let mut samples = Vec::new();
        for round in 0..self.options.rounds {
            self.each(contenders, group, |contender| {
                for (row, unit, value) in turn(contender, round)? {
                    samples.push((row, unit, contender.subject.name, value));
                }
                Ok(())
            });
        }
        for (row, unit, subject, value) in samples {
            self.results.record(group, &row, unit, subject, value);
        }
    }

    /// Records a failure. The run continues without this store.
    pub(crate) fn failed(&mut self, what: &str, subject: &str, error: &dyn std::error::Error) {
        let mut text = format!("{what}, {subject}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        eprintln!("failed: {text}");
        self.failures.push(text);
    }
}
