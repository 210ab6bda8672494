//! `rcs-router member`: takes members out of service and back, lists them, adds and removes them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use rcs_cli::{Exit, Failure};
use serde_json::Value;

use super::asked::{AskError, Asked, hint, tell};
use super::client::segment;
use super::output::{Shown, Width, age, list, short, table, text};
use super::server::{self, Add, Remove};
use crate::limits::CLIENT_LOOK_EVERY;

/// Drain members, take them back into service, list, add and remove them.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send no new calls to a member, let its open calls finish, then close its connections.
    Drain(Change),
    /// Take a drained member back into service.
    #[command(mut_arg("force", |force| force.hide(true)))]
    Undrain(Change),
    /// Take a drained or disabled member back into service.
    #[command(mut_arg("force", |force| force.hide(true)))]
    Enable(Change),
    /// Like drain, but calls that are still open after 25 s are ended.
    Disable(Change),
    /// List the members of all groups with their state.
    List(Shown),
    /// Add a member, or replace the member of this name.
    Add(Add),
    /// Remove a member that no group lists.
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Change {
    /// A group of the member. The change applies to the member in all its groups.
    group: String,
    /// The member.
    member: String,
    /// Make the change even if no other member of the group can serve, or has a connector version that callers use.
    #[arg(long)]
    force: bool,
    /// Wait until the change is complete, for SECONDS at most (900 without a number).
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "900")]
    wait: Option<u64>,
    #[command(flatten)]
    shown: Shown,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum MemberError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(
        "{what} is still in progress after {seconds} s: the member is {stands}. The router goes on; see `rcs-router member list`"
    )]
    NotYet { what: String, seconds: u64, stands: String },
    #[error(
        "{0} was undone by another change in the meantime: the member's state is {1:?}. See `rcs-router member list`"
    )]
    Undone(String, String),
}

