//! `rcs-router doctor`

use clap::Args;
use rcs_cli::{Exit, Failure, printable};
use serde_json::json;

use super::check::FileArguments;
use super::output::{Shown, Width};
use crate::doctor::{Finding, Health, examine};

/// The line for the end of the program's help.
pub(super) const EXIT_CODES: &str = "Of doctor also: 1 there are warnings, 2 something fails.";

/// Find out what does not work, from this machine: read the files, dial each server as the router would, ask for its connectors, and compare
/// the connectors of each group. Prints one line for each finding, with what to do. Sends no call, changes nothing, and needs no running
/// router.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    files: FileArguments,
    /// Dial this server only. Repeat the option for each server.
    #[arg(long = "member", value_name = "NAME")]
    members: Vec<String>,
    #[command(flatten)]
    shown: Shown,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let findings = arguments.files.with(|files, mode| {
        examine(files, mode, &arguments.members).map_err(|error| Exit::from(&error).with(error.to_string()))
    })?;
    let value = json!({ "findings": findings }).to_string();
    let shown = arguments.shown.format.show(value, |_, width| Ok(lines(&findings, width)));
    rcs_cli::say(shown.map_err(|error| Exit::Internal.with(error.to_string()))?);
    match findings.iter().map(|finding| finding.health).max() {
        None | Some(Health::Ok) => Ok(()),
        Some(Health::Warning) => Err(Exit::Degraded.silently()),
        Some(Health::Failed) => Err(Exit::Down.silently()),
    }
}

/// One line for each finding. The narrow form shows of what works only the number, if there are many findings.
fn lines(findings: &[Finding], width: Width) -> String {
    let word = |health| match health {
        Health::Ok => "ok",
        Health::Warning => "warning",
        Health::Failed => "FAILED",
    };
    let line = |finding: &Finding| {
        let text = finding.text.replace('\n', " ");
        let (subject, text) = (printable::line(&finding.subject), printable::line(&text));
        format!("{:<8} {subject}: {text}", word(finding.health))
    };
    let is_shown = |finding: &&Finding| {
        width == Width::Wide || finding.health != Health::Ok || findings.len() <= LINES_MAX
    };
    let mut all: Vec<String> = findings.iter().filter(is_shown).map(line).collect();
    let count = |health| findings.iter().filter(|finding| finding.health == health).count();
    let (ok, warnings, failed) = (count(Health::Ok), count(Health::Warning), count(Health::Failed));
    all.push(format!("{ok} ok, {warnings} warnings, {failed} failed"));
    all.join("\n")
}

/// Up to this number of findings, the narrow form also shows what works.
const LINES_MAX: usize = 100;
