//! What IDM's document says of the router, against the router's files (C14): as a server that IDM dials, and as one that dials IDM.

use std::path::Path;

use rcs_cli::doctor::Finding;
use rcs_cli::file::read_bounded;
use rcs_cli::idm::{IdmDials, IdmDocument, IdmEntry, IdmKey};
use rcs_cli::limits::IDM_DOCUMENT_BYTES_MAX;
use rcs_core::view::Link;
use rcs_proto::driver::accept::Credentials;
use rcs_proto::icf::Secret;

use super::Dialling;
use crate::access::Access;
use crate::config::Idms;

const SUBJECT: &str = "IDM's document";
/// What a published IDM shows without a principal.
const NOBODY: &str = "anonymous";

/// The router's side.
pub(super) struct Ours<'a> {
    pub(super) idms: &'a Idms,
    pub(super) dialling: Option<&'a Dialling>,
    pub(super) access: Option<&'a Access>,
    pub(super) has_certificate: bool,
}

pub(super) async fn compare(path: &Path, ours: &Ours<'_>) -> Vec<Finding> {
    let shown = path.display();
    let document = match read_bounded(path, IDM_DOCUMENT_BYTES_MAX) {
        Ok(bytes) => IdmDocument::read(&bytes).map_err(|error| format!("{shown} {error}")),
        Err(error) => Err(format!("{shown} cannot be read: {error}")),
    };
    let document = match document {
        Ok(document) => document,
        Err(why) => return vec![Finding::failed(SUBJECT, why)],
    };
    let mut findings = Vec::new();
    if !document.enabled {
        let off =
            "\"enabled\" is false for the whole document, so IDM uses none of its servers: set it to true";
        findings.push(Finding::failed(SUBJECT, off));
    }
    for (name, _) in ours.idms.all() {
        findings.push(match document.find_dialling(name) {
            Ok(entry) => Finding::ok(SUBJECT, format!("{} is {name:?}, as [idm.{name}] is", entry.path)),
            Err(why) => Finding::failed(SUBJECT, format!("[idm.{name}]: {why}")),
        });
    }
    for entry in document.of(IdmDials::Idm) {
        findings.push(ours.of_entry(entry).await);
    }
    findings
}

impl Ours<'_> {
    /// Whether IDM gets in by this entry, and where its calls go.
    async fn of_entry(&self, entry: &IdmEntry) -> Finding {
        let told = |what: String| format!("{} ({:?}): {what}", entry.path, entry.name);
        if !entry.enabled {
            return Finding::ok(SUBJECT, told("is not enabled, so IDM does not use it".to_owned()));
        }
        if let Some(member) = self.member_at(entry) {
            let what = format!(
                "leads to the server {member:?} past the router: its calls are not balanced. Give the entry the router's host, port and key"
            );
            return Finding::warning(SUBJECT, told(what));
        }
        let faults = self.faults(entry).await;
        match faults.is_empty() {
            false => Finding::failed(SUBJECT, told(faults.join("; "))),
            true => Finding::ok(SUBJECT, told(format!("is let in{}", self.where_to(entry)))),
        }
    }

    async fn faults(&self, entry: &IdmEntry) -> Vec<String> {
        let mut faults = Vec::new();
        if entry.use_ssl && !self.has_certificate {
            faults.push("useSSL is true, and no certificate of the router is named: add --tls-cert and --tls-key, or clear useSSL".to_owned());
        }
        if let Some(protocol) =
            entry.protocol.as_deref().filter(|protocol| !protocol.eq_ignore_ascii_case("websocket"))
        {
            faults.push(format!(
                "\"protocol\" is {protocol:?}, the protocol before WebSockets: set it to \"websocket\""
            ));
        }
        if entry.port.is_none() {
            faults.push("\"port\" is missing, or stands for a property of IDM: compare it with the router's address by hand".to_owned());
        }
        match group_of(entry) {
            Err(why) => faults.push(why),
            Ok(Some(group)) if !self.has(group) => faults.push(format!(
                "websocketPath names {group:?}, and the router has no such group or server: compare it with `rcs-router check`"
            )),
            Ok(_) => {}
        }
        if let (IdmKey::Clear(key), Some(access)) = (&entry.key, self.access) {
            let principal = entry.principal.clone().unwrap_or_else(|| NOBODY.to_owned());
            match access.examine_key(Credentials { principal, secret: Secret::new(key.to_string()) }).await {
                Ok(Some(name)) => faults.push(format!(
                    "principal and key are those of the connector server {name:?} ([member.{name}]), so IDM is taken for that server: give IDM a \
                     [caller.NAME] of its own"
                )),
                Ok(None) => {}
                Err(why) => faults.push(why),
            }
        }
        faults
    }

    fn where_to(&self, entry: &IdmEntry) -> String {
        let key = match (&entry.key, self.access) {
            (IdmKey::Clear(_), Some(_)) => "",
            (IdmKey::Clear(_), None) => {
                " (as far as can be told without --caller-key-file and --credentials)"
            }
            _ => " (as far as can be told: its key is encrypted or not there)",
        };
        let named = |name: &&str| self.has(name);
        let to = match group_of(entry).ok().flatten().or(entry.principal.as_deref().filter(named)) {
            Some(group) => format!(", and its calls go to {group:?}"),
            None => ", and the connector of each call decides where the call goes".to_owned(),
        };
        format!("{to}{key}")
    }

    /// The member that this entry leads to without the router.
    fn member_at(&self, entry: &IdmEntry) -> Option<&str> {
        let (host, port) = (entry.host.as_deref()?, entry.port?);
        let members = &self.dialling?.document.members;
        let is_it = |link: &Link| matches!(link, Link::Dial(endpoint) if endpoint.port == port && endpoint.host.eq_ignore_ascii_case(host));
        members.iter().find(|member| is_it(&member.link)).map(|member| member.name.as_str())
    }

    /// Whether the router has a group or server of this name. Without a document nobody knows.
    fn has(&self, name: &str) -> bool {
        self.dialling.is_none_or(|dialling| {
            let document = &dialling.document;
            document.groups.iter().any(|group| group.name == name)
                || document.members.iter().any(|member| member.name == name)
        })
    }
}

/// The group that the path of an entry names.
fn group_of(entry: &IdmEntry) -> Result<Option<&str>, String> {
    match entry.path_dialled.strip_prefix("/openicf") {
        Some("" | "/") => Ok(None),
        Some(rest) if rest.starts_with('/') => Ok(Some(rest.trim_start_matches('/'))),
        _ => Err(format!(
            "websocketPath is {:?}, and the router answers at /openicf and /openicf/GROUP: correct it",
            entry.path_dialled
        )),
    }
}
