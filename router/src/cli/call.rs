//! `rcs-router call`: explains why calls were refused, retried or failed.

use clap::{Args, Subcommand};
use rcs_cli::{Exit, Failure};
use serde_json::Value;

use super::asked::AskError;
use super::client::{ClientError, Method, Server, ask, segment};

/// Explain why a call was refused, retried or failed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The router's admin address.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8760", global = true)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what went wrong with one call, the state of each member at that time, and what the router decided.
    Explain {
        /// The id of the call, as in "(call 1f3a)" at the end of an error text, or in the log.
        id: String,
    },
    /// List the latest calls that were refused, retried or failed.
    List,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let told = match &arguments.command {
        Command::Explain { id } => {
            let path = format!("/v1/calls/{}", segment(id));
            ask(&arguments.server, Method::Get, &path, None)
                .map(|body| parsed(&body).map(|call| story(&call)))
        }
        Command::List => ask(&arguments.server, Method::Get, "/v1/calls", None).map(|body| {
            let calls = parsed(&body)?;
            let lines: Vec<String> = calls.as_array()?.iter().map(headline).collect();
            Some(if lines.is_empty() {
                "no call was refused, retried or failed".to_owned()
            } else {
                lines.join("\n")
            })
        }),
    };
    match told {
        Ok(Some(text)) => {
            rcs_cli::say(text);
            Ok(())
        }
        Ok(None) => Err(Exit::Unavailable.with(AskError::NotUnderstood.to_string())),
        Err(error) => Err(exit(&error).with(error.to_string())),
    }
}

/// A malformed id is invalid data, whereas a malformed command is wrong usage.
fn exit(error: &ClientError) -> Exit {
    match error {
        ClientError::Refused { status: 400, .. } => Exit::BadData,
        _ => error.exit(),
    }
}

fn parsed(body: &str) -> Option<Value> {
    serde_json::from_str(body).ok()
}

fn headline(call: &Value) -> String {
    let end = match call["outcome"].as_str() {
        Some(outcome) => format!("{outcome} after {:.1} ms", number(&call["took_ms"])),
        None => "in flight".to_owned(),
    };
    format!(
        "call {}: {} in group {}, {:.1} s ago: {end}",
        word(&call["id"]),
        word(&call["op"]),
        word(&call["group"]),
        number(&call["seconds_ago"])
    )
}

fn story(call: &Value) -> String {
    let mut lines = vec![headline(call)];
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
    fn a_story_names_members_faults_and_verdicts() {
        let call = json!({
            "id": "1f", "op": "get", "group": "g", "seconds_ago": 3.0, "outcome": "ok", "took_ms": 12.5,
            "steps": [{"after_ms": 2.0, "member": "n1", "stage": "maybe_sent", "fault": "member_lost",
                "verdict": "retry_elsewhere", "members": [{"name": "n1", "state": "has_it"}, {"name": "n2", "state": "free"}]}],
            "steps_left_out": 1,
        });
        assert_eq!(
            story(&call),
            "call 1f: get in group g, 3.0 s ago: ok after 12.5 ms\n  \
             +2.0 ms at n1 (maybe_sent): member_lost -> retry_elsewhere\n      \
             members: n1 has_it, n2 free\n  and 1 more faults"
        );
    }
}
