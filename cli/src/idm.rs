//! IDM's document of connector servers (`provisioner.openicf.connectorinfoprovider`), as far as the other end of a connection compares itself
//! with it (C14). The reader is lenient: a field that cannot be read is unknown, and the comparison says so. What a router makes of such a
//! document is decided elsewhere (rcs-core); this one is for whoever is *listed* in it.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::limits::IDM_ENTRIES_MAX;

/// The document.
#[derive(Debug)]
pub struct IdmDocument {
    /// Whether IDM uses any of the entries (C11).
    pub enabled: bool,
    /// The servers and clients, in the order of the document.
    pub entries: Vec<IdmEntry>,
    /// The groups, wherever the document has them.
    pub groups: Vec<IdmGroup>,
}

/// Who dials between IDM and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdmDials {
    /// IDM dials the server (`remoteConnectorServers`).
    Idm,
    /// The server dials IDM (`remoteConnectorClients`).
    Server,
}

/// A connector server that IDM knows.
#[derive(Debug)]
pub struct IdmEntry {
    /// Where the document has it, such as `remoteConnectorClients[0]`.
    pub path: String,
    /// Who dials.
    pub dials: IdmDials,
    /// Its name.
    pub name: String,
    /// Whether IDM uses it.
    pub enabled: bool,
    /// The host that IDM dials.
    pub host: Option<String>,
    /// The port that IDM dials; `None` if it is not there, or stands for a property.
    pub port: Option<u16>,
    /// Whether IDM speaks TLS.
    pub use_ssl: bool,
    /// What IDM shows as its key.
    pub key: IdmKey,
    /// The user name that IDM shows.
    pub principal: Option<String>,
    /// The path that IDM dials, with a slash in front.
    pub path_dialled: String,
    /// `protocol`, which chooses the older protocol in some versions (C17).
    pub protocol: Option<String>,
    /// Seconds between two pings.
    pub ping_interval: Option<u64>,
}

/// A group that IDM knows.
#[derive(Debug)]
pub struct IdmGroup {
    /// Where the document has it.
    pub path: String,
    /// Its name.
    pub name: String,
    /// The names that it lists.
    pub servers: Vec<String>,
}

/// The key of an entry.
pub enum IdmKey {
    /// It is written in clear text.
    Clear(Zeroizing<String>),
    /// IDM has encrypted it, so nobody else can compare it.
    Encrypted,
    /// There is none, or it stands for a property.
    Unknown,
}

impl fmt::Debug for IdmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Clear(***)",
            Self::Encrypted => "Encrypted",
            Self::Unknown => "Unknown",
        })
    }
}

/// Why a document cannot be read: a sentence that goes on after the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdmDocumentError {
    /// It is no JSON.
    #[error("is not JSON: {0}")]
    Json(String),
    /// It is something else than a document.
    #[error(
        "is not IDM's document of connector servers: it has none of remoteConnectorServers and remoteConnectorClients. Use the file \
         conf/provisioner.openicf.connectorinfoprovider.json of IDM, or the answer of its REST interface"
    )]
    Other,
    /// It has too many entries.
    #[error("has more than {IDM_ENTRIES_MAX} connector servers")]
    TooMany,
}

const PLACES: [(&str, IdmDials); 4] = [
    ("remoteConnectorServers", IdmDials::Idm),
    ("remoteConnectorClients", IdmDials::Server),
    ("remoteConnectorServersGroups", IdmDials::Idm),
    ("remoteConnectorClientsGroups", IdmDials::Server),
];

