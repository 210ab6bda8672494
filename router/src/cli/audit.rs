//! `rcs-router audit`: what was changed, when, by whom and from where.

use clap::Args;
use rcs_cli::Failure;
use serde_json::Value;

use super::asked::{AskError, Asked, Output, table, tell, text};

/// Show the latest changes that were made or refused, the latest last.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { asked, output } = arguments;
    let outcome = match output {
        Output::Json => asked.text("/v1/audit"),
        Output::Table => asked.look("/v1/audit").map(|found| rows(&found)),
    };
    tell(outcome, AskError::exit)
}

fn rows(found: &Value) -> String {
    let cells = found
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| ["revision", "at", "who", "from", "result", "line"].map(|key| text(row, key)));
    table(["REVISION", "AT", "WHO", "FROM", "RESULT", "WHAT"], cells)
}
