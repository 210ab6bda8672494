//! Figures as a person reads them: a time with its unit, a count with commas. JSON has plain numbers instead.

/// Microseconds in the unit that leaves three or four digits: `812 us`, `2.31 ms`, `14.2 s`.
pub(crate) fn time(micros: f64) -> String {
    match micros {
        ..1_000.0 => format!("{micros:.0} us"),
        ..10_000.0 => format!("{:.2} ms", micros / 1e3),
        ..1_000_000.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// `12,345`
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Calls a second, in whole numbers from 10 on.
pub(crate) fn rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

/// `1 call`, `12,345 calls`
pub(crate) fn of(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units() {
        for (micros, text) in [
            (0.4, "0 us"),
            (812.3, "812 us"),
            (2_312.0, "2.31 ms"),
            (23_120.0, "23.1 ms"),
            (14_200_000.0, "14.20 s"),
        ] {
            assert_eq!(time(micros), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!((rate(1.26), rate(1234.4)), ("1.3".to_owned(), "1,234".to_owned()));
        assert_eq!((of(1, "call"), of(2, "call")), ("1 call".to_owned(), "2 calls".to_owned()));
    }
}
