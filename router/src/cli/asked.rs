//! What commands that send requests to a running router have in common.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rcs_cli::{Exit, Failure};
use serde_json::Value;

use super::client::{Asking, ClientError, Method, Server, ask};
use crate::token::{Token, TokenError};

/// The variable with the admin address to which commands send their requests.
pub(super) const SERVER_VARIABLE: &str = "RCS_ROUTER_SERVER";

/// The router to which requests are sent.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The router's admin address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8760", env = SERVER_VARIABLE, global = true, help_heading = "Router")]
    server: Server,
    /// File whose first line is an API token: the router's own, or one of its cluster. Without this option the token is read from the
    /// variable RCS_ROUTER_TOKEN.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_TOKEN_FILE", global = true, help_heading = "Router")]
    token_file: Option<PathBuf>,
}

/// Output format of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    #[default]
    Table,
    /// As the API gives it.
    Json,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(
        "the router's response is not understood: check that rcs-router and the router have the same version"
    )]
    NotUnderstood,
}

impl AskError {
    /// How the program ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::Token(_) => Exit::BadData,
            Self::NotUnderstood => Exit::Unavailable,
        }
    }
}

impl Asked {
    /// The response to a GET of this path, unchanged.
    pub(super) fn text(&self, path: &str) -> Result<String, AskError> {
        let asking = Asking { method: Method::Get, path, token: None, headers: &[], body: &[] };
        Ok(ask(&self.server, &asking)?.trim_end().to_owned())
    }

    /// The response to a GET of this path.
    pub(super) fn look(&self, path: &str) -> Result<Value, AskError> {
        parsed(&self.text(path)?)
    }

    /// Sends a change, with the token if there is one; returns the state after the change.
    pub(super) fn change(&self, path: &str) -> Result<Value, AskError> {
        parsed(&self.changed_text(path)?)
    }

    /// The same; returns the response unchanged.
    pub(super) fn changed_text(&self, path: &str) -> Result<String, AskError> {
        self.send(Method::Post, path, &[], &[])
    }

    /// Sends a request with the token, headers and a body; returns the response unchanged.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Result<String, AskError> {
        let token = Token::load(self.token_file.as_deref())?;
        Ok(ask(&self.server, &Asking { method, path, token: token.as_ref(), headers, body })?)
    }
}

pub(super) fn parsed(body: &str) -> Result<Value, AskError> {
    serde_json::from_str(body).map_err(|_| AskError::NotUnderstood)
}

/// Prints what was asked for; an error becomes a failure of the class that `exit` names.
pub(super) fn tell<E: fmt::Display>(
    outcome: Result<String, E>,
    exit: impl FnOnce(&E) -> Exit,
) -> Result<(), Failure> {
    let text = outcome.map_err(|error| exit(&error).with(error.to_string()))?;
    rcs_cli::say(text);
    Ok(())
}

/// Lines of cells as columns of one width each.
pub(super) fn table<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let head = titles.map(str::to_owned);
    let lines: Vec<[String; N]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let show = |line: &[String; N]| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
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

/// A line of at most this many columns. If the line is longer, it is cut, and ends with an ellipsis.
pub(super) fn cut(line: &str, columns: usize) -> String {
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

/// Prints on standard error what a command waits for. If the stream is closed or full, the command goes on.
pub(super) fn hint(line: &str) {
    rcs_cli::tell(line);
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
}