impl MemberError {
    fn exit(&self) -> Exit {
        match self {
            Self::Ask(error) => error.exit(),
            Self::Undone(..) => Exit::BadData,
            Self::NotYet { .. } => Exit::Unavailable,
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
        Command::List(shown) => show(shown, asked),
        Command::Add(add) => return server::add(add, asked),
        Command::Remove(remove) => return server::remove(remove, asked),
    };
    tell(outcome, MemberError::exit)
}

fn mark(change: &'static str, arguments: &Change, asked: &Asked) -> Result<String, MemberError> {
    let Change { group, member, force, wait, shown } = arguments;
    let path = format!("/v1/groups/{}/members/{}/{change}?force={force}", segment(group), segment(member));
    let marked = asked.changed_text(&path)?;
    let done = match wait {
        Some(seconds) => await_done(change, arguments, asked, Duration::from_secs(*seconds))?.to_string(),
        None => marked,
    };
    let sentence = |done: &Value, _| {
        Ok(format!(
            "{member} of {group}: {}, {}, {}",
            stands(done),
            count(done, "in_flight", "call in flight", "calls in flight"),
            count(done, "sockets", "socket", "sockets")
        ))
    };
    Ok(shown.format.show(done, sentence)?)
}

/// A number of a row, followed by its noun.
fn count(row: &Value, key: &str, one: &str, many: &str) -> String {
    let number = text(row, key);
    format!("{number} {}", if number == "1" { one } else { many })
}

/// A member's state, with the reason if there is one. An error of the connection is shown in full.
fn stands(row: &Value) -> String {
    let state = text(row, "state");
    let error = row.get("last_error").filter(|error| error["reason"] == row["reason"]);
    let error = error.and_then(|error| error["text"].as_str()).map(|text| format!(": {text}"));
    match row.get("reason").and_then(Value::as_str) {
        None => state,
        Some(reason) => format!("{state} ({reason}{})", error.unwrap_or_default()),
    }
}

fn await_done(
    change: &str,
    arguments: &Change,
    asked: &Asked,
    bound: Duration,
) -> Result<Value, MemberError> {
    let what = || format!("{change} of {}", arguments.member);
    let until = Instant::now() + bound;
    let mut said = String::new();
    loop {
        let found = members(asked)?
            .into_iter()
            .find(|row| text(row, "group") == arguments.group && text(row, "name") == arguments.member);
        let row = found.ok_or(AskError::NotUnderstood)?;
        match progress(change, &row) {
            Progress::Done => return Ok(row),
            Progress::Undone => return Err(MemberError::Undone(what(), text(&row, "admin_state"))),
            Progress::UnderWay if Instant::now() >= until => {
                let (what, stands) = (what(), stands(&row));
                return Err(MemberError::NotYet { what, seconds: bound.as_secs(), stands });
            }
            Progress::UnderWay => {
                let now = stands(&row);
                if now != said {
                    hint(&format!("{} is {now}; waiting", arguments.member));
                    said = now;
                }
                sleep(CLIENT_LOOK_EVERY);
            }
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
        ("disable", "disabled") if is_let_go(row) => Progress::Done,
        ("disable", "disabled") => Progress::UnderWay,
        ("enable" | "undrain", "enabled") if text(row, "state") == "serving" => Progress::Done,
        ("enable" | "undrain", "enabled") => Progress::UnderWay,
        _ => Progress::Undone,
    }
}

/// Whether a disabled member has nothing left that the router takes away. A member in client mode keeps its sockets, because the router
/// could not open them again.
fn is_let_go(row: &Value) -> bool {
    let what = if text(row, "mode") == "client" { "in_flight" } else { "sockets" };
    text(row, what) == "0"
}

fn show(shown: &Shown, asked: &Asked) -> Result<String, MemberError> {
    let rows = |found: &Value, width: Width| {
        list(found).map(|rows| match width {
            Width::Narrow => narrow(rows),
            Width::Wide => wide(rows),
        })
    };
    Ok(shown.format.show(asked.text("/v1/members")?, rows)?)
}

fn members(asked: &Asked) -> Result<Vec<Value>, AskError> {
    match asked.look("/v1/members")? {
        Value::Array(rows) => Ok(rows),
        _ => Err(AskError::NotUnderstood),
    }
}

/// The table of 80 columns, with what an operator asks first. A reason that does not fit is cut.
fn narrow(rows: &[Value]) -> String {
    let cells = rows.iter().map(|row| {
        let age = row["state_seconds"].as_u64().map_or("-".to_owned(), age);
        let plain = |key| text(row, key);
        [plain("group"), plain("name"), plain("state"), age, plain("in_flight"), plain("reason")]
    });
    short(&table(["GROUP", "MEMBER", "STATE", "SINCE", "CALLS", "REASON"], cells))
}

fn wide(rows: &[Value]) -> String {
    let cells = rows.iter().map(|row| {
        let plain = |key| text(row, key);
        let latency = row["latency_ms"].as_f64().map_or("-".to_owned(), |ms| format!("{ms:.1}"));
        let mode = match row["via"].as_u64() {
            Some(router) => format!("{} via router {router}", plain("mode")),
            None => plain("mode"),
        };
        let connectors = row["connectors"].as_array().map_or(0, Vec::len).to_string();
        let error = match &row["last_error"] {
            Value::Null => "-".to_owned(),
            error => format!("{} {}", text(error, "at"), text(error, "text")),
        };
        [
            plain("group"),
            plain("name"),
            plain("state"),
            plain("since"),
            plain("in_flight"),
            plain("sockets"),
            mode,
            plain("address"),
            plain("server"),
            connectors,
            plain("bundle_set"),
            latency,
            plain("reason"),
            error,
        ]
    });
    let titles = [
        "GROUP",
        "MEMBER",
        "STATE",
        "SINCE",
        "CALLS",
        "SOCKETS",
        "MODE",
        "ADDRESS",
        "SERVER",
        "CONNECTORS",
        "BUNDLE SET",
        "READ MS",
        "REASON",
        "LAST ERROR",
    ];
    table(titles, cells)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> [Value; 3] {
        let error = json!({"reason": "wrong key or principal", "at": "2026-11-29T08:00:00Z",
            "text": "10.0.0.7:8759: the peer refused our principal or key (HTTP 403); compare the keys of both sides"});
        [
            json!({"group": "hr", "name": "n1", "state": "serving", "since": "2026-11-29T06:00:00Z", "state_seconds": 7260,
                "reason": null, "in_flight": 12, "sockets": 2, "mode": "server", "address": "10.0.0.5:8759", "server": "java",
                "connectors": ["a", "b"], "bundle_set": "1f", "latency_ms": 1.25, "last_error": null}),
            json!({"group": "hr", "name": "long-name", "state": "down", "since": "2026-11-29T07:59:51Z", "state_seconds": 9,
                "reason": "wrong key or principal", "in_flight": 0, "sockets": 0, "last_error": error}),
            json!({"group": "hr", "name": "n3", "state": "quarantined", "since": "2026-11-29T07:59:51Z", "state_seconds": 200_000,
                "reason": "bundle set differs: bundles diff a-group-with-a-long-name", "in_flight": 0}),
        ]
    }

    #[test]
    fn a_table_has_a_line_a_member_of_80_columns_at_most() {
        assert_eq!(
            narrow(&rows()),
            "GROUP  MEMBER     STATE        SINCE  CALLS  REASON\n\
             hr     n1         serving      2h     12     -\n\
             hr     long-name  down         9s     0      wrong key or principal\n\
             hr     n3         quarantined  2d     0      bundle set differs: bundles diff a…"
        );
    }

    #[test]
    fn the_wide_table_has_all_that_is_known() {
        let shown = wide(&rows());
        for part in [
            "2026-11-29T06:00:00Z  12     2        server  10.0.0.5:8759  java    2           1f          1.2",
            "2026-11-29T08:00:00Z 10.0.0.7:8759: the peer refused our principal",
            "bundles diff a-group-with-a-long-name",
        ] {
            assert!(shown.contains(part), "{part}:\n{shown}");
        }
    }

    #[test]
    fn a_state_is_told_with_its_reason_and_the_whole_error() {
        let [serving, down, quarantined] = rows();
        assert_eq!(stands(&serving), "serving");
        assert!(stands(&down).starts_with("down (wrong key or principal: 10.0.0.7:8759: the peer refused"));
        assert!(stands(&quarantined).starts_with("quarantined (bundle set differs"));
    }

    #[test]
    fn what_is_waited_for_is_seen() {
        for (change, admin, state, sockets, expected) in [
            ("drain", "draining", "draining", 2, Progress::UnderWay),
            ("drain", "drained", "drained", 0, Progress::Done),
            ("drain", "enabled", "serving", 2, Progress::Undone),
            ("disable", "disabled", "disabled", 2, Progress::UnderWay),
            ("disable", "disabled", "disabled", 0, Progress::Done),
            ("undrain", "enabled", "down", 0, Progress::UnderWay),
            ("undrain", "enabled", "quarantined", 2, Progress::UnderWay),
            ("enable", "enabled", "warming", 2, Progress::UnderWay),
            ("enable", "enabled", "serving", 2, Progress::Done),
        ] {
            let row = json!({"admin_state": admin, "state": state, "health": "up", "sockets": sockets});
            assert_eq!(progress(change, &row), expected, "{change} {row}");
        }
    }
}
