//! What the configuration file says about single members: keys outside the document, and trust in one certificate.
//!
//! IDM encrypts each key in its own document, and gives out keys in no other form. With the key in a file or a variable, the router reads
//! the document as IDM writes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rcs_core::limits::HOSTS_PER_NAME_MAX;
use rcs_core::provider::Keys;
use rcs_proto::driver::tls::{Certificate, Pins};
use rcs_proto::icf::Secret;
use rustls::ClientConfig;

use super::keys::{Key, Place};
use crate::{secrets, trust};

/// The files of all members together, and of single members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    /// `[members]`: where the key of members is whose key is encrypted or missing in the document.
    pub(super) others: MemberFiles,
    /// `[member.NAME]`.
    pub(super) named: BTreeMap<String, MemberFiles>,
}

/// Where the key and the trust store of a member are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberFiles {
    /// File whose first line is the key.
    pub(super) key_file: Option<String>,
    /// Environment variable with the key.
    pub(super) key_variable: Option<String>,
    /// Trust store for this member alone.
    pub(super) trust_store: Option<String>,
    /// Processes that run under this name, if the member is in client mode.
    pub(super) hosts: u32,
}

impl Default for MemberFiles {
    fn default() -> Self {
        Self { key_file: None, key_variable: None, trust_store: None, hosts: 1 }
    }
}

/// The contents of the members' files.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemberSecrets {
    /// Keys that are given outside the document.
    pub(crate) keys: Keys,
    /// How members with a trust store of their own are dialled.
    pub(crate) trust: BTreeMap<String, Arc<ClientConfig>>,
    /// The certificates of these trust stores, by member.
    pub(crate) certificates: BTreeMap<String, Vec<Certificate>>,
    /// What an operator should know.
    pub(crate) warnings: Vec<String>,
}

impl Members {
    /// Names of the members that have a table.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// Reads every file and variable.
    ///
    /// # Errors
    /// A sentence for each file or variable that cannot be used.
    pub(crate) fn read(&self) -> Result<MemberSecrets, Vec<String>> {
        let (mut found, mut faults) = (MemberSecrets::default(), Vec::new());
        match self.others.key(&mut found.warnings) {
            Ok(key) => found.keys.others = key,
            Err(why) => faults.push(format!("members.{why}")),
        }
        for (name, files) in &self.named {
            match files.key(&mut found.warnings) {
                Ok(Some(key)) => drop(found.keys.by_name.insert(name.clone(), key)),
                Ok(None) => {}
                Err(why) => faults.push(format!("member.{name}.{why}")),
            }
            let Some(path) = &files.trust_store else { continue };
            match trust::load(Path::new(path), Pins::ForOneMember) {
                Ok(trusted) => {
                    let told = |warning: &String| format!("member.{name}.trust_store: {warning}");
                    found.warnings.extend(trusted.warnings.iter().map(told));
                    found.trust.insert(name.clone(), trusted.config);
                    found.certificates.insert(name.clone(), trusted.certificates);
                }
                Err(error) => faults.push(format!("member.{name}.trust_store: {error}")),
            }
        }
        if faults.is_empty() { Ok(found) } else { Err(faults) }
    }
}

impl MemberFiles {
    fn key(&self, warnings: &mut Vec<String>) -> Result<Option<Secret<String>>, String> {
        if let Some(path) = &self.key_file {
            let opened = secrets::open(Path::new(path), crate::access::judge_any);
            let (accepted, file) =
                opened.map_err(|error| format!("key_file: the key file {path} {error}"))?;
            warnings.extend(file.warning().map(str::to_owned));
            return Ok(Some(accepted.first()));
        }
        let Some(name) = &self.key_variable else { return Ok(None) };
        let value = std::env::var(name).map_err(|_| {
            format!("key_variable: the variable {name:?} is not set in the router's environment, or is not UTF-8 text")
        })?;
        crate::access::judge_any(&value)
            .map_err(|why| format!("key_variable: the variable {name:?} {why}"))?;
        Ok(Some(Secret::new(value)))
    }
}

/// The table `[members]`.
pub(super) const MEMBERS: &[Key<MemberFiles>] = &[
    Key {
        name: "key_file",
        about: "file whose first line is the key of every member whose key is encrypted ($crypto) or missing in the provider file; \
                followed",
        place: Place::TextOrOff(|s| &mut s.key_file, "the path of a file"),
    },
    Key {
        name: "key_variable",
        about: "environment variable with that key, instead of a file",
        place: Place::TextOrOff(|s| &mut s.key_variable, "the name of a variable"),
    },
];

/// The table `[member.NAME]`.
pub(super) const MEMBER: &[Key<MemberFiles>] = &[
    Key {
        name: "key_file",
        about: "file whose first line is the key of this member, whatever the provider file says; followed",
        place: Place::TextOrOff(|s| &mut s.key_file, "the path of a file"),
    },
    Key {
        name: "key_variable",
        about: "environment variable with that key, instead of a file",
        place: Place::TextOrOff(|s| &mut s.key_variable, "the name of a variable"),
    },
    Key {
        name: "trust_store",
        about: "trust store (PEM, DER or PKCS12) for this member alone, instead of --trust-store. A certificate in it is accepted from \
                this member whatever its names and dates say",
        place: Place::TextOrOff(|s| &mut s.trust_store, "the path of a file"),
    },
    Key {
        name: "hosts",
        about: "processes (hostId) that run under this connectorServerName in client mode; each is a member: NAME, NAME@2, NAME@3",
        place: Place::Number(|s| &mut s.hosts, 1..=HOSTS_PER_NAME_MAX),
    },
];
