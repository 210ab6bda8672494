//! The provider file: read and judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_core::agreed;
use rcs_core::limits::PROVIDER_DOCUMENT_BYTES_MAX;
use rcs_core::provider::{self, Keys, Properties, Reading, Severity};
use rcs_core::view::{AdminState, Hosts, Link, Transport, View, ViewError};

use crate::file::Content;
use crate::upstream;

/// Whether members can be dialled with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// The operator gave a trust store.
    Trusting,
    /// There is no trust store, so no certificate can be verified.
    Unavailable,
}

/// The provider file and what is remembered of it.
#[derive(Debug)]
pub(crate) struct Document {
    path: PathBuf,
    tls: Tls,
    /// What `&{NAME}` stands for: the environment as it was at the start.
    properties: Properties,
    /// Keys that are given outside the document.
    keys: Keys,
    /// Members with a trust store of their own.
    own_trust: BTreeSet<String>,
    /// What was there when it was last looked at, good or bad.
    seen: Option<Content>,
    /// All there is to say about that.
    reading: Option<Reading>,
}

/// Why a document cannot be used. The text names every fault and what to do; keys are never shown.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The file cannot be read.
    #[error("the provider file {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The document has faults.
    #[error("the provider file {path} cannot be used:\n{faults}")]
    Faulty {
        /// The file.
        path: PathBuf,
        /// Each fault, its path, and what to do.
        faults: Faults,
    },
}

/// Faults of a document, one a line.
#[derive(Debug)]
pub struct Faults(pub Vec<String>);

impl Display for Faults {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            let end = if number + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "  {fault}{end}")?;
        }
        Ok(())
    }
}

impl Document {
    /// Names a file; nothing is read yet.
    pub(crate) fn new(path: &Path, tls: Tls) -> Self {
        Self {
            path: path.to_owned(),
            tls,
            properties: environment(),
            keys: Keys::default(),
            own_trust: BTreeSet::new(),
            seen: None,
            reading: None,
        }
    }

