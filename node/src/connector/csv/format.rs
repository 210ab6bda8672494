//! The text of a CSV file: how records are found in it and how one is written.
//!
//! Strict where leniency would lose data (a quote that never closes, text after a closing quote), and exact about where
//! everything stands, so that a changed file keeps the bytes of every record and cell that did not change.
//! The `csv` crate is not used: it knows one-byte delimiters only, takes an unclosed quote for data, and does not tell where
//! a cell's bytes are.

use std::ops::Range;

use crate::limits::CSV_COLUMNS_MAX;

/// How a file separates, quotes and ends things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Between cells; not empty.
    pub(super) delimiter: String,
    /// Around cells; doubled inside.
    pub(super) quote: char,
    /// Behind records.
    pub(super) line_end: LineEnd,
}

/// What ends a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// `\n`, `\r\n` or `\r`, whichever comes; this one is written into a file that has none yet.
    Common(String),
    /// Exactly this text; the common ones are data.
    Custom(String),
}

impl LineEnd {
    fn length_at(&self, rest: &str) -> Option<usize> {
        match self {
            Self::Common(_) if rest.starts_with("\r\n") => Some(2),
            Self::Common(_) => rest.starts_with(['\n', '\r']).then_some(1),
            Self::Custom(text) => rest.starts_with(text.as_str()).then_some(text.len()),
        }
    }

    /// What to write behind a record in a file that has no line end yet.
    pub(super) fn as_written(&self) -> &str {
        match self {
            Self::Common(text) | Self::Custom(text) => text,
        }
    }
}

/// One record, by the places of its parts in the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Line on which it begins, from 1.
    pub(super) line: u64,
    /// From its first byte to before its line end.
    pub(super) span: Range<usize>,
    /// Where the next record begins.
    pub(super) next: usize,
    /// Its cells: the bytes between the delimiters, quotes and padding included.
    pub(super) cells: Vec<Cell>,
}

/// One cell of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// Where it stands, quotes and padding included.
    pub(super) span: Range<usize>,
    /// Its value: trimmed, unquoted; `None` if nothing is left.
    pub(super) value: Option<String>,
}

/// What is wrong with the text, and on which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TextError {
    /// A quote opened on this line has no end.
    #[error(
        "the quote opened on line {0} is never closed; close it, or double a quote that belongs to the value"
    )]
    UnclosedQuote(u64),
    /// Something stands behind a closing quote.
    #[error("line {0} has text behind a closing quote; double a quote that belongs to the value")]
    TextBehindQuote(u64),
    /// A quote stands inside a cell that is not quoted.
    #[error("line {0} has a quote inside a cell that is not quoted; quote the cell and double the quote")]
    QuoteInside(u64),
    /// A common line end stands outside quotes where another one is set: the file has other line ends than it says.
    #[error(
        "line {0} has a line feed or carriage return outside quotes, but newlineString is set to another text; correct newlineString"
    )]
    OtherLineEnd(u64),
    /// More cells than the connector allows a file to have columns.
    #[error(
        "line {0} has more than {CSV_COLUMNS_MAX} cells, the most that this connector takes; is this the right file?"
    )]
    TooManyCells(u64),
}

/// Finds the records of a text, one after the other. Records without any text (empty lines) are skipped.
pub(super) struct Records<'a> {
    format: &'a Format,
    text: &'a str,
    position: usize,
    line: u64,
}

impl<'a> Records<'a> {
    /// The records of `text` from the byte `start` on, which is on line 1.
    pub(super) fn new(format: &'a Format, text: &'a str, start: usize) -> Self {
        Self { format, text, position: start, line: 1 }
    }

    fn record(&mut self) -> Result<Record, TextError> {
        let (start, line) = (self.position, self.line);
        let mut cells = Vec::new();
        loop {
            cells.push(self.cell()?);
            if cells.len() > CSV_COLUMNS_MAX {
                return Err(TextError::TooManyCells(line));
            }
            let rest = self.rest();
            if rest.starts_with(&self.format.delimiter) {
                self.position += self.format.delimiter.len();
                continue;
            }
            let span = start..self.position;
            self.position += self.format.line_end.length_at(rest).unwrap_or(0);
            self.line += 1;
            return Ok(Record { line, span, next: self.position, cells });
        }
    }

    /// Reads a cell up to the delimiter, the line end or the end of the text behind it.
    fn cell(&mut self) -> Result<Cell, TextError> {
        let start = self.position;
        self.skip_padding();
        let value = if self.rest().starts_with(self.format.quote) {
            let value = self.quoted()?;
            self.skip_padding();
            if !self.at_cell_end() {
                return Err(TextError::TextBehindQuote(self.line));
            }
            value
        } else {
            let content = self.position;
            while !self.at_cell_end() {
                if self.rest().starts_with(self.format.quote) {
                    return Err(TextError::QuoteInside(self.line));
                }
                self.position += self.plain_length();
            }
            let content = self.text.get(content..self.position).unwrap_or_default();
            // Taken for data it would swallow rows, down to a file of a header alone: every account would seem deleted.
            if content.contains(['\n', '\r']) {
                return Err(TextError::OtherLineEnd(self.line));
            }
            content.to_owned()
        };
        let value = trim(&value);
        let value = if value.is_empty() { None } else { Some(value.to_owned()) };
        Ok(Cell { span: start..self.position, value })
    }

