//! The formats in which commands show what a router returned: one option for all commands, and tables.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::asked::{AskError, parsed};
use crate::limits::TABLE_COLUMNS;

/// The option of every command that shows something.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Shown {
    /// Output format.
    #[arg(long = "output", short = 'o', value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: Output,
}

/// Output format of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people, in short.
    #[default]
    #[value(alias = "text")]
    Table,
    /// For people, with everything that is known, on long lines.
    Wide,
    /// As the API gives it.
    Json,
    /// The content of json as YAML.
    Yaml,
}

/// How much a table for people has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// What an operator asks first, in 80 columns where that is possible.
    Narrow,
    /// Everything.
    Wide,
}

impl Output {
    /// A router's response in this format; `table` shows the response to people.
    ///
    /// # Errors
    /// [`AskError::NotUnderstood`]: the response is not JSON, or not what `table` expects.
    pub(super) fn show(
        self,
        response: String,
        table: impl FnOnce(&Value, Width) -> Result<String, AskError>,
    ) -> Result<String, AskError> {
        match self {
            Self::Table => table(&parsed(&response)?, Width::Narrow),
            Self::Wide => table(&parsed(&response)?, Width::Wide),
            Self::Json => Ok(response),
            Self::Yaml => yaml(&parsed(&response)?),
        }
    }

    /// Whether a program reads the output, and not a person.
    pub(super) const fn is_for_programs(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// A value as YAML, each of its strings on one line, without a line end behind it.
///
/// # Errors
/// [`AskError::NotUnderstood`]: the value has no form in YAML.
pub(super) fn yaml(value: &Value) -> Result<String, AskError> {
    let options = serde_saphyr::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(value, options).map_err(|_| AskError::NotUnderstood)?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// The rows of a list.
///
/// # Errors
/// [`AskError::NotUnderstood`]: the value is no list.
pub(super) fn list(value: &Value) -> Result<&[Value], AskError> {
    value.as_array().map(Vec::as_slice).ok_or(AskError::NotUnderstood)
}

/// A table whose narrow form has the first columns only, as many as `narrow` says, each line cut to 80 columns.
pub(super) fn columns<const N: usize>(
    width: Width,
    narrow: usize,
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let first = |row: Vec<String>| row.into_iter().take(narrow).collect();
    let head = titles.iter().map(|title| (*title).to_owned()).collect();
    let lines = std::iter::once(head).chain(rows.into_iter().map(Vec::from));
    match width {
        Width::Wide => aligned(&lines.collect::<Vec<_>>()),
        Width::Narrow => short(&aligned(&lines.map(first).collect::<Vec<_>>())),
    }
}

/// Lines of cells as columns of one width each.
pub(super) fn table<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    columns(Width::Wide, N, titles, rows)
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let show = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(show).collect::<Vec<_>>().join("\n")
}

/// Lines of cells as comma-separated values (RFC 4180). A cell that a spreadsheet would take for a formula begins with an apostrophe: names in
/// it were chosen by callers and members.
pub(super) fn csv<const N: usize>(titles: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let cell = |cell: &String| {
        let is_formula = cell.len() > 1 && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let cell = if is_formula { format!("'{cell}") } else { cell.clone() };
        match cell.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell,
        }
    };
    let head = titles.map(str::to_owned);
    let lines = std::iter::once(head).chain(rows);
    let lines = lines.map(|line| line.iter().map(cell).collect::<Vec<_>>().join(","));
    lines.collect::<Vec<_>>().join("\r\n")
}

/// A text whose lines have at most 80 columns. A longer line is cut, and ends with an ellipsis.
pub(super) fn short(text: &str) -> String {
    text.lines().map(|line| cut(line, TABLE_COLUMNS)).collect::<Vec<_>>().join("\n")
}

fn cut(line: &str, columns: usize) -> String {
    match line.char_indices().nth(columns) {
        None => line.to_owned(),
        Some(_) => line.chars().take(columns - 1).chain(['…']).collect(),
    }
}

/// A duration in its largest unit.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A field as a person reads it.
pub(super) fn text(row: &Value, key: &str) -> String {
    match row.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_of_csv_are_quoted_and_are_no_formulas() {
        for (cell, written) in [
            ("plain", "plain"),
            ("-", "-"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("=cmd()", "'=cmd()"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("=a,b", "\"'=a,b\""),
        ] {
            assert_eq!(csv(["T"], [[cell.to_owned()]]), format!("T\r\n{written}"), "{cell:?}");
        }
    }

    #[test]
    fn a_line_is_cut_with_an_ellipsis_and_an_age_has_one_unit() {
        assert_eq!((cut("abcdef", 6).as_str(), cut("abcdefg", 6).as_str()), ("abcdef", "abcde…"));
        assert_eq!([0, 59, 60, 3_599, 3_600, 90_000].map(age), ["0s", "59s", "1m", "59m", "1h", "1d"]);
    }

    #[test]
    fn a_narrow_table_has_the_first_columns_only() {
        let rows = || [["a".to_owned(), "b".to_owned(), "c".repeat(100)]];
        assert_eq!(columns(Width::Narrow, 2, ["A", "B", "LONG"], rows()), "A  B\na  b");
        assert!(columns(Width::Narrow, 3, ["A", "B", "LONG"], rows()).ends_with("ccc…"));
        assert!(columns(Width::Wide, 2, ["A", "B", "LONG"], rows()).ends_with(&"c".repeat(100)));
    }

    /// Strings that YAML would take for something else are quoted, and a string never begins a line of its own.
    #[test]
    fn yaml_says_what_json_says() {
        let value = json!({"count": 1, "big": u64::MAX, "ratio": 1.5, "none": null, "list": [{"a": "x", "b": []}], "empty": {},
            "is": true, "words": ["yes", "null", "1.0", "0x1f", "~", "", "a: b", "# c", "- d", "\u{1b}[2J", "2026-11-30"],
            "long": "word ".repeat(40).trim_end(), "lines": "one\ntwo\n"});
        let shown = yaml(&value).unwrap();
        for line in [
            "count: 1",
            "big: 18446744073709551615",
            "ratio: 1.5",
            "none: null",
            "- a: x",
            "  b: []",
            "empty: {}",
            "is: true",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line}:\n{shown}");
        }
        for word in ["yes", "null", "1.0", "0x1f", "~", "", "a: b", "# c", "- d"] {
            let quoted = [format!("- \"{word}\""), format!("- '{word}'")];
            assert!(shown.lines().any(|found| quoted.iter().any(|line| line == found)), "{word}:\n{shown}");
        }
        assert!(!shown.contains('\u{1b}') && shown.contains("long: word word"), "{shown}");
        assert!(shown.contains("lines: \"one\\ntwo\\n\""), "{shown}");
    }

    #[test]
    fn a_response_is_shown_as_asked() {
        let count = |value: &Value, width: Width| Ok(format!("{} rows, {width:?}", list(value)?.len()));
        for (format, expected) in [
            (Output::Table, "2 rows, Narrow"),
            (Output::Wide, "2 rows, Wide"),
            (Output::Json, "[1, 2]"),
            (Output::Yaml, "- 1\n- 2"),
        ] {
            assert_eq!(format.show("[1, 2]".to_owned(), count).unwrap(), expected, "{format:?}");
        }
        for wrong in ["{}", "no JSON"] {
            assert!(Output::Table.show(wrong.to_owned(), count).is_err(), "{wrong}");
        }
    }
}
