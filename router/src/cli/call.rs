//! `rcs-router call`: lists calls, explains why calls were refused, retried or failed, and keeps the work list of unknown outcomes.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use rcs_cli::{Exit, Failure};
use serde_json::Value;

use super::asked::{AskError, Asked, tell};
use super::client::{ClientError, segment};
use super::output::{Output, Shown, Width, age, csv, list, short, table, text};
use crate::config::time;
use crate::limits::UNKNOWN_OUTCOMES_MAX;

/// List calls, explain why a call was refused, retried or failed, and acknowledge unknown outcomes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what went wrong with one call, the state of each member at that time, and what the router decided.
    Explain {
        /// The id of the call, as in "(call 1f3a)" at the end of an error text, or in the log.
        id: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// List the latest calls that were refused, retried or failed; with --open the calls in flight; with --outcome unknown the calls of
    /// which nobody can say whether they ran, until they are acknowledged.
    List(List),
    /// Take a call with an unknown outcome off the work list, after you have looked at the object.
    Acknowledge(Acknowledge),
}

#[derive(Debug, Args)]
struct List {
    /// List the calls in flight, the oldest first.
    #[arg(long, conflicts_with = "outcome")]
    open: bool,
    /// Only calls of this group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only calls that this member has, or had last.
    #[arg(long, value_name = "MEMBER")]
    member: Option<String>,
    /// Only calls of callers with this principal.
    #[arg(long, value_name = "PRINCIPAL")]
    caller: Option<String>,
    /// Only calls that ended so: ok, connector_error, unavailable, unknown, cancelled, deadline.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Only calls that came within this time, such as 90s, 30m, 8h or 2d.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// How many calls at most; 100 unless said otherwise, 1000 at most (unknown outcomes: all).
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    output: Shape,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Acknowledge {
    /// The id of the call.
    #[arg(conflicts_with = "all")]
    id: Option<String>,
    /// When the call came, as the list shows it: needed if several calls have the id, from before and after a restart of the router.
    #[arg(long, value_name = "TIME", requires = "id")]
    at: Option<String>,
    /// All calls on the list.
    #[arg(long)]
    all: bool,
}

/// How calls are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// For people, in 80 columns.
    #[default]
    Table,
    /// The same with everything that is known of each call, on long lines.
    Wide,
    /// As the API gives it.
    Json,
    /// The content of json as YAML.
    Yaml,
    /// For spreadsheets and scripts: a line a call, with a line of titles (RFC 4180).
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Since(Duration);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        time::parse(text).map(Self).ok_or_else(|| format!("write it as {}", time::FORM))
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asked = &arguments.asked;
    let told = match &arguments.command {
        Command::Explain { id, shown } => explain(id, shown, asked),
        Command::List(list) => show(list, asked),
        Command::Acknowledge(which) => acknowledge(which, asked),
    };
    tell(told, exit)
}

/// A malformed id is invalid data, whereas a malformed command is wrong usage.
fn exit(error: &AskError) -> Exit {
    match error {
        AskError::Client(ClientError::Refused { status: 400, .. }) => Exit::BadData,
        _ => error.exit(),
    }
}

fn explain(id: &str, shown: &Shown, asked: &Asked) -> Result<String, AskError> {
    let path = format!("/v1/calls/{}", segment(id));
    shown.format.show(asked.text(&path)?, |call, _| Ok(story(call)))
}

fn acknowledge(which: &Acknowledge, asked: &Asked) -> Result<String, AskError> {
    let query = match (&which.id, &which.at) {
        (None, _) => "all=true".to_owned(),
        (Some(id), None) => format!("id={}", segment(id)),
        (Some(id), Some(at)) => format!("id={}&at={}", segment(id), segment(at)),
    };
    let done = asked.change(&format!("/v1/unknown/acknowledge?{query}"))?;
    Ok(format!("{} acknowledged, {} left", text(&done, "acknowledged"), text(&done, "open")))
}

