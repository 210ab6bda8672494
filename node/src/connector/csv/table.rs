//! The content of a CSV file: columns, rows, and an index of their identifiers. Immutable; an edit is a new text.

use std::collections::HashMap;
use std::ops::Range;

use super::format::{Format, Record, Records, TextError, write_cell};
use super::memory::{Lease, NoMemory};

/// Which columns mean something to the connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// Column of the identifier; must exist.
    pub(super) uid: String,
    /// Column of the password, if the file has one.
    pub(super) password: Option<String>,
}

/// A parsed file. Debug is left out on purpose: it holds passwords.
pub(super) struct Table {
    /// The bytes it was read from, and the byte order mark if there was one.
    text: String,
    columns: Vec<String>,
    uid: usize,
    password: Option<usize>,
    name: Option<usize>,
    rows: Vec<Row>,
    by_uid: HashMap<Box<str>, usize>,
    line_end: String,
    /// The memory that the whole table takes.
    _lease: Lease,
}

/// One row.
pub(super) struct Row {
    line: u64,
    span: Range<usize>,
    next: usize,
    cells: Box<[Option<Box<str>>]>,
}

impl Row {
    /// The value in that column.
    pub(super) fn cell(&self, column: usize) -> Option<&str> {
        self.cells.get(column)?.as_deref()
    }
}

/// Why a file cannot be used. No sentence holds a value (P9).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TableError {
    #[error("it is not UTF-8 (line {0}); convert it, for example with iconv")]
    NotUtf8(u64),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("it is empty; its first line must name the columns")]
    Empty,
    #[error("column {0} of its header has no name; name it")]
    UnnamedColumn(usize),
    #[error(
        "its header names the column {0:?} twice (upper and lower case are the same); rename one of the two"
    )]
    DuplicateColumn(String),
    #[error("its header names a column {0:?}, which is a reserved name; rename it")]
    ReservedColumn(String),
    #[error("its header has no column {0:?}; set headerUid to the column of the identifier")]
    NoUidColumn(String),
    #[error("line {line} has {found} cells, but the header has {expected}; correct the line")]
    Ragged { line: u64, found: usize, expected: usize },
    #[error("line {0} has no identifier; give it one")]
    NoUid(u64),
    #[error("lines {0} and {1} have the same identifier; change one of the two")]
    DuplicateUid(u64, u64),
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}

