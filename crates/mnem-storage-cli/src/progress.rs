//! How far long work has come, on standard error.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mnem_storage::{Progress, Stage};

use crate::{
    args::When,
    output::{Count, counted},
    terminal,
};

/// Time between two lines where there is no terminal to draw on.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Time between two drawings on a terminal.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(50);

/// Shows progress: drawn on a terminal, told in lines elsewhere, or not at all. What was drawn is wiped when it is dropped.
pub(crate) struct Bar {
    what: &'static str,
    shown: Shown,
    /// When something was shown last, and of which stage.
    last: Option<(Instant, &'static str)>,
}

enum Shown {
    Nothing,
    Drawn(ProgressBar),
    Told,
}

impl Bar {
    pub(crate) fn new(what: &'static str, when: When, quiet: bool) -> Self {
        let shown = match (when, terminal::stderr_can_be_drawn_on()) {
            (When::Always, false) => Shown::Told,
            (When::Always, true) => Shown::Drawn(ProgressBar::new_spinner()),
            (When::Auto, true) if !quiet => Shown::Drawn(ProgressBar::new_spinner()),
            _ => Shown::Nothing,
        };
        Self { what, shown, last: None }
    }

    /// Takes note of how far the work has come.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let (position, total) = measure(progress);
        let text = || format!("{}, {}", blocks(progress), megabytes(progress));
        self.tell(progress.stage.name(), position, total, &text);
    }

    /// Takes note of how many of a known number of things are done.
    pub(crate) fn count(&mut self, stage: &'static str, one: &str, done: u64, total: u64) {
        self.tell(stage, done, Some(total), &|| format!("{} of {}", Count(done), counted(total, one)));
    }

    fn tell(&mut self, stage: &'static str, position: u64, total: Option<u64>, text: &dyn Fn() -> String) {
        let between = match self.shown {
            Shown::Nothing => return,
            Shown::Drawn(_) => BETWEEN_DRAWINGS,
            Shown::Told => BETWEEN_LINES,
        };
        let stage_began = self.last.is_none_or(|(_, last)| last != stage);
        if !stage_began && self.last.is_some_and(|(when, _)| when.elapsed() < between) {
            return;
        }
        self.last = Some((Instant::now(), stage));
        match &self.shown {
            Shown::Nothing => {}
            Shown::Drawn(bar) => {
                if stage_began {
                    begin_stage(bar, format!("{}: {stage}", self.what), total);
                }
                bar.set_message(text());
                bar.set_position(position);
            }
            Shown::Told => terminal::say(format_args!("{}: {stage}: {}", self.what, text())),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Shown::Drawn(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// What is counted, and how much there will be: bytes where their total is known, else blocks.
fn measure(progress: &Progress) -> (u64, Option<u64>) {
    match progress.total_bytes {
        Some(total) => (progress.bytes, Some(total)),
        None => (progress.blocks, progress.total_blocks),
    }
}

fn begin_stage(bar: &ProgressBar, prefix: String, total: Option<u64>) {
    let template = match total {
        Some(_) => "{prefix} [{bar:30}] {percent}% ({msg}) {eta} left",
        None => "{prefix} {spinner} {msg}",
    };
    // The templates are fixed and valid; a style that cannot be made is a bar in the default style.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(prefix);
    match total {
        Some(total) => bar.set_length(total),
        None => bar.unset_length(),
    }
    bar.reset_eta();
}

fn blocks(progress: &Progress) -> String {
    let unit = if progress.stage == Stage::Tables { "row" } else { "block" };
    match progress.total_blocks {
        Some(total) => format!("{} of {}", Count(progress.blocks), counted(total, unit)),
        None => counted(progress.blocks, unit),
    }
}

fn megabytes(progress: &Progress) -> String {
    let tenths = |bytes: u64| format!("{}.{}", Count(bytes / 1_000_000), bytes / 100_000 % 10);
    match progress.total_bytes {
        Some(total) => format!("{} of {} MB", tenths(progress.bytes), tenths(total)),
        None => format!("{} MB", tenths(progress.bytes)),
    }
}
