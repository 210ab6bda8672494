//! Times as people write them: a whole number and one unit.

use std::time::Duration;

/// Units, the largest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 24 * 3_600_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// How a time is written, for errors.
pub(crate) const FORM: &str = "a whole number and its unit, \"250ms\", \"10s\", \"5m\", \"1h\" or \"1d\"";

/// Reads a time.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*ms).map(Duration::from_millis)
}

/// Shows a time in the largest unit that fits it exactly.
pub(crate) fn shown(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().find(|(_, of)| ms >= *of && ms % of == 0);
    unit.map_or(format!("{ms}ms"), |(name, of)| format!("{}{name}", ms / of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit_and_nothing_else() {
        for (text, ms, same) in [
            ("0s", 0, "0ms"),
            ("250ms", 250, "250ms"),
            ("60s", 60_000, "1m"),
            ("90s", 90_000, "90s"),
            ("24h", 86_400_000, "1d"),
            ("007m", 420_000, "7m"),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(shown(Duration::from_millis(ms)), same);
        }
        for bad in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            " 1s",
            "1 s",
            "1s ",
            "1h30m",
            "1S",
            "+1s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