impl IdmDocument {
    /// Reads a document.
    ///
    /// # Errors
    /// [`IdmDocumentError`]
    pub fn read(bytes: &[u8]) -> Result<Self, IdmDocumentError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let root: Value =
            serde_json::from_slice(bytes).map_err(|error| IdmDocumentError::Json(error.to_string()))?;
        if PLACES.iter().all(|(place, _)| root.get(place).is_none()) {
            return Err(IdmDocumentError::Other);
        }
        let mut document =
            Self { enabled: flag(&root, "enabled", true), entries: Vec::new(), groups: Vec::new() };
        for (place, dials) in PLACES {
            for (at, entry) in root.get(place).and_then(Value::as_array).into_iter().flatten().enumerate() {
                let path = format!("{place}[{at}]");
                let lists = entry.get("serversList").and_then(Value::as_array);
                match lists {
                    Some(servers) => document.groups.push(group(path, entry, servers)),
                    None => document.entries.push(IdmEntry::of(path, dials, entry)),
                }
                if document.entries.len() + document.groups.len() > IDM_ENTRIES_MAX {
                    return Err(IdmDocumentError::TooMany);
                }
            }
        }
        Ok(document)
    }

    /// The servers on this side.
    pub fn of(&self, dials: IdmDials) -> impl Iterator<Item = &IdmEntry> {
        self.entries.iter().filter(move |entry| entry.dials == dials)
    }

    /// What is wrong with the entry of a server that dials IDM under this name: a sentence without full stop, with what to do.
    ///
    /// # Errors
    /// The sentence.
    pub fn find_dialling(&self, name: &str) -> Result<&IdmEntry, String> {
        let in_place = self.of(IdmDials::Server).find(|entry| entry.name == name);
        let elsewhere = || self.of(IdmDials::Idm).find(|entry| entry.name == name);
        let similar = || self.of(IdmDials::Server).find(|entry| entry.name.eq_ignore_ascii_case(name));
        match in_place {
            Some(entry) if !entry.enabled => Err(format!(
                "{} has \"enabled\": false, so IDM lets {name:?} in to no use: set it to true",
                entry.path
            )),
            Some(entry) => Ok(entry),
            None => Err(match (elsewhere(), similar()) {
                (Some(entry), _) => format!(
                    "{} lists {name:?} as a server that IDM dials, and this one dials IDM: move the entry to remoteConnectorClients, with \
                     \"type\": \"remoteConnectorClient\"",
                    entry.path
                ),
                (None, Some(entry)) => format!(
                    "remoteConnectorClients has {:?} and not {name:?}: upper and lower case count, so write one of them at both ends",
                    entry.name
                ),
                (None, None) => format!(
                    "remoteConnectorClients has no {name:?}{}: add {{\"type\": \"remoteConnectorClient\", \"name\": {name:?}, \"enabled\": true}}",
                    self.names_of(IdmDials::Server)
                ),
            }),
        }
    }

    fn names_of(&self, dials: IdmDials) -> String {
        let names: Vec<String> =
            self.of(dials).take(SHOWN_MAX).map(|entry| format!("{:?}", entry.name)).collect();
        if names.is_empty() { String::new() } else { format!(" (it has {})", names.join(", ")) }
    }
}

/// Names that a sentence shows.
const SHOWN_MAX: usize = 3;

impl IdmEntry {
    fn of(path: String, dials: IdmDials, entry: &Value) -> Self {
        Self {
            path,
            dials,
            name: text(entry, "name").unwrap_or_default(),
            enabled: flag(entry, "enabled", true),
            host: text(entry, "host"),
            port: number(entry, "port").and_then(|port| u16::try_from(port).ok()),
            use_ssl: flag(entry, "useSSL", false),
            key: key(entry),
            principal: text(entry, "principal"),
            path_dialled: format!(
                "/{}",
                text(entry, "websocketPath").unwrap_or("openicf".into()).trim_start_matches('/')
            ),
            protocol: text(entry, "protocol"),
            ping_interval: number(entry, "pingPongInterval"),
        }
    }
}

fn group(path: String, entry: &Value, servers: &[Value]) -> IdmGroup {
    let servers = servers.iter().filter_map(|server| text(server, "name")).collect();
    IdmGroup { path, name: text(entry, "name").unwrap_or_default(), servers }
}

