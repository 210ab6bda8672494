//! `rcs-router audit`: what was changed, when, by whom and from where.

use clap::Args;
use rcs_cli::Failure;
use serde_json::Value;

use super::asked::{AskError, Asked, tell};
use super::output::{Shown, Width, list, table, text};

/// Show the latest changes that were made or refused, the latest last.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    shown: Shown,
    /// Show all that any router acknowledged before now, or fail if no majority can be reached. Without this option: what the router that
    /// is asked knows.
    #[arg(long)]
    consistent: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { asked, shown, consistent } = arguments;
    let path = if *consistent { "/v1/audit?consistent=true" } else { "/v1/audit" };
    tell(asked.text(path).and_then(|response| shown.format.show(response, rows)), AskError::exit)
}

/// What was changed is on the right, and is never cut.
fn rows(found: &Value, width: Width) -> Result<String, AskError> {
    let cells = list(found)?.iter();
    Ok(match width {
        Width::Narrow => {
            let keys = ["revision", "at", "who", "from", "result", "line"];
            let cells = cells.map(|row| keys.map(|key| text(row, key)));
            table(["REVISION", "AT", "WHO", "FROM", "RESULT", "WHAT"], cells)
        }
        Width::Wide => {
            let keys = ["revision", "index", "at", "author", "who", "from", "action", "result", "line"];
            let titles = ["REVISION", "ENTRY", "AT", "AUTHOR", "WHO", "FROM", "ACTION", "RESULT", "WHAT"];
            table(titles, cells.map(|row| keys.map(|key| text(row, key))))
        }
    })
}
