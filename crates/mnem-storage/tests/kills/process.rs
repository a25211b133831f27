//! The writer as a process: starting it, reading its output, killing it.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use super::Work;

pub(super) const WORK: &str = "MNEM_KILLS_WORK";
pub(super) const STORE: &str = "MNEM_KILLS_STORE";
pub(super) const BACKEND: &str = "MNEM_KILLS_BACKEND";
pub(super) const SOURCE: &str = "MNEM_KILLS_SOURCE";
pub(super) const FIRST: &str = "MNEM_KILLS_FIRST";

/// Marks the lines of the writer. The rest of its output comes from the test harness.
const SAYS: &str = "writer says ";

/// Prints one line, in one write.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{SAYS}{text}\n").as_bytes()).expect("the parent listens");
    out.flush().expect("the parent listens");
}

/// A running writer. Dropping this kills it.
pub(super) struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    heard: Heard,
}

/// What a writer had reported by its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) began: bool,
    /// The number of operations that this writer acknowledged.
    pub(super) acknowledged: u64,
    /// The number after the last of them.
    pub(super) next: Option<u64>,
    pub(super) done: bool,
}

impl Writer {
    /// Starts a process of this binary that works on the store at `path`. `source` is an archive or another store,
    /// `first` the number of its first operation.
    pub(super) fn start(
        mut binary: Command,
        work: Work,
        backend: &'static str,
        path: &Path,
        source: &Path,
        first: u64,
    ) -> Self {
        let mut child = binary
            .args(["--exact", "kills::writer::child", "--nocapture", "--test-threads=1"])
            .envs([(WORK, work.name()), (BACKEND, backend), (FIRST, &first.to_string())])
            .envs([(STORE, path), (SOURCE, source)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a process");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines, heard: Heard::default() }
    }

    /// Reads until the writer has begun and acknowledged this many operations, or has ended.
    pub(super) fn listen(&mut self, acknowledged: u64) {
        while !(self.heard.began && self.heard.acknowledged >= acknowledged) && self.hear() {}
    }

    /// Reads one line. Returns `false` at the end.
    fn hear(&mut self) -> bool {
        let Some(Ok(line)) = self.lines.next() else { return false };
        match line.strip_prefix(SAYS) {
            Some("begin") => self.heard.began = true,
            Some("done") => self.heard.done = true,
            Some(number) => {
                self.heard.acknowledged += 1;
                self.heard.next = Some(number.parse::<u64>().expect("a number") + 1);
            }
            None => {}
        }
        true
    }

    #[cfg(target_os = "linux")]
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the writer, and reads what it had reported by then.
    pub(super) fn kill(mut self) -> Heard {
        self.child.kill().expect("kill");
        while self.hear() {}
        let status = self.child.wait().expect("wait");
        assert!(is_killed(status) || self.heard.done, "the writer failed by itself: {status}");
        std::mem::take(&mut self.heard)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
fn is_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

/// Without signals, a killed process has the exit code that it was killed with.
#[cfg(not(unix))]
fn is_killed(status: ExitStatus) -> bool {
    status.code() == Some(1)
}