fn key(entry: &Value) -> IdmKey {
    match entry.get("key") {
        Some(Value::String(key)) if !key.contains("&{") => IdmKey::Clear(Zeroizing::new(key.clone())),
        Some(Value::Object(fields)) if fields.contains_key("$crypto") => IdmKey::Encrypted,
        _ => IdmKey::Unknown,
    }
}

/// A text that is not empty, and stands for no property.
fn text(entry: &Value, name: &str) -> Option<String> {
    let text = entry.get(name)?.as_str()?.trim();
    (!text.is_empty() && !text.contains("&{")).then(|| text.to_owned())
}

fn flag(entry: &Value, name: &str, default: bool) -> bool {
    match entry.get(name) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(word)) => word.trim().eq_ignore_ascii_case("true"),
        Some(Value::Object(wrapped)) => {
            wrapped.get("$bool").map_or(default, |value| value == "true" || value == true)
        }
        _ => default,
    }
}

/// A number, plain, quoted (W08) or wrapped as `{"$int": ...}` (C15).
fn number(entry: &Value, name: &str) -> Option<u64> {
    let plain = |value: &Value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    let value = entry.get(name)?;
    plain(value).or_else(|| plain(value.get("$int")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> IdmDocument {
        IdmDocument::read(text.as_bytes()).expect("a document")
    }

    /// C01, C08, C15, W08: what real documents have.
    #[test]
    fn entries_are_read_as_real_documents_have_them() {
        let document = read(
            r#"{"remoteConnectorServers": [
                {"name": "a", "host": "h", "port": {"$int": "8759"}, "useSSL": true, "key": {"$crypto": {}}, "pingPongInterval": 300},
                {"name": "b", "host": "&{b.host}", "port": "", "key": "&{b.key}", "websocketPath": "openicf/hr"},
                {"type": "remoteConnectorServersGroup", "name": "g", "serversList": [{"name": "a"}]}],
               "remoteConnectorClients": [{"name": "c", "enabled": false}]}"#,
        );
        let [a, b, c] = &document.entries[..] else { panic!("{document:?}") };
        assert!(a.port == Some(8759) && a.use_ssl && matches!(a.key, IdmKey::Encrypted));
        assert!(b.port.is_none() && b.host.is_none() && matches!(b.key, IdmKey::Unknown));
        assert_eq!((a.path_dialled.as_str(), b.path_dialled.as_str()), ("/openicf", "/openicf/hr"));
        assert!(!c.enabled && c.dials == IdmDials::Server && c.path == "remoteConnectorClients[0]");
        assert_eq!((document.groups.len(), document.groups[0].servers.join(" ")), (1, "a".to_owned()));
    }

    #[test]
    fn a_server_that_dials_is_found_or_it_is_said_why_not() {
        let document = read(
            r#"{"remoteConnectorServers": [{"name": "here"}],
               "remoteConnectorClients": [{"name": "onprem"}, {"name": "off", "enabled": false}]}"#,
        );
        assert!(document.find_dialling("onprem").is_ok());
        for (name, says) in [
            ("OnPrem", "upper and lower case count"),
            ("here", "move the entry to remoteConnectorClients"),
            ("off", "set it to true"),
            ("other", "add {\"type\": \"remoteConnectorClient\", \"name\": \"other\""),
        ] {
            let why = document.find_dialling(name).expect_err(name);
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused_and_no_key_is_shown() {
        for (text, says) in
            [("{", "not JSON"), ("{}", "provisioner.openicf.connectorinfoprovider"), ("[]", "provisioner")]
        {
            let why = IdmDocument::read(text.as_bytes()).expect_err(text).to_string();
            assert!(why.contains(says), "{why}");
        }
        let document = read(r#"{"remoteConnectorServers": [{"name": "a", "key": "hidden-word"}]}"#);
        assert!(!format!("{document:?}").contains("hidden-word"));
    }
}