fn show(wanted: &List, asked: &Asked) -> Result<String, AskError> {
    let is_work = wanted.outcome.as_deref() == Some("unknown");
    let path = match (wanted.open, is_work) {
        (true, _) => "/v1/calls/open",
        (false, true) => "/v1/unknown",
        (false, false) => "/v1/calls",
    };
    let mut query = Vec::new();
    for (key, value) in [("group", &wanted.group), ("member", &wanted.member), ("caller", &wanted.caller)] {
        query.extend(value.as_ref().map(|value| format!("{key}={}", segment(value))));
    }
    if let (Some(outcome), false) = (&wanted.outcome, is_work) {
        query.push(format!("outcome={}", segment(outcome)));
    }
    query.extend(wanted.since.map(|since| format!("since_seconds={}", since.0.as_secs())));
    let limit = wanted.limit.or(is_work.then_some(UNKNOWN_OUTCOMES_MAX));
    query.extend(limit.map(|limit| format!("limit={limit}")));
    let path = format!("{path}?{}", query.join("&"));
    let format = match wanted.output {
        Shape::Csv => {
            let found = asked.look(&path)?;
            return Ok(csv(TITLES, list(&found)?.iter().map(|row| cells(row, is_work))));
        }
        Shape::Table => Output::Table,
        Shape::Wide => Output::Wide,
        Shape::Json => Output::Json,
        Shape::Yaml => Output::Yaml,
    };
    format.show(asked.text(&path)?, |found, width| {
        let rows = list(found)?;
        Ok(match (width, rows) {
            (_, []) => nothing(wanted.open, is_work).to_owned(),
            (Width::Wide, _) => table(TITLES, rows.iter().map(|row| cells(row, is_work))),
            (Width::Narrow, _) => narrow(rows, wanted.open, is_work),
        })
    })
}

const fn nothing(open: bool, is_work: bool) -> &'static str {
    match (open, is_work) {
        (true, _) => "no such call is in flight",
        (false, true) => "no unknown outcome waits to be acknowledged",
        (false, false) => "no such call was refused, retried or failed",
    }
}

const TITLES: [&str; 12] = [
    "TIME",
    "CALL",
    "OP",
    "GROUP",
    "MEMBER",
    "CALLER",
    "OUTCOME",
    "MS",
    "CONNECTOR",
    "OBJECT CLASS",
    "EXCEPTION",
    "SENTENCE",
];

fn cells(row: &Value, is_work: bool) -> [String; 12] {
    let plain = |key| text(row, key);
    [
        plain("at"),
        plain("id"),
        plain("op"),
        plain("group"),
        plain("member"),
        plain("caller"),
        outcome(row, is_work),
        milliseconds(row),
        plain("connector"),
        plain("object_class"),
        plain("exception"),
        plain("sentence"),
    ]
}

/// The table of 80 columns. The last column is cut if it does not fit.
fn narrow(rows: &[Value], open: bool, is_work: bool) -> String {
    let last = |row: &Value| match (open, is_work) {
        (true, _) => text(row, "stage"),
        (false, true) => text(row, "object_class"),
        (false, false) => {
            let exception = text(row, "exception");
            simple_name(&exception).trim_end_matches("Exception").to_owned()
        }
    };
    let cells = rows.iter().map(|row| {
        let [at, id, op, group, member, caller, ended, ..] = cells(row, is_work);
        [at, id, op, group, member, caller, if open { age_of(row) } else { ended }, last(row)]
    });
    let titles = match (open, is_work) {
        (true, _) => ["TIME", "CALL", "OP", "GROUP", "MEMBER", "CALLER", "AGE", "STAGE"],
        (false, true) => ["TIME", "CALL", "OP", "GROUP", "MEMBER", "CALLER", "OUTCOME", "OBJECT CLASS"],
        (false, false) => ["TIME", "CALL", "OP", "GROUP", "MEMBER", "CALLER", "OUTCOME", "ERROR"],
    };
    short(&table(titles, cells))
}

fn outcome(row: &Value, is_work: bool) -> String {
    match row["outcome"].as_str() {
        _ if is_work => "unknown".to_owned(),
        None => "in_flight".to_owned(),
        Some(outcome) => outcome.to_owned(),
    }
}

/// How long a call took, or its age.
fn milliseconds(row: &Value) -> String {
    let took = row["took_ms"].as_f64().or_else(|| row["seconds_ago"].as_f64().map(|seconds| seconds * 1e3));
    took.map_or("-".to_owned(), |ms| format!("{ms:.1}"))
}

fn age_of(row: &Value) -> String {
    row["seconds_ago"].as_f64().map_or("-".to_owned(), |seconds| {
        age(Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs())
    })
}

