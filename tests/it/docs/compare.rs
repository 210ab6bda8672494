//! Whether a command printed what the document says. `…` within a line stands for any text, `…` as a line of its own for any
//! lines. Blanks between words may be more or fewer: columns are as wide as their longest word. JSON is compared without any
//! blanks, since documents break it into lines for readers.

use super::blocks::Prints;

const ANY: char = '…';

/// Whether these lines are what is expected.
pub(super) fn fits(expected: &Prints, printed: &[String]) -> bool {
    let wanted = tidied(&expected.lines, expected.any_number);
    let found = tidied(printed, expected.any_number);
    if expected.lines.first().is_some_and(|line| line.starts_with(['{', '['])) {
        let without_blanks = |lines: &[String]| lines.concat().replace(' ', "");
        return line_fits(&without_blanks(&wanted), &without_blanks(&found));
    }
    lines_fit(&wanted, &found)
}

/// Lines with single blanks, without empty ones at the end, and with `0` for each number if any will do.
fn tidied(lines: &[String], any_number: bool) -> Vec<String> {
    let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut tidy: Vec<String> =
        lines.iter().map(|line| if any_number { numbers_away(&words(line)) } else { words(line) }).collect();
    while tidy.last().is_some_and(String::is_empty) {
        tidy.pop();
    }
    tidy
}

fn numbers_away(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if !c.is_ascii_digit() {
            text.push(c);
            continue;
        }
        while chars.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
        text.push('0');
    }
    text
}

fn lines_fit(wanted: &[String], found: &[String]) -> bool {
    match wanted {
        [] => found.is_empty(),
        [any, rest @ ..] if any.chars().eq([ANY]) => {
            (0..=found.len()).any(|skipped| lines_fit(rest, &found[skipped..]))
        }
        [first, rest @ ..] => found
            .split_first()
            .is_some_and(|(line, others)| line_fits(first, line) && lines_fit(rest, others)),
    }
}

fn line_fits(wanted: &str, found: &str) -> bool {
    let mut parts = wanted.split(ANY);
    let Some(mut rest) = parts.next().and_then(|start| found.strip_prefix(start)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(end) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_is_any_text_and_nothing_else_is() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        for (wanted, found, any_number, same) in [
            ("n1  up", "n1     up", false, true),
            ("n1 up", "n1 down", false, false),
            ("n1 up", "n1 up\nn2 up", false, false),
            ("n1 up\n…", "n1 up\nn2 up", false, true),
            ("…\nn2 …", "n1 up\nn2 up", false, true),
            ("a…c…e", "abcde", false, true),
            ("a…c…e", "abcd", false, false),
            ("a…a", "a", false, false),
            ("took 3.5 ms", "took 12 ms", true, true),
            ("took 3.5 ms", "took 12 ms", false, false),
            ("took 3.5 ms", "took long ms", true, false),
            ("{ \"a\": 1,\n  \"b\": [\"…\"] }", "{\"a\":1,\"b\":[\"x y\"]}", false, true),
            ("{ \"a\": 1 }", "{\"a\":1,\"b\":2}", false, false),
            ("", "x", false, false),
        ] {
            let prints = Prints { lines: lines(wanted), any_number };
            assert_eq!(fits(&prints, &lines(found)), same, "{wanted:?} and {found:?}");
        }
    }
}
