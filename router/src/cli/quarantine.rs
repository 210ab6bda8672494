//! `rcs-router quarantine`: lists configurations that members were lost with, and releases them.

use clap::{Args, Subcommand};
use rcs_cli::Failure;
use serde_json::Value;

use super::asked::{AskError, Asked, Output, table, tell, text};
use super::client::segment;

/// List and release connector configurations that ended members.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the configurations whose calls are refused, since two members were lost with them.
    List(List),
    /// Let calls with a configuration through again. If one more member is lost with the configuration, it is quarantined again.
    Release {
        /// The ID of the configuration, as `quarantine list`, the log or the error of a call shows it.
        id: String,
    },
}

#[derive(Debug, Args)]
struct List {
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asked = &arguments.asked;
    let outcome = match &arguments.command {
        Command::List(List { output: Output::Json }) => asked.text("/v1/quarantine"),
        Command::List(_) => asked.look("/v1/quarantine").and_then(|rows| show(&rows)),
        Command::Release { id } => {
            let path = format!("/v1/quarantine/{}/release", segment(id));
            asked.change(&path).map(|_| format!("configuration {id} is released"))
        }
    };
    tell(outcome, AskError::exit)
}

fn show(rows: &Value) -> Result<String, AskError> {
    let rows = rows.as_array().ok_or(AskError::NotUnderstood)?;
    if rows.is_empty() {
        return Ok("no configuration is quarantined".to_owned());
    }
    let titles = ["ID", "MEMBERS LOST", "LEFT", "TIMES", "REFUSED", "CONNECTOR"];
    Ok(table(titles, rows.iter().map(row)))
}

fn row(row: &Value) -> [String; 6] {
    let members = row["members"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let left = row["seconds_left"].as_f64().unwrap_or_default().ceil();
    [
        text(row, "id"),
        members.collect::<Vec<_>>().join(","),
        format!("{left:.0} s"),
        text(row, "times"),
        text(row, "refused"),
        text(row, "connector"),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_names_members_and_the_time_that_is_left() {
        let rows = json!([{
            "id": "00c0ffee00c0ffee", "connector": "b/1.0/Csv", "members": ["n1", "n2"], "seconds_ago": 1.5,
            "seconds_left": 58.2, "times": 1, "refused": 3,
        }]);
        assert_eq!(
            show(&rows).unwrap(),
            "ID                MEMBERS LOST  LEFT  TIMES  REFUSED  CONNECTOR\n\
             00c0ffee00c0ffee  n1,n2         59 s  1      3        b/1.0/Csv"
        );
        assert_eq!(show(&json!([])).unwrap(), "no configuration is quarantined");
    }
}
