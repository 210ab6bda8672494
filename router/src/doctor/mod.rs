//! What an operator asks before a start, or when a server is down: does each thing that a router needs work, from this machine and with
//! these files? Files are judged as [`crate::app::check`] judges them. Then each member that the router would dial is dialled in the same way,
//! up to the list of its connectors; and the lists of each group are compared. Each IDM that the router would dial is dialled up to the
//! WebSocket, each issuer of access tokens is asked, and a document of IDM is compared with all of that.
//!
//! The doctor is a caller of its own at each server, for a moment. It sends no call.

mod document;
mod groups;
mod idms;
mod issuers;
mod members;

use std::path::{Path, PathBuf};

use rcs_cli::doctor::{Finding, Health};

pub(crate) use self::members::Dialling;
use self::members::Reached;
use crate::app::{self, AppError, Files, Mode};

/// What is looked at beside the files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// The members to dial; if there are none, all are dialled, and everything else is looked at as well.
    pub members: &'a [String],
    /// IDM's document, in which IDM has the router.
    pub idm_document: Option<&'a Path>,
    /// Whether IDMs are dialled up to the handshake.
    pub shakes_hands: bool,
}

/// Looks at the files, then at the members and groups, then at IDMs and issuers.
///
/// # Errors
/// The operating system refused something basic.
pub fn examine(files: &Files<'_>, mode: Mode, wishes: Wishes<'_>) -> Result<Vec<Finding>, AppError> {
    let mut checkup = app::check(files, mode);
    let only = wishes.members;
    let mut findings: Vec<Finding> = checkup.problems.iter().map(of_problem).collect();
    findings.extend(checkup.warnings.iter().map(|warning| Finding::warning("files", warning.clone())));
    let (dialling, access) = (checkup.dialling.take(), checkup.access.take());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| AppError::System { what: "start the runtime", source })?;
    if let Some(dialling) = &dialling {
        if findings.iter().all(|finding| finding.health != Health::Failed) {
            findings.push(Finding::ok("files", files_read(files)));
        }
        let unknown =
            only.iter().filter(|name| dialling.document.members.iter().all(|member| member.name != **name));
        findings.extend(unknown.map(|name| {
            let text =
                "the provider document has no server of this name: compare the names with `rcs-router check`";
            Finding::failed(format!("member {name}"), text)
        }));
        let reached: Vec<Reached> = runtime.block_on(members::reach_all(dialling, only));
        findings.extend(reached.iter().map(Reached::finding));
        findings.extend(groups::compare(&dialling.document, &reached));
    }
    if only.is_empty() {
        findings.extend(runtime.block_on(idms::walk(
            &checkup.idms.0,
            dialling.as_ref(),
            mode,
            wishes.shakes_hands,
        )));
        if let Some(access) = &access {
            findings.extend(runtime.block_on(issuers::ask(access)));
        }
        if let Some(path) = wishes.idm_document {
            let ours = document::Ours {
                idms: &checkup.idms.0,
                dialling: dialling.as_ref(),
                access: access.as_ref(),
                has_certificate: files.tls.is_some(),
            };
            findings.extend(runtime.block_on(document::compare(path, &ours)));
        }
    }
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
    Finding::failed(subject, problem.to_string())
}

fn files_read(files: &Files<'_>) -> String {
    let named = [Some(files.provider), files.config, files.caller_key, files.credentials, files.trust_store];
    let names: Vec<String> =
        named.into_iter().flatten().map(PathBuf::from).map(|path| path.display().to_string()).collect();
    format!("can be used: {}", names.join(", "))
}