    /// Reads from the opening quote to behind the closing one.
    fn quoted(&mut self) -> Result<String, TextError> {
        let opened = self.line;
        let quote = self.format.quote;
        self.position += quote.len_utf8();
        let mut value = String::new();
        loop {
            let rest = self.rest();
            let Some(length) = rest.find(quote) else { return Err(TextError::UnclosedQuote(opened)) };
            let content = rest.get(..length).unwrap_or_default();
            value.push_str(content);
            self.line += content.matches('\n').count() as u64;
            self.position += length + quote.len_utf8();
            if !self.rest().starts_with(quote) {
                return Ok(value);
            }
            value.push(quote);
            self.position += quote.len_utf8();
        }
    }

    /// How far it is, at least one character, to one that may begin a delimiter, a line end or a quote.
    fn plain_length(&self) -> usize {
        let rest = self.rest();
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let delimiter = self.format.delimiter.chars().next();
        let line_end = match &self.format.line_end {
            LineEnd::Common(_) => Some('\r'),
            LineEnd::Custom(text) => text.chars().next(),
        };
        let stops =
            |c: char| c == self.format.quote || c == '\n' || Some(c) == delimiter || Some(c) == line_end;
        rest.get(first..).and_then(|rest| rest.find(stops)).map_or(rest.len(), |length| first + length)
    }

    fn skip_padding(&mut self) {
        while !self.at_cell_end() && self.rest().starts_with([' ', '\t']) {
            self.position += 1;
        }
    }

