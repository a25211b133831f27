//! Times as people and programs read them.

use std::fmt;

const DAY_SECONDS: u64 = 24 * 3600;

/// The days of a Gregorian cycle of 400 years, and those from 1 March of the year 0 to 1 January 1970.
const CYCLE_DAYS: u64 = 146_097;
const DAYS_TO_1970: u64 = 719_468;

/// Milliseconds since 1970, printed as RFC 3339 in UTC: `2026-11-28T09:05:03.042Z`.
pub(crate) struct Utc(pub(crate) u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / 1000, self.0 % 1000);
        let (year, month, day) = date(seconds / DAY_SECONDS);
        let second = seconds % DAY_SECONDS;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Year, month and day of a number of days after 1 January 1970. A year begins in March here, so that the day which a
/// leap year has more is its last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(DAYS_TO_1970);
    let (cycle, day) = (days / CYCLE_DAYS, days % CYCLE_DAYS);
    // Leap days: one in 4 years, not in 100, but in 400. The last day of each of these belongs to the year before.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, five months have 153 days, again and again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (cycle * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (86_399, "1970-01-01T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_795_943_103, "2026-11-29T09:05:03.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Utc(seconds * 1000).to_string(), text);
        }
        assert_eq!(Utc(1_234).to_string(), "1970-01-01T00:00:01.234Z");
        // A clock may be as wrong as it likes.
        assert!(Utc(u64::MAX).to_string().ends_with('Z'));
    }

    /// Day by day over 800 years, each date follows the one before.
    #[test]
    fn no_day_is_left_out_or_repeated() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..2 * CYCLE_DAYS {
            assert_eq!(date(days), (year, month, day), "{days}");
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
