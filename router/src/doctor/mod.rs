//! What an operator asks before a start, or when a server is down: does each thing that a router needs work, from this machine and with
//! these files? Files are judged as [`crate::app::check`] judges them. Then each member that the router would dial is dialled in the same way,
//! up to the list of its connectors; and the lists of each group are compared.
//!
//! The doctor is a caller of its own at each server, for a moment. It sends no call.

mod groups;
mod members;

use std::path::PathBuf;

use serde::Serialize;

pub(crate) use self::members::Dialling;
use self::members::Reached;
use crate::app::{self, AppError, Files, Mode};

/// How a thing that was looked at is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
}

/// What was found of one thing: one line for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub health: Health,
    /// What was looked at: `provider`, `config`, `member NAME`, `group NAME`...
    pub subject: String,
    /// What was found; for anything but [`Health::Ok`] with what to do. No key is in here.
    pub text: String,
}

impl Finding {
    fn new(health: Health, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { health, subject: subject.into(), text: text.into() }
    }
}

/// Looks at the files, then at the members, then at the groups. `only` names the members to dial; if it is empty, all are dialled.
///
/// # Errors
/// The operating system refused something basic.
pub fn examine(files: &Files<'_>, mode: Mode, only: &[String]) -> Result<Vec<Finding>, AppError> {
    let checkup = app::check(files, mode);
    let mut findings: Vec<Finding> = checkup.problems.iter().map(of_problem).collect();
    findings.extend(
        checkup.warnings.iter().map(|warning| Finding::new(Health::Warning, "files", warning.clone())),
    );
    let Some(dialling) = checkup.dialling else { return Ok(findings) };
    if findings.iter().all(|finding| finding.health != Health::Failed) {
        findings.push(Finding::new(Health::Ok, "files", files_read(files)));
    }
    let unknown =
        only.iter().filter(|name| dialling.document.members.iter().all(|member| member.name != **name));
    findings.extend(unknown.map(|name| {
        let text =
            "the provider document has no server of this name: compare the names with `rcs-router check`";
        Finding::new(Health::Failed, format!("member {name}"), text)
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| AppError::System { what: "start the runtime", source })?;
    let reached: Vec<Reached> = runtime.block_on(members::reach_all(&dialling, only));
    findings.extend(reached.iter().map(Reached::finding));
    findings.extend(groups::compare(&dialling.document, &reached));
    Ok(findings)
}

fn of_problem(problem: &AppError) -> Finding {
    let subject = match problem {
        AppError::Document(_) => "provider",
        AppError::Config(_) => "config",
        AppError::Trust(_) => "trust store",
        AppError::Identity(_) => "certificate",
        AppError::Access(_) => "credentials",
        _ => "files",
    };
    Finding::new(Health::Failed, subject, problem.to_string())
}

fn files_read(files: &Files<'_>) -> String {
    let named = [Some(files.provider), files.config, files.caller_key, files.credentials, files.trust_store];
    let names: Vec<String> =
        named.into_iter().flatten().map(PathBuf::from).map(|path| path.display().to_string()).collect();
    format!("can be used: {}", names.join(", "))
}
