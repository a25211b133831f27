//! The folder of a store, and how its writers end.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    Random, Tally, Work,
    process::{Heard, Writer},
};

/// A folder for a store, and the way in which its writers end.
pub(super) trait Ground {
    fn folder(&self) -> &Path;

    /// The binary to start writers with.
    fn binary(&self) -> Command {
        Command::new(env::current_exe().expect("this binary"))
    }

    /// Ends the writer at a random moment within so many microseconds, and reads what it had reported by then.
    fn end(&self, writer: Writer, microseconds: u64, random: &mut Random, tally: &mut Tally) -> Heard;

    /// Keeps the content, and returns its path. May be called during a failure, so it must not fail itself.
    fn keep(&mut self) -> Option<PathBuf>;
}

/// Kills writers.
impl Ground for TempDir {
    fn folder(&self) -> &Path {
        self.path()
    }

    fn end(&self, writer: Writer, microseconds: u64, random: &mut Random, _: &mut Tally) -> Heard {
        // A random moment; this waits for nothing.
        thread::sleep(Duration::from_micros(random.below(microseconds)));
        writer.kill()
    }

    fn keep(&mut self) -> Option<PathBuf> {
        self.disable_cleanup(true);
        Some(self.path().to_owned())
    }
}

/// The place of one store. It is kept, and its path printed, if the test fails.
pub(super) struct Scene {
    ground: Box<dyn Ground>,
    story: String,
    pub(super) kept: bool,
}

impl Scene {
    pub(super) fn new(ground: Box<dyn Ground>, story: String) -> Self {
        Self { ground, story, kept: true }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.ground.folder().join("store")
    }

    /// Starts a process that works on the store. `source` is an archive or another store, `first` the number of its
    /// first operation.
    pub(super) fn start(&self, work: Work, backend: &'static str, source: &Path, first: u64) -> Writer {
        Writer::start(self.ground.binary(), work, backend, &self.path(), source, first)
    }

    /// Ends a writer within so many microseconds.
    pub(super) fn end(&self, writer: Writer, microseconds: u64, random: &mut Random, tally: &mut Tally) -> Heard {
        let heard = self.ground.end(writer, microseconds, random, tally);
        tally.kills += 1;
        tally.acknowledged += heard.acknowledged;
        tally.too_late += u32::from(heard.done);
        heard
    }

    /// Ends work at a moment between its beginning and a little after its usual duration.
    pub(super) fn end_within(
        &self,
        work: Work,
        backend: &'static str,
        source: &Path,
        microseconds: u64,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Heard {
        let mut writer = self.start(work, backend, source, 0);
        writer.listen(0);
        self.end(writer, microseconds + microseconds / 8, random, tally)
    }

    /// The duration of work on another store here, in microseconds.
    pub(super) fn duration_of(&self, work: impl FnOnce(&Path)) -> u64 {
        self.duration_after(|_| (), work)
    }

    /// Like [`duration_of`](Self::duration_of), for work on what `prepare` has made.
    pub(super) fn duration_after(&self, prepare: impl FnOnce(&Path), work: impl FnOnce(&Path)) -> u64 {
        let folder = tempfile::tempdir_in(self.ground.folder()).expect("a temporary folder");
        let path = folder.path().join("store");
        prepare(&path);
        let start = Instant::now();
        work(&path);
        start.elapsed().as_micros() as u64
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.kept && thread::panicking() {
            let kept = self.ground.keep();
            eprintln!("{}: the store is kept in {}", self.story, kept.unwrap_or_else(|| "no place".into()).display());
        }
    }
}
