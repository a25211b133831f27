//! How far long work has come, on standard error: on a terminal what takes longer than a moment, elsewhere what was asked for.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mnem_storage::{Progress, Stage};

use crate::{
    args::When,
    output::{Count, Size, counted},
    terminal,
};

/// Time between two lines where there is no terminal to draw on.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Time between two drawings on a terminal.
const BETWEEN_DRAWINGS: Duration = Duration::from_millis(50);

/// Work that is done sooner is not worth a drawing, unless it was asked for.
const A_MOMENT: Duration = Duration::from_millis(500);

/// Until a stage has gone on for as long, nothing is said of its speed.
const BEFORE_SPEED: Duration = Duration::from_secs(1);

/// Shows progress: drawn on a terminal, told in lines elsewhere, or not at all. What was drawn is wiped when it is dropped.
pub(crate) struct Bar {
    what: &'static str,
    shown: Shown,
    /// Not before this.
    from: Instant,
    stage: Option<Running>,
}

/// The stage that is running.
struct Running {
    name: &'static str,
    began: Instant,
    /// When it was shown last.
    shown: Option<Instant>,
}

enum Shown {
    Nothing,
    Drawn(ProgressBar),
    Told,
}

/// What there is to show.
struct Now<'a> {
    stage: &'static str,
    position: u64,
    total: Option<u64>,
    /// Whether the position is one of bytes.
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

    /// Takes note of how far the work has come.
    pub(crate) fn show(&mut self, progress: &Progress) {
        if progress.stage == Stage::Structure {
            // Told once, when it begins, and it may take long.
            self.from = Instant::now();
            let text = || "checking the files of the store".to_owned();
            return self.tell(&Now {
                stage: progress.stage.name(),
                position: 0,
                total: None,
                in_bytes: false,
                text: &text,
            });
        }
        // Bytes where their total is known, else blocks.
        let (position, total) = match progress.total_bytes {
            Some(total) => (progress.bytes, Some(total)),
            None => (progress.blocks, progress.total_blocks),
        };
        let text = || format!("{}, {}", blocks(progress), bytes(progress));
        let in_bytes = progress.total_bytes.is_some();
        self.tell(&Now { stage: progress.stage.name(), position, total, in_bytes, text: &text });
    }

    /// Takes note of how many things are done, and how many there are where that is known.
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
    // The templates are fixed and valid; a style that cannot be made is a bar in the default style.
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
    let unit = if progress.stage == Stage::Tables { "row" } else { "block" };
    match progress.total_blocks {
        Some(total) => format!("{} of {}", Count(progress.blocks), counted(total, unit)),
        None => counted(progress.blocks, unit),
    }
}

fn bytes(progress: &Progress) -> String {
    match progress.total_bytes {
        Some(total) => format!("{} of {}", Size(progress.bytes), Size(total)),
        None => Size(progress.bytes).to_string(),
    }
}

/// How fast it goes, and how long it takes from here at that speed where the end is known.
fn speed(now: &Now<'_>, elapsed: Duration) -> String {
    if elapsed < BEFORE_SPEED || now.position == 0 {
        return String::new();
    }
    let seconds = elapsed.as_secs_f64();
    let each_second = now.position as f64 / seconds;
    let rate = each_second as u64;
    let mut text = if now.in_bytes { format!(", {}/s", Size(rate)) } else { format!(", {}/s", Count(rate)) };
    if let Some(rest) = now.total.and_then(|total| total.checked_sub(now.position)).filter(|rest| *rest > 0) {
        text.push_str(&format!(", {} left", span((rest as f64 / each_second) as u64)));
    }
    text
}

/// A span of time in its two largest units.
fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{} h {} min", Count(hours), minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(position: u64, total: Option<u64>, in_bytes: bool) -> Now<'static> {
        Now { stage: "blocks", position, total, in_bytes, text: &String::new }
    }

    #[test]
    fn spans_have_two_units() {
        assert_eq!(
            [0, 59, 60, 3599, 3600, 90_061].map(span),
            ["0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "25 h 1 min"]
        );
    }

    #[test]
    fn the_speed_is_told_once_there_is_one() {
        let second = Duration::from_secs(1);
        assert_eq!(speed(&now(500, Some(1000), false), second / 2), "");
        assert_eq!(speed(&now(0, Some(1000), false), second), "");
        assert_eq!(speed(&now(2000, None, false), second), ", 2,000/s");
        assert_eq!(speed(&now(2000, Some(10_000), false), second), ", 2,000/s, 4 s left");
        assert_eq!(speed(&now(4 << 20, Some(1 << 30), true), 2 * second), ", 2.0 MiB/s, 8 min 30 s left");
        assert_eq!(speed(&now(10, Some(10), false), second), ", 10/s", "nothing is left");
        assert_eq!(speed(&now(11, Some(10), false), second), ", 11/s", "more than was known of");
        assert_eq!(speed(&now(1, Some(u64::MAX), false), second), ", 1/s, 5,124,095,576,030,431 h 0 min left");
    }
}
