//! The speed of a stage and its remaining time.

use std::time::Duration;

use super::Now;
use crate::output::{Count, Size};

/// How long a stage runs before its speed is shown.
const BEFORE_SPEED: Duration = Duration::from_secs(1);

/// The speed so far, and the remaining time if the total is known.
pub(super) fn speed(now: &Now<'_>, elapsed: Duration) -> String {
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

/// A duration in its two largest units.
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
