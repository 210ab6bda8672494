//! `rcs-router status` and `rcs-router version`: one look at a running router.

use clap::Args;
use rcs_cli::{Exit, Failure};
use serde_json::Value;

use super::asked::{AskError, Asked, SERVER_VARIABLE};
use super::client::Server;
use super::output::{Shown, Width, short, table, text};
use super::secured::Secured;
use crate::limits::STATUS_FAULT_LINES_MAX;

/// The line about the exit codes of `status` for the end of the program's help.
pub(super) const EXIT_CODES: &str =
    "Of status also: 1 not every member serves as it should (degraded), 2 no member serves a group (down).";

/// Show in one sentence whether every group is served, then the groups.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 every group is served as it should be (ok), 1 not every member serves as it should (degraded), 2 no \
                        member serves a group (down), 69 the router does not respond."
)]
pub(super) struct Status {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    shown: Shown,
}

/// Show the version of this program and, with --server, of a running router.
#[derive(Debug, Args)]
pub(super) struct Version {
    /// The router's admin address.
    #[arg(long, value_name = "URL", env = SERVER_VARIABLE)]
    server: Option<Server>,
    #[command(flatten)]
    secured: Secured,
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
    let text = arguments.shown.format.show(body, |status, width| Ok(shown(status, width)));
    rcs_cli::say(text.map_err(|error| error.exit().with(error.to_string()))?);
    condition
}

fn shown(status: &Value, width: Width) -> String {
    let sentence = format!("{}: {}", text(status, "condition"), text(status, "sentence"));
    let counts = format!(
        "rcs-router {}, {} callers, {} calls",
        text(status, "version"),
        text(status, "callers"),
        text(status, "calls")
    ) + &certificate(&status["own_certificate"]);
    let list = |key: &str| status[key].as_array().map_or(&[][..], Vec::as_slice);
    let files = list("rejected_files").iter().map(rejected);
    let warnings = list("warnings").iter().filter_map(Value::as_str).map(|told| format!("warning: {told}"));
    let idms = list("idms").iter().map(idm);
    let issuers = list("issuers").iter().map(issuer);
    let groups = list("groups");
    let cells = groups.iter().map(|group| {
        let serving = format!("{} of {}", text(group, "serving"), text(group, "members"));
        [text(group, "group"), text(group, "condition"), serving, text(group, "queued"), missing(group)]
    });
    let table = table(["GROUP", "STATE", "SERVING", "QUEUED", "NOT SERVING"], cells);
    let rows = if width == Width::Narrow { short(&table) } else { table };
    [sentence, counts]
        .into_iter()
        .chain(idms)
        .chain(issuers)
        .chain(files)
        .chain(warnings)
        .chain([rows])
        .collect::<Vec<_>>()
        .join("\n")
}

/// The connections to one URL of an IDM that the router dials.
fn idm(idm: &Value) -> String {
    let [name, url, connections, wanted] = ["idm", "url", "connections", "wanted"].map(|key| text(idm, key));
    format!("the IDM {name} is dialled at {url}: {connections} of {wanted} connections")
}

/// An issuer of access tokens. Why one does not answer is among the warnings.
fn issuer(issuer: &Value) -> String {
    let name = text(issuer, "issuer");
    let what = match issuer["kind"].as_str() {
        Some("introspection") => "is asked about its tokens",
        Some("jwks") => "signs its tokens, with keys at an address",
        _ => return format!("the issuer {name} signs its tokens, with keys of a file"),
    };
    match (issuer["up"].as_bool(), issuer["last_success"].as_str()) {
        (_, None) => format!("the issuer {name} {what}: no answer yet"),
        (Some(false), Some(at)) => format!("the issuer {name} {what}: does not answer, last answer at {at}"),
        (_, Some(at)) => format!("the issuer {name} {what}: last answer at {at}"),
    }
}

/// How long the router's own certificate is valid; nothing if it has none.
fn certificate(own: &Value) -> String {
    match own["days_left"].as_i64() {
        None => String::new(),
        Some(..0) => format!(", its certificate expired on {}", text(own, "ends")),
        Some(days) => format!(", its certificate ends on {} (days left: {days})", text(own, "ends")),
    }
}