    /// Sets the keys and trust that are given outside the document. If they changed, the next look judges the file anew.
    pub(crate) fn beside(&mut self, keys: &Keys, own_trust: BTreeSet<String>) {
        if self.keys != *keys || self.own_trust != own_trust {
            self.keys = keys.clone();
            self.own_trust = own_trust;
            self.seen = None;
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`DocumentError`]
    pub(crate) fn load(&mut self) -> Result<Arc<agreed::Document>, DocumentError> {
        let content = Content::read(&self.path, PROVIDER_DOCUMENT_BYTES_MAX);
        self.take_in(content)
    }

    /// All that there is to say about what was read last, if it could be read.
    pub(crate) fn reading(&self) -> Option<&Reading> {
        self.reading.as_ref()
    }

    /// Puts what is worth a warning into the log.
    pub(crate) fn log_warnings(&self) {
        for finding in self.reading.iter().flat_map(|reading| reading.of(Severity::Warning)) {
            tracing::warn!("provider file: {finding}");
        }
    }

    /// Reads the file; `None` if the file did not change.
    pub(crate) fn reload(&mut self) -> Option<Result<Arc<agreed::Document>, DocumentError>> {
        let content = Content::read(&self.path, PROVIDER_DOCUMENT_BYTES_MAX);
        (self.seen.as_ref() != Some(&content)).then(|| self.take_in(content))
    }

    fn take_in(&mut self, content: Content) -> Result<Arc<agreed::Document>, DocumentError> {
        let outcome = match &content {
            Content::Text(text) => {
                let reading = provider::read_with(text, &self.properties, &self.keys);
                let outcome = self.judge(&reading);
                self.reading = Some(reading);
                outcome
            }
            Content::Unreadable(reason) => {
                self.reading = None;
                Err(DocumentError::Unreadable { path: self.path.clone(), reason: reason.clone() })
            }
        };
        self.seen = Some(content);
        outcome
    }

    fn judge(&mut self, reading: &Reading) -> Result<Arc<agreed::Document>, DocumentError> {
        let path = self.path.clone();
        let faulty = |faults: Vec<String>| DocumentError::Faulty { path, faults: Faults(faults) };
        let Some(provider) = &reading.provider else {
            return Err(faulty(reading.of(Severity::Error).map(ToString::to_string).collect()));
        };
        let document = provider.document();
        let mut faults = self.untrusted(provider);
        faults.extend(undialable(provider));
        if let Err(errors) = View::check(&document.members, &document.groups, &Hosts::new()) {
            faults.extend(errors.iter().map(ViewError::to_string));
        }
        if faults.is_empty() { Ok(Arc::new(document)) } else { Err(faulty(faults)) }
    }

    /// Members that want TLS although nobody is trusted.
    fn untrusted(&self, provider: &provider::Provider) -> Vec<String> {
        let wants_tls = |member: &&provider::MemberEntry| {
            matches!(&member.spec.link, Link::Dial(endpoint) if endpoint.transport == Transport::Tls)
                && member.spec.admin == AdminState::Enabled
                && !self.own_trust.contains(&member.spec.name)
        };
        let fault = |member: &provider::MemberEntry| {
            format!(
                "{}.useSSL: the router has no trust store, so it could trust no certificate of {:?}. \
                 Start it with --trust-store FILE (PEM, DER or PKCS12), or clear useSSL.",
                member.path, member.spec.name
            )
        };
        match self.tls {
            Tls::Trusting => Vec::new(),
            Tls::Unavailable => provider.members.iter().filter(wants_tls).map(fault).collect(),
        }
    }
}

/// Members that the dialler would refuse to dial, whatever the network says.
pub(crate) fn undialable(provider: &provider::Provider) -> Vec<String> {
    let fault = |member: &provider::MemberEntry| {
        let Link::Dial(endpoint) = &member.spec.link else { return None };
        let error = upstream::validate(endpoint).err()?;
        Some(format!("{}: {:?} cannot be dialled: {error}.", member.path, member.spec.name))
    };
    provider.members.iter().filter_map(fault).collect()
}

fn environment() -> Properties {
    let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(pair).collect::<BTreeMap<_, _>>()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn provider(port: u16, use_ssl: &str) -> String {
        format!(
            r#"{{"remoteConnectorServers": [{{"name": "n1", "host": "127.0.0.1", "port": {port}, "key": "k", "useSSL": {use_ssl}}}]}}"#
        )
    }

    struct Fixture {
        folder: tempfile::TempDir,
        document: Document,
    }

    impl Fixture {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let document = Document::new(&folder.path().join("provider.json"), Tls::Unavailable);
            let fixture = Self { folder, document };
            fixture.write(text);
            fixture
        }

        fn write(&self, text: &str) {
            fs::write(self.folder.path().join("provider.json"), text).unwrap();
        }
    }

    #[test]
    fn a_change_is_seen_once_good_or_bad() {
        let mut f = Fixture::new(&provider(1, "false"));
        let first = f.document.load().unwrap();
        assert!(f.document.reload().is_none(), "nothing changed");
        f.write("{");
        assert!(matches!(f.document.reload(), Some(Err(DocumentError::Faulty { .. }))));
        assert!(f.document.reload().is_none(), "a fault is told once");
        f.write(&provider(2, "false"));
        let second = f.document.reload().unwrap().unwrap();
        assert_ne!(first, second);
        assert_eq!(first.members[0].name, second.members[0].name);
    }

    #[test]
    fn a_file_that_goes_away_is_told_once() {
        let mut f = Fixture::new(&provider(1, "false"));
        f.document.load().unwrap();
        fs::remove_file(f.folder.path().join("provider.json")).unwrap();
        assert!(matches!(f.document.reload(), Some(Err(DocumentError::Unreadable { .. }))));
        assert!(f.document.reload().is_none());
    }

    #[test]
    fn use_ssl_without_a_trust_store_says_what_to_do() {
        let mut f = Fixture::new(&provider(1, "true"));
        let error = f.document.load().unwrap_err().to_string();
        assert!(
            error.contains("remoteConnectorServers[0].useSSL") && error.contains("--trust-store"),
            "{error}"
        );
    }

    #[test]
    fn every_fault_is_on_a_line_of_its_own() {
        let mut f =
            Fixture::new(r#"{"remoteConnectorServers": [{"name": "a", "host": "h"}, {"port": "x"}]}"#);
        let error = f.document.load().unwrap_err().to_string();
        assert!(error.lines().count() >= 4, "{error}");
    }
}