    fn at_cell_end(&self) -> bool {
        let rest = self.rest();
        rest.is_empty()
            || rest.starts_with(&self.format.delimiter)
            || self.format.line_end.length_at(rest).is_some()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).expect("the position only moves by whole characters")
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest().is_empty() {
            match self.record() {
                Ok(record) if matches!(record.cells.as_slice(), [Cell { value: None, .. }]) => {}
                Ok(record) => return Some(Ok(record)),
                Err(error) => {
                    self.position = self.text.len();
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// Cuts what Java's `trim` cuts: everything up to the blank, at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// One cell as it is written: quoted, or nothing if there is no value.
pub(super) fn write_cell(format: &Format, value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| {
        let quote = format.quote.to_string();
        format!("{quote}{}{quote}", value.replace(format.quote, &quote.repeat(2)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Format, LineEnd, Records, TextError, trim, write_cell};

    fn format(delimiter: &str, quote: char, line_end: &str) -> Format {
        let line_end = match line_end {
            "\n" | "\r\n" | "\r" => LineEnd::Common(line_end.to_owned()),
            other => LineEnd::Custom(other.to_owned()),
        };
        Format { delimiter: delimiter.to_owned(), quote, line_end }
    }

    type ReadCase<'a> = (&'a str, Format, &'a str, Vec<(u64, Vec<&'a str>)>);
    type Read = Result<Vec<(u64, Vec<Option<String>>)>, TextError>;

    fn read(format: &Format, text: &str) -> Read {
        Records::new(format, text, 0)
            .map(|record| {
                record.map(|record| (record.line, record.cells.into_iter().map(|cell| cell.value).collect()))
            })
            .collect()
    }

    #[test]
    fn cells_are_found_trimmed_and_unquoted() {
        let plain = format(",", '"', "\n");
        let cases: Vec<ReadCase<'_>> = vec![
            ("plain", plain.clone(), "a,b\nc,d\n", vec![(1, vec!["a", "b"]), (2, vec!["c", "d"])]),
            ("no line end", plain.clone(), "a,b\nc,d", vec![(1, vec!["a", "b"]), (2, vec!["c", "d"])]),
            ("CRLF", plain.clone(), "a,b\r\nc,d\r\n", vec![(1, vec!["a", "b"]), (2, vec!["c", "d"])]),
            ("CR", plain.clone(), "a,b\rc,d\r", vec![(1, vec!["a", "b"]), (2, vec!["c", "d"])]),
            (
                "empty lines",
                plain.clone(),
                "\n\na,b\n \n\nc,d\n\n",
                vec![(3, vec!["a", "b"]), (6, vec!["c", "d"])],
            ),
            ("empty cells", plain.clone(), ",\"\",  \n", vec![(1, vec!["", "", ""])]),
            ("a delimiter at the end", plain.clone(), "a,", vec![(1, vec!["a", ""])]),
            ("padding", plain.clone(), " a , \"b c\" ,\" d \"\n", vec![(1, vec!["a", "b c", "d"])]),
            ("doubled quotes", plain.clone(), "\"a\"\"b\",\"\"\"\"\n", vec![(1, vec!["a\"b", "\""])]),
            ("delimiter in quotes", plain.clone(), "\"a,b\",c\n", vec![(1, vec!["a,b", "c"])]),
            (
                "lines in quotes count",
                plain.clone(),
                "\"a\n\nb\",c\nd,e\n",
                vec![(1, vec!["a\n\nb", "c"]), (4, vec!["d", "e"])],
            ),
            ("tab", format("\t", '"', "\n"), "a\t b\t\n", vec![(1, vec!["a", "b", ""])]),
            (
                "long delimiter",
                format("::", '"', "\n"),
                "a::b:c::\"d::e\"\n",
                vec![(1, vec!["a", "b:c", "d::e"])],
            ),
            ("wide characters", format("→", '«', "\n"), "é→«b→c«→ü\n", vec![(1, vec!["é", "b→c", "ü"])]),
            (
                "own line end",
                format(",", '"', "|"),
                "a,\"b\nB\"|c,d|",
                vec![(1, vec!["a", "b\nB"]), (3, vec!["c", "d"])],
            ),
            (
                "long line end",
                format(",", '"', "#eol#"),
                "a,b#eol#c,#",
                vec![(1, vec!["a", "b"]), (2, vec!["c", "#"])],
            ),
            ("nothing", plain.clone(), "", vec![]),
        ];
        for (name, format, text, expected) in cases {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(line, cells)| {
                    let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                    (line, cells.into_iter().map(cell).collect::<Vec<_>>())
                })
                .collect();
            assert_eq!(read(&format, text), Ok(expected), "{name}");
        }
    }

    #[test]
    fn broken_quotes_name_their_line() {
        let plain = format(",", '"', "\n");
        for (text, expected) in [
            ("a,b\nc,\"d\ne,f\n", TextError::UnclosedQuote(2)),
            ("a,b\nc,d\"x\n", TextError::QuoteInside(2)),
            ("a,b\n\"c\"x,d\n", TextError::TextBehindQuote(2)),
            ("\"a", TextError::UnclosedQuote(1)),
            ("\"a\"\"", TextError::UnclosedQuote(1)),
        ] {
            assert_eq!(read(&plain, text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_common_line_end_under_another_newline_string_is_never_data() {
        for text in ["uid,email\na,b\n", "uid\na", "uid,email,\ra,b", "uid,email|\na,b|"] {
            let records: Result<Vec<_>, _> = Records::new(&format(",", '"', "|"), text, 0).collect();
            assert!(matches!(records, Err(TextError::OtherLineEnd(_))), "{text:?}");
        }
    }

    #[test]
    fn spans_cover_the_text() {
        let plain = format(",", '"', "\n");
        let text = "x\"a\" , b\r\nc,d";
        let records: Vec<_> = Records::new(&plain, text, 1).collect::<Result<_, _>>().unwrap();
        let cells: Vec<_> =
            records.iter().flat_map(|record| &record.cells).map(|cell| &text[cell.span.clone()]).collect();
        assert_eq!(cells, ["\"a\" ", " b", "c", "d"]);
        assert_eq!(&text[records[0].span.clone()], "\"a\" , b");
        assert_eq!((records[0].next, records[1].next), (10, text.len()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            cells in proptest::collection::vec("[ab \",;\n\r'|é]{0,6}", 1..5),
            delimiter in prop_oneof![Just(","), Just(";"), Just("::"), Just("\t")],
            quote in prop_oneof![Just('"'), Just('\'')],
            line_end in prop_oneof![Just("\n"), Just("\r\n"), Just("|"), Just("#eol#")],
        ) {
            let format = format(delimiter, quote, line_end);
            let values: Vec<_> =
                cells.iter().map(|cell| trim(cell)).map(|cell| (!cell.is_empty()).then_some(cell)).collect();
            let written: Vec<_> = values.iter().map(|value| write_cell(&format, *value)).collect();
            let text = format!("{0}{1}{0}{1}", written.join(delimiter), line_end);
            let read = read(&format, &text).unwrap();
            let wanted: Vec<_> = values.iter().map(|value| value.map(str::to_owned)).collect();
            if wanted != [None] {
                prop_assert_eq!(read.len(), 2);
                for (_, cells) in read {
                    prop_assert_eq!(&cells, &wanted);
                }
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic_or_stand_still(text in "[a\",\n\r |é:]{0,40}") {
            for line_end in ["\n", "|"] {
                for delimiter in [",", "::"] {
                    let format = format(delimiter, '"', line_end);
                    let mut at = 0;
                    for record in Records::new(&format, &text, 0).flatten() {
                        prop_assert!(record.span.start >= at && record.next > at);
                        at = record.next;
                    }
                }
            }
        }
    }
}