/// A file on disk that is not in force, with its first faults.
fn rejected(file: &Value) -> String {
    let why = text(file, "why");
    let faults: Vec<&str> = why.lines().map(str::trim).collect();
    let mut lines = vec![format!(
        "warning: the {} file was rejected; the last good version stays in force:",
        text(file, "file")
    )];
    lines.extend(faults.iter().take(STATUS_FAULT_LINES_MAX).map(|fault| format!("  {fault}")));
    if let Some(more) = faults.len().checked_sub(STATUS_FAULT_LINES_MAX).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more lines: see `rcs-router check`, or the log"));
    }
    lines.join("\n")
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
    let seen = arguments.secured.look(server, "/v1/status");
    let body = seen.map_err(|error| error.exit().with(error.to_string()))?;
    let status: Value = serde_json::from_str(&body).unwrap_or_default();
    rcs_cli::say(format_args!("{} {}", server.authority(), text(&status, "version")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_routers_certificate_is_shown_with_the_days_that_it_has_left() {
        let own =
            |days: i64| certificate(&json!({"subject": "CN=r", "ends": "2027-01-01", "days_left": days}));
        assert_eq!(own(12), ", its certificate ends on 2027-01-01 (days left: 12)");
        assert_eq!(own(-1), ", its certificate expired on 2027-01-01");
        assert_eq!(certificate(&Value::Null), "");
    }

    #[test]
    fn a_status_is_a_sentence_and_groups_in_80_columns() {
        let status = json!({
            "version": "0.1.0", "condition": "down", "sentence": "no member serves crm: calls wait or fail; see `rcs-router member list`",
            "callers": 2, "calls": 7, "log_lines_lost": 0,
            "rejected_files": [{"file": "provider", "since": "2026-11-29T12:00:00Z", "why":
                "the provider file p.json cannot be used:\n  a: 1.\n  b: 2.\n  c: 3.\n  d: 4.\n  e: 5.\n  f: 6.\n  g: 7."}],
            "idms": [{"idm": "cloud", "url": "wss://h/openicf/0", "group": null, "connections": 2, "wanted": 3, "failure": null}],
            "issuers": [{"issuer": "am", "kind": "introspection", "up": true, "last_success": "2026-11-29T12:00:00Z", "failure": null},
                {"issuer": "kc", "kind": "jwks", "up": false, "last_success": null, "failure": "it is down"},
                {"issuer": "own", "kind": "jwks_file", "up": null, "last_success": null, "failure": null}],
            "warnings": ["the certificate of \"CN=rcs1\" ends on 2027-01-01, in 13 days"],
            "groups": [
                {"group": "hr", "condition": "ok", "serving": 2, "members": 2, "queued": 0, "missing": []},
                {"group": "crm", "condition": "down", "serving": 0, "members": 2, "queued": 3, "missing": [
                    {"member": "n3", "state": "drained", "reason": null},
                    {"member": "n4", "state": "down", "reason": "connection refused by 10.20.30.40:8759 for a long time"},
                ]},
            ],
        });
        assert_eq!(
            shown(&status, Width::Narrow),
            "down: no member serves crm: calls wait or fail; see `rcs-router member list`\n\
             rcs-router 0.1.0, 2 callers, 7 calls\n\
             the IDM cloud is dialled at wss://h/openicf/0: 2 of 3 connections\n\
             the issuer am is asked about its tokens: last answer at 2026-11-29T12:00:00Z\n\
             the issuer kc signs its tokens, with keys at an address: no answer yet\n\
             the issuer own signs its tokens, with keys of a file\n\
             warning: the provider file was rejected; the last good version stays in force:\n  \
               the provider file p.json cannot be used:\n  a: 1.\n  b: 2.\n  c: 3.\n  d: 4.\n  e: 5.\n  \
               and 2 more lines: see `rcs-router check`, or the log\n\
             warning: the certificate of \"CN=rcs1\" ends on 2027-01-01, in 13 days\n\
             GROUP  STATE  SERVING  QUEUED  NOT SERVING\n\
             hr     ok     2 of 2   0       -\n\
             crm    down   0 of 2   3       n3 (drained), n4 (down: connection refused by 10…"
        );
    }
}
