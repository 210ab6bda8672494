//! `rcs-router quarantine`: lists configurations that members were lost with, and releases them.

use clap::{Args, Subcommand};
use rcs_cli::Failure;
use serde_json::Value;

use super::asked::{AskError, Asked, tell};
use super::client::segment;
use super::output::{Shown, Width, columns, list, text};

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
    List(Shown),
    /// Let calls with a configuration through again. If one more member is lost with the configuration, it is quarantined again.
    Release {
        /// The ID of the configuration, as `quarantine list`, the log or the error of a call shows it.
        id: String,
    },
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asked = &arguments.asked;
    let outcome = match &arguments.command {
        Command::List(shown) => {
            asked.text("/v1/quarantine").and_then(|response| shown.format.show(response, show))
        }
        Command::Release { id } => {
            let path = format!("/v1/quarantine/{}/release", segment(id));
            asked.change(&path).map(|_| format!("configuration {id} is released"))
        }
    };
    tell(outcome, AskError::exit)
}

fn show(rows: &Value, width: Width) -> Result<String, AskError> {
    let rows = list(rows)?;
    if rows.is_empty() {
        return Ok("no configuration is quarantined".to_owned());
    }
    let titles = ["ID", "MEMBERS LOST", "LEFT", "TIMES", "REFUSED", "CONNECTOR", "AGO"];
    Ok(columns(width, 6, titles, rows.iter().map(row)))
}

fn row(row: &Value) -> [String; 7] {
    let members = row["members"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let seconds = |key: &str| format!("{:.0} s", row[key].as_f64().unwrap_or_default().ceil());
    [
        text(row, "id"),
        members.collect::<Vec<_>>().join(","),
        seconds("seconds_left"),
        text(row, "times"),
        text(row, "refused"),
        text(row, "connector"),
        seconds("seconds_ago"),
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
            show(&rows, Width::Narrow).unwrap(),
            "ID                MEMBERS LOST  LEFT  TIMES  REFUSED  CONNECTOR\n\
             00c0ffee00c0ffee  n1,n2         59 s  1      3        b/1.0/Csv"
        );
        assert!(show(&rows, Width::Wide).unwrap().ends_with("b/1.0/Csv  2 s"));
        assert_eq!(show(&json!([]), Width::Narrow).unwrap(), "no configuration is quarantined");
    }
}