/// A Java class without its package.
fn simple_name(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

fn headline(call: &Value) -> String {
    let end = match call["outcome"].as_str() {
        Some(outcome) => format!("{outcome} after {:.1} ms", number(&call["took_ms"])),
        None => "in flight".to_owned(),
    };
    format!(
        "call {}: {} in group {}, at {} ({:.1} s ago): {end}",
        word(&call["id"]),
        word(&call["op"]),
        word(&call["group"]),
        word(&call["at"]),
        number(&call["seconds_ago"])
    )
}

fn story(call: &Value) -> String {
    let mut lines = vec![headline(call)];
    for (title, key) in [("caller", "caller"), ("connector", "connector"), ("object class", "object_class")] {
        lines.extend(call[key].as_str().map(|value| format!("  {title}: {value}")));
    }
    for step in call["steps"].as_array().into_iter().flatten() {
        let at = match (step["member"].as_str(), step["stage"].as_str()) {
            (Some(member), Some(stage)) => format!(" at {member} ({stage})"),
            (None, Some(stage)) => format!(" ({stage})"),
            _ => String::new(),
        };
        lines.push(format!(
            "  +{:.1} ms{at}: {} -> {}",
            number(&step["after_ms"]),
            word(&step["fault"]),
            word(&step["verdict"])
        ));
        let members = step["members"].as_array().into_iter().flatten();
        let members: Vec<String> =
            members.map(|member| format!("{} {}", word(&member["name"]), word(&member["state"]))).collect();
        if !members.is_empty() {
            lines.push(format!("      members: {}", members.join(", ")));
        }
    }
    if let Some(more) = call["steps_left_out"].as_u64().filter(|more| *more > 0) {
        lines.push(format!("  and {more} more faults"));
    }
    if let Some(exception) = call["exception"].as_str() {
        let sentence = call["sentence"].as_str().unwrap_or("(the connector's own text is not kept)");
        lines.push(format!("  answer: {}: {sentence}", simple_name(exception)));
    }
    lines.join("\n")
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_story_names_caller_members_faults_verdicts_and_the_answer() {
        let call = json!({
            "id": "1f", "op": "get", "group": "g", "at": "2026-11-29T08:00:00Z", "seconds_ago": 3.0, "outcome": "ok",
            "took_ms": 12.5, "caller": "idm", "connector": "b/1.0/C", "object_class": "__ACCOUNT__",
            "exception": "x.ConnectorException", "sentence": "No member.",
            "steps": [{"after_ms": 2.0, "member": "n1", "stage": "maybe_sent", "fault": "member_lost",
                "verdict": "retry_elsewhere", "members": [{"name": "n1", "state": "has_it"}, {"name": "n2", "state": "free"}]}],
            "steps_left_out": 1,
        });
        assert_eq!(
            story(&call),
            "call 1f: get in group g, at 2026-11-29T08:00:00Z (3.0 s ago): ok after 12.5 ms\n  \
             caller: idm\n  connector: b/1.0/C\n  object class: __ACCOUNT__\n  \
             +2.0 ms at n1 (maybe_sent): member_lost -> retry_elsewhere\n      \
             members: n1 has_it, n2 free\n  and 1 more faults\n  answer: ConnectorException: No member."
        );
    }

    #[test]
    fn lists_have_80_columns_and_csv_has_everything() {
        let row = json!({
            "id": "1f3a", "op": "create", "group": "hr", "member": "n1", "caller": "idm", "at": "2026-11-29T08:00:00Z",
            "outcome": "unavailable", "took_ms": 1.5, "connector": "b/1.0/C", "object_class": "__ACCOUNT__",
            "exception": "org.identityconnectors.framework.common.exceptions.ConnectionFailedException", "sentence": "No, \"not\" run",
        });
        let rows = [row];
        assert_eq!(
            narrow(&rows, false, false),
            "TIME                  CALL  OP      GROUP  MEMBER  CALLER  OUTCOME      ERROR\n\
             2026-11-29T08:00:00Z  1f3a  create  hr     n1      idm     unavailable  Connect…"
        );
        assert_eq!(
            csv(TITLES, rows.iter().map(|row| cells(row, true))),
            "TIME,CALL,OP,GROUP,MEMBER,CALLER,OUTCOME,MS,CONNECTOR,OBJECT CLASS,EXCEPTION,SENTENCE\r\n\
             2026-11-29T08:00:00Z,1f3a,create,hr,n1,idm,unknown,1.5,b/1.0/C,__ACCOUNT__,\
             org.identityconnectors.framework.common.exceptions.ConnectionFailedException,\"No, \"\"not\"\" run\""
        );
    }
}
