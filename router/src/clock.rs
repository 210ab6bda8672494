//! The engine's time, which is the time since the process began; and the operators' clock.

use std::time::SystemTime;

use rcs_core::agreed::At;
use rcs_proto::time::Moment;
use tokio::time::Instant;

/// Reads the clock once for each [`Moment`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Now.
    pub(crate) fn now(self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// When a moment is, for timers.
    pub(crate) fn instant(self, moment: Moment) -> Instant {
        self.start + moment.since_start()
    }
}

/// The present time on the operators' clock.
pub(crate) fn wall() -> At {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    At(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

/// A moment of the operators' clock in UTC, as `2026-11-29T07:51:23Z` (RFC 3339). Texts of this form sort by time.
pub(crate) fn rfc3339(at: At) -> String {
    let seconds = at.0 / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the day with this number since 1970-01-01, in the Gregorian calendar. Years are counted from March, so that the
/// extra day of a leap year is the last day of the year.
fn civil(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 days are 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The number of a day since 1970-01-01, in the Gregorian calendar: the inverse of [`civil`].
pub(crate) fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, from_march) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_says() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_938_683, "2026-11-29T07:51:23Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(At(seconds * 1000 + 999)), text);
        }
    }

    #[test]
    fn each_day_has_its_number() {
        for days in (0..80_000).step_by(17) {
            let (year, month, day) = civil(days);
            let number = days_since_1970(year as i64, month as i64, day as i64);
            assert_eq!(number, days as i64);
        }
        assert_eq!(days_since_1970(1969, 12, 31), -1);
    }
}