impl TableError {
    /// Whether the header or the configuration is at fault, not a row.
    pub(super) fn is_about_the_header(&self) -> bool {
        matches!(
            self,
            Self::Empty
                | Self::UnnamedColumn(_)
                | Self::DuplicateColumn(_)
                | Self::ReservedColumn(_)
                | Self::NoUidColumn(_)
        )
    }
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

impl Table {
    /// Parses a file. The lease already has room for the file's bytes.
    pub(super) fn parse(
        bytes: Vec<u8>,
        format: &Format,
        headers: &Headers,
        mut lease: Lease,
    ) -> Result<Self, TableError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
            TableError::NotUtf8(1 + good.iter().filter(|byte| **byte == b'\n').count() as u64)
        })?;
        let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut records = Records::new(format, &text, start);
        let header = records.next().ok_or(TableError::Empty)??;
        let line_end = match text.get(header.span.end..header.next) {
            Some(found) if !found.is_empty() => found.to_owned(),
            _ => format.line_end.as_written().to_owned(),
        };
        let columns = column_names(header)?;
        let position = |name: &str| columns.iter().position(|column| column == name);
        let uid = position(&headers.uid).ok_or_else(|| TableError::NoUidColumn(headers.uid.clone()))?;
        let password = headers.password.as_deref().and_then(position);
        let name = position(rcs_proto::icf::NAME).filter(|name| *name != uid);
        let reserved = [(rcs_proto::icf::UID, Some(uid)), (rcs_proto::icf::PASSWORD, password)];
        for (special, allowed) in reserved {
            if position(special).is_some_and(|found| Some(found) != allowed) {
                return Err(TableError::ReservedColumn(special.to_owned()));
            }
        }
        let mut rows: Vec<Row> = Vec::new();
        let mut by_uid = HashMap::new();
        for record in records {
            let row = row(record?, columns.len())?;
            let id = row.cell(uid).ok_or(TableError::NoUid(row.line))?;
            lease.add_row::<Row>(&row.cells, id)?;
            if let Some(earlier) = by_uid.insert(id.into(), rows.len()) {
                return Err(TableError::DuplicateUid(rows.get(earlier).map_or(0, |row| row.line), row.line));
            }
            rows.push(row);
        }
        lease.settle();
        Ok(Self { text, columns, uid, password, name, rows, by_uid, line_end, _lease: lease })
    }

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The columns' names, in their order.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The column of that name; names fold their case, as attribute names do.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// The identifier's column.
    pub(super) fn uid_column(&self) -> usize {
        self.uid
    }

    /// The password's column.
    pub(super) fn password_column(&self) -> Option<usize> {
        self.password
    }

    /// The column named `__NAME__`, if there is one; otherwise the identifier is the name.
    pub(super) fn name_column(&self) -> Option<usize> {
        self.name
    }

    /// The rows, in their order.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row with that identifier.
    pub(super) fn row(&self, uid: &str) -> Option<&Row> {
        self.rows.get(*self.by_uid.get(uid)?)
    }

    /// The row's identifier.
    pub(super) fn uid_of<'a>(&self, row: &'a Row) -> &'a str {
        row.cell(self.uid).expect("a row without an identifier is refused when it is read")
    }

    /// The text with one row more at its end.
    pub(super) fn with_row(&self, format: &Format, cells: &[Option<String>]) -> Vec<u8> {
        let cells: Vec<_> = cells.iter().map(|cell| write_cell(format, cell.as_deref())).collect();
        let mut text = self.text.clone();
        if !text.ends_with(&self.line_end) {
            text.push_str(&self.line_end);
        }
        text.push_str(&cells.join(&format.delimiter));
        text.push_str(&self.line_end);
        text.into_bytes()
    }

    /// The text with these cells of one row changed, and every other byte as it was.
    pub(super) fn with_cells(
        &self,
        format: &Format,
        row: &Row,
        changes: &[(usize, Option<String>)],
    ) -> Result<Vec<u8>, TableError> {
        let record = Records::new(format, &self.text, row.span.start).next().ok_or(TableError::Empty)??;
        let mut text = self.text.get(..row.span.start).unwrap_or_default().to_owned();
        for (column, cell) in record.cells.iter().enumerate() {
            if column > 0 {
                text.push_str(&format.delimiter);
            }
            match changes.iter().find(|(changed, _)| *changed == column) {
                Some((_, value)) => text.push_str(&write_cell(format, value.as_deref())),
                None => text.push_str(self.text.get(cell.span.clone()).unwrap_or_default()),
            }
        }
        text.push_str(self.text.get(row.span.end..).unwrap_or_default());
        Ok(text.into_bytes())
    }

    /// The text without that row.
    pub(super) fn without(&self, row: &Row) -> Vec<u8> {
        let mut text = self.text.get(..row.span.start).unwrap_or_default().to_owned();
        text.push_str(self.text.get(row.next..).unwrap_or_default());
        text.into_bytes()
    }
}

fn column_names(header: Record) -> Result<Vec<String>, TableError> {
    let mut columns: Vec<String> = Vec::with_capacity(header.cells.len());
    for (index, cell) in header.cells.into_iter().enumerate() {
        let name = cell.value.ok_or(TableError::UnnamedColumn(index + 1))?;
        if columns.iter().any(|column| column.eq_ignore_ascii_case(&name)) {
            return Err(TableError::DuplicateColumn(name));
        }
        columns.push(name);
    }
    Ok(columns)
}

fn row(record: Record, columns: usize) -> Result<Row, TableError> {
    let found = record.cells.len();
    if found != columns {
        return Err(TableError::Ragged { line: record.line, found, expected: columns });
    }
    let cells = record.cells.into_iter().map(|cell| cell.value.map(String::into_boxed_str)).collect();
    Ok(Row { line: record.line, span: record.span, next: record.next, cells })
}
