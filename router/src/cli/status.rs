//! `rcs-router status` and `rcs-router version`: one look at a running router.

use clap::Args;
use rcs_cli::{Exit, Failure};
use serde_json::Value;

use super::asked::{AskError, Asked, Output, SERVER_VARIABLE, cut, table, text};
use super::client::{Method, Server, ask};
use crate::limits::TABLE_COLUMNS;

/// Show in one sentence whether every group is served, then the groups.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 every group is served by all its members, 1 not every member serves, 2 a group has no member, 69 the \
                        router does not respond."
)]
pub(super) struct Status {
    #[command(flatten)]
    asked: Asked,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Show the version of this program and, with --server, of a running router.
#[derive(Debug, Args)]
pub(super) struct Version {
    /// The router's admin address.
    #[arg(long, value_name = "URL", env = SERVER_VARIABLE)]
    server: Option<Server>,
}

pub(super) fn run(arguments: &Status) -> Result<(), Failure> {
    let seen = arguments.asked.text("/v1/status");
    let body = seen.map_err(|error| error.exit().with(error.to_string()))?;
    let status: Value = serde_json::from_str(&body).unwrap_or_default();
    let condition = match status["condition"].as_str() {
        Some("ok") => Ok(()),
        Some("degraded") => Err(Exit::Degraded.silently()),
        Some("down") => Err(Exit::Down.silently()),
        _ => return Err(AskError::NotUnderstood.exit().with(AskError::NotUnderstood.to_string())),
    };
    match arguments.output {
        Output::Json => rcs_cli::say(body),
        Output::Table => rcs_cli::say(shown(&status)),
    }
    condition
}

fn shown(status: &Value) -> String {
    let sentence = format!("{}: {}", text(status, "condition"), text(status, "sentence"));
    let counts = format!(
        "rcs-router {}, {} callers, {} calls",
        text(status, "version"),
        text(status, "callers"),
        text(status, "calls")
    );
    let groups = status["groups"].as_array().map_or(&[][..], Vec::as_slice);
    let cells = groups.iter().map(|group| {
        let serving = format!("{} of {}", text(group, "serving"), text(group, "members"));
        [text(group, "group"), text(group, "condition"), serving, text(group, "queued"), missing(group)]
    });
    let table = table(["GROUP", "STATE", "SERVING", "QUEUED", "NOT SERVING"], cells);
    let rows = table.lines().map(|line| cut(line, TABLE_COLUMNS));
    [sentence, counts].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// The members that do not serve, as `n2 (down: connection refused), n3 (drained)`.
fn missing(group: &Value) -> String {
    let members = group["missing"].as_array().map_or(&[][..], Vec::as_slice);
    let one = |member: &Value| match member["reason"].as_str() {
        Some(reason) => format!("{} ({}: {reason})", text(member, "member"), text(member, "state")),
        None => format!("{} ({})", text(member, "member"), text(member, "state")),
    };
    match members {
        [] => "-".to_owned(),
        _ => members.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

pub(super) fn version(arguments: &Version) -> Result<(), Failure> {
    rcs_cli::say(concat!("rcs-router ", env!("CARGO_PKG_VERSION")));
    let Some(server) = &arguments.server else { return Ok(()) };
    let seen = ask(server, Method::Get, "/v1/status", None);
    let body = seen.map_err(|error| error.exit().with(error.to_string()))?;
    let status: Value = serde_json::from_str(&body).unwrap_or_default();
    rcs_cli::say(format_args!("{server} {}", text(&status, "version")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_a_sentence_and_groups_in_80_columns() {
        let status = json!({
            "version": "0.1.0", "condition": "down", "sentence": "no member serves crm: calls wait or fail; see `rcs-router member list`",
            "callers": 2, "calls": 7, "log_lines_lost": 0,
            "groups": [
                {"group": "hr", "condition": "ok", "serving": 2, "members": 2, "queued": 0, "missing": []},
                {"group": "crm", "condition": "down", "serving": 0, "members": 2, "queued": 3, "missing": [
                    {"member": "n3", "state": "drained", "reason": null},
                    {"member": "n4", "state": "down", "reason": "connection refused by 10.20.30.40:8759 for a long time"},
                ]},
            ],
        });
        assert_eq!(
            shown(&status),
            "down: no member serves crm: calls wait or fail; see `rcs-router member list`\n\
             rcs-router 0.1.0, 2 callers, 7 calls\n\
             GROUP  STATE  SERVING  QUEUED  NOT SERVING\n\
             hr     ok     2 of 2   0       -\n\
             crm    down   0 of 2   3       n3 (drained), n4 (down: connection refused by 10…"
        );
    }
}
