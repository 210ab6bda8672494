//! `rcs-router member`: what operators want of members, and how those are.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use rcs_cli::{Exit, Failure};
use serde_json::Value;

use super::asked::{AskError, Asked, Output, table, tell, text};
use super::client::segment;
use crate::limits::CLIENT_LOOK_EVERY;

/// Drain members, take them back, and see how they are.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give a member no new calls, let those that it has end, then close its sockets.
    Drain(Change),
    /// Take a drained member back.
    Undrain(Change),
    /// Take any mark off a member.
    Enable(Change),
    /// The same as drain, but calls that have not ended in 25 s are ended.
    Disable(Change),
    /// Show the members of all groups.
    List(List),
}

#[derive(Debug, Args)]
struct Change {
    /// A group of the member. The mark is the member's, in all its groups.
    group: String,
    /// The member.
    member: String,
    /// Do it even if the group has nobody else that serves.
    #[arg(long)]
    force: bool,
    /// Wait until it is done, for so many seconds at most.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "900")]
    wait: Option<u64>,
}

#[derive(Debug, Args)]
struct List {
    /// How it looks.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum MemberError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{0} is not done yet: it goes on, and `rcs-router member list` shows it")]
    NotYet(String),
    #[error("{0} was undone meanwhile: its state is {1:?}")]
    Undone(String, String),
}

impl MemberError {
    fn exit(&self) -> Exit {
        match self {
            Self::Ask(error) => error.exit(),
            Self::Undone(..) => Exit::BadData,
            Self::NotYet(_) => Exit::Unavailable,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asked = &arguments.asked;
    let outcome = match &arguments.command {
        Command::Drain(change) => mark("drain", change, asked),
        Command::Undrain(change) => mark("undrain", change, asked),
        Command::Enable(change) => mark("enable", change, asked),
        Command::Disable(change) => mark("disable", change, asked),
        Command::List(list) => show(list, asked),
    };
    tell(outcome, MemberError::exit)
}

fn mark(change: &'static str, arguments: &Change, asked: &Asked) -> Result<String, MemberError> {
    let Change { group, member, force, wait } = arguments;
    let path = format!("/v1/groups/{}/members/{}/{change}?force={force}", segment(group), segment(member));
    let marked = asked.change(&path)?;
    let done = match wait {
        Some(seconds) => await_done(change, arguments, asked, Duration::from_secs(*seconds))?,
        None => marked,
    };
    Ok(format!(
        "{member} of {group}: {}, {}, {} calls in flight, {} sockets",
        text(&done, "admin_state"),
        text(&done, "health"),
        text(&done, "in_flight"),
        text(&done, "sockets")
    ))
}

fn await_done(
    change: &str,
    arguments: &Change,
    asked: &Asked,
    bound: Duration,
) -> Result<Value, MemberError> {
    let what = || format!("{change} of {}", arguments.member);
    let until = Instant::now() + bound;
    loop {
        let found = members(asked)?
            .into_iter()
            .find(|row| text(row, "group") == arguments.group && text(row, "name") == arguments.member);
        let row = found.ok_or(AskError::NotUnderstood)?;
        match progress(change, &row) {
            Progress::Done => return Ok(row),
            Progress::Undone => return Err(MemberError::Undone(what(), text(&row, "admin_state"))),
            Progress::UnderWay if Instant::now() >= until => return Err(MemberError::NotYet(what())),
            Progress::UnderWay => sleep(CLIENT_LOOK_EVERY),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    UnderWay,
    Done,
    Undone,
}

fn progress(change: &str, row: &Value) -> Progress {
    let state = text(row, "admin_state");
    match (change, state.as_str()) {
        ("drain", "drained") => Progress::Done,
        ("drain", "draining") => Progress::UnderWay,
        ("disable", "disabled") if text(row, "sockets") == "0" => Progress::Done,
        ("disable", "disabled") => Progress::UnderWay,
        ("enable" | "undrain", "enabled") if text(row, "health") == "up" => Progress::Done,
        ("enable" | "undrain", "enabled") => Progress::UnderWay,
        _ => Progress::Undone,
    }
}

fn show(list: &List, asked: &Asked) -> Result<String, MemberError> {
    match list.output {
        Output::Json => Ok(asked.text("/v1/members")?),
        Output::Table => Ok(shown(&members(asked)?)),
    }
}

fn members(asked: &Asked) -> Result<Vec<Value>, AskError> {
    match asked.look("/v1/members")? {
        Value::Array(rows) => Ok(rows),
        _ => Err(AskError::NotUnderstood),
    }
}

const COLUMNS: [(&str, &str); 7] = [
    ("GROUP", "group"),
    ("MEMBER", "name"),
    ("HEALTH", "health"),
    ("ADMIN", "admin_state"),
    ("IN FLIGHT", "in_flight"),
    ("SOCKETS", "sockets"),
    ("QUARANTINE", "quarantine"),
];

fn shown(rows: &[Value]) -> String {
    let cells = rows.iter().map(|row| COLUMNS.map(|(_, key)| text(row, key)));
    table(COLUMNS.map(|(title, _)| title), cells)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_line_a_member() {
        let rows = [
            json!({"group": "g", "name": "n1", "health": "up", "admin_state": "enabled", "in_flight": 12, "sockets": 2}),
            json!({"group": "g", "name": "long-name", "health": "down", "admin_state": "drained", "in_flight": 0, "sockets": 0}),
        ];
        assert_eq!(
            shown(&rows),
            "GROUP  MEMBER     HEALTH  ADMIN    IN FLIGHT  SOCKETS  QUARANTINE\n\
             g      n1         up      enabled  12         2        -\n\
             g      long-name  down    drained  0          0        -"
        );
    }

    #[test]
    fn what_is_waited_for_is_seen() {
        for (change, state, health, sockets, expected) in [
            ("drain", "draining", "up", 2, Progress::UnderWay),
            ("drain", "drained", "down", 0, Progress::Done),
            ("drain", "enabled", "up", 2, Progress::Undone),
            ("disable", "disabled", "up", 2, Progress::UnderWay),
            ("disable", "disabled", "down", 0, Progress::Done),
            ("undrain", "enabled", "down", 0, Progress::UnderWay),
            ("enable", "enabled", "up", 2, Progress::Done),
        ] {
            let row = json!({"admin_state": state, "health": health, "sockets": sockets});
            assert_eq!(progress(change, &row), expected, "{change} {row}");
        }
    }
}
