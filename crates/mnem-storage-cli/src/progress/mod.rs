//! Progress of long commands on standard error: a bar on a terminal, lines elsewhere.

mod speed;

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mnem_storage::{Progress, Stage};

use self::speed::speed;
use crate::{
    args::When,
    output::{Count, Size, counted, counted_as},
    terminal,
};

/// The interval between lines, without a terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// The interval between updates on a terminal.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(50);

/// By default, the bar appears after this delay.
const A_MOMENT: Duration = Duration::from_millis(500);

/// A progress display: a bar on a terminal, lines elsewhere, or nothing. Dropping it wipes the bar.
pub(crate) struct Bar {
    what: &'static str,
    shown: Shown,
    /// When to begin showing progress.
    from: Instant,
    stage: Option<Running>,
}

/// The current stage.
struct Running {
    name: &'static str,
    began: Instant,
    /// The time of the last update.
    shown: Option<Instant>,
}

enum Shown {
    Nothing,
    Drawn(ProgressBar),
    Told,
}

/// The current state.
struct Now<'a> {
    stage: &'static str,
    position: u64,
    total: Option<u64>,
    /// Whether the position counts bytes.
    in_bytes: bool,
    text: &'a dyn Fn() -> String,
}

impl Bar {
    pub(crate) fn new(what: &'static str, when: When, quiet: bool) -> Self {
        let now = Instant::now();
        let (shown, from) = match (when, terminal::stderr_can_be_drawn_on()) {
            (When::Always, false) => (Shown::Told, now),
            (When::Always, true) => (Shown::Drawn(ProgressBar::new_spinner()), now),
            (When::Auto, true) if !quiet => (Shown::Drawn(ProgressBar::new_spinner()), now + A_MOMENT),
            _ => (Shown::Nothing, now),
        };
        Self { what, shown, from, stage: None }
    }

    /// Whether progress is shown at all.
    pub(crate) fn is_shown(&self) -> bool {
        !matches!(self.shown, Shown::Nothing)
    }

    /// Updates the display.
    pub(crate) fn show(&mut self, progress: &Progress) {
        if progress.stage == Stage::Structure {
            return self.begin(progress.stage.name(), "checking the store's files");
        }
        // Measure bytes if their total is known, else blocks.
        let (position, total) = match progress.total_bytes {
            Some(total) => (progress.bytes, Some(total)),
            None => (progress.blocks, progress.total_blocks),
        };
        let text = || match progress.bytes {
            // A stage that only lists CIDs counts no bytes.
            0 => blocks(progress),
            _ => format!("{}, {}", blocks(progress), bytes(progress)),
        };
        let in_bytes = progress.total_bytes.is_some();
        self.tell(&Now { stage: progress.stage.name(), position, total, in_bytes, text: &text });
    }

    /// Announces a stage that reports no progress while it runs.
    pub(crate) fn begin(&mut self, stage: &'static str, what: &str) {
        self.from = Instant::now();
        self.tell(&Now { stage, position: 0, total: None, in_bytes: false, text: &|| what.to_owned() });
    }

    /// Updates the display with a count, and the total if it is known.
    pub(crate) fn count(&mut self, stage: &'static str, one: &str, done: u64, total: Option<u64>) {
        let text = || match total {
            Some(total) => format!("{} of {}", Count(done), counted(total, one)),
            None => counted(done, one),
        };
        self.tell(&Now { stage, position: done, total, in_bytes: false, text: &text });
    }

    fn tell(&mut self, now: &Now<'_>) {
        let between = match self.shown {
            Shown::Nothing => return,
            Shown::Drawn(_) => BETWEEN_DRAWINGS,
            Shown::Told => BETWEEN_LINES,
        };
        let time = Instant::now();
        if self.stage.as_ref().is_none_or(|stage| stage.name != now.stage) {
            self.stage = Some(Running { name: now.stage, began: time, shown: None });
        }
        let Some(stage) = &mut self.stage else { return };
        if time < self.from || stage.shown.is_some_and(|shown| time - shown < between) {
            return;
        }
        let begins = stage.shown.replace(time).is_none();
        let text = (now.text)() + &speed(now, time - stage.began);
        match &self.shown {
            Shown::Nothing => {}
            Shown::Drawn(bar) => {
                if begins {
                    begin_stage(bar, format!("{}: {}", self.what, now.stage), now.total);
                }
                bar.set_message(text);
                bar.set_position(now.position);
            }
            Shown::Told => terminal::say(format_args!("{}: {}: {text}", self.what, now.stage)),
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

fn begin_stage(bar: &ProgressBar, prefix: String, total: Option<u64>) {
    let template = match total {
        Some(_) => "{prefix} {percent:>3}% {msg}",
        None => "{prefix} {spinner} {msg}",
    };
    // The templates are constant and valid. On an error the bar keeps its default style.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(prefix);
    match total {
        Some(total) => bar.set_length(total),
        None => bar.unset_length(),
    }
}

fn blocks(progress: &Progress) -> String {
    let (one, many) = match progress.stage {
        Stage::Tables => ("row", "rows"),
        Stage::Indexes => ("index", "indexes"),
        _ => ("block", "blocks"),
    };
    match progress.total_blocks {
        Some(total) => format!("{} of {}", Count(progress.blocks), counted_as(total, one, many)),
        None => counted_as(progress.blocks, one, many),
    }
}

fn bytes(progress: &Progress) -> String {
    match progress.total_bytes {
        Some(total) => format!("{} of {}", Size(progress.bytes), Size(total)),
        None => Size(progress.bytes).to_string(),
    }
}
