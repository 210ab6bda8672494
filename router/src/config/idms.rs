//! The IDMs that the router dials (client mode of the router): one table `[idm.NAME]` for each. The names of the keys are those of
//! ConnectorServer.properties, in the form of this file (P02, P04-P08).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use rcs_proto::driver::keeper::Rhythm;
use rcs_proto::driver::limits::{DIALLED_SOCKETS, HOUSEKEEPING_INTERVAL, NEW_CONNECTIONS_INTERVAL};
use rcs_proto::driver::url::WsUrl;
use rcs_proto::icf::Secret;

use super::keys::{Key, Place};
use crate::limits::{
    IDM_CONNECTION_TTL, IDM_CONNECTION_TTL_RANGE, IDM_CONNECTIONS_MAX, IDM_INTERVAL_RANGE,
    IDM_NEW_CONNECTIONS_RANGE, IDM_PROXY_PORT, TRUST_STORE_BYTES_MAX,
};
use crate::secrets;

/// The word for the authorities of the operating system, in the place of a trust store.
pub(crate) const SYSTEM: &str = "system";

/// The tables of all IDMs, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Idms(pub(super) BTreeMap<String, Idm>);

/// One IDM that the router dials, as the configuration file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Idm {
    /// Where the IDM listens; several URLs are several IDM processes, or several ways to one.
    pub(crate) urls: Vec<WsUrl>,
    /// The group that the IDM's calls go to; none: the connector of each call decides.
    pub(crate) group: Option<String>,
    /// The user for Basic authentication, if it is another one than the name of the table.
    pub(crate) principal: Option<String>,
    /// File whose first line is the password.
    pub(super) key_file: Option<String>,
    /// Connections that are kept to each URL.
    pub(crate) connections: usize,
    /// Age at which a connection is replaced.
    pub(crate) connection_ttl: Option<Duration>,
    /// Shortest time between the openings of two connections to a URL.
    new_connections_interval: Duration,
    /// Longest pause between two attempts to connect.
    housekeeping_interval: Duration,
    /// The HTTP proxy on the way.
    pub(crate) proxy_host: Option<String>,
    /// The proxy's port.
    pub(crate) proxy_port: u32,
    /// The user at the proxy.
    pub(crate) proxy_principal: Option<String>,
    /// File whose first line is the password at the proxy.
    pub(super) proxy_password_file: Option<String>,
    /// Trust store for `wss`, or [`SYSTEM`].
    pub(crate) trust_store: Option<String>,
}

impl Default for Idm {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            group: None,
            principal: None,
            key_file: None,
            connections: usize::from(DIALLED_SOCKETS),
            connection_ttl: Some(IDM_CONNECTION_TTL),
            new_connections_interval: NEW_CONNECTIONS_INTERVAL,
            housekeeping_interval: HOUSEKEEPING_INTERVAL,
            proxy_host: None,
            proxy_port: IDM_PROXY_PORT,
            proxy_principal: None,
            proxy_password_file: None,
            trust_store: None,
        }
    }
}

impl Idm {
    /// How the connections to each URL are kept. A connection is opened before it replaces another one, so there is room for one more.
    pub(crate) fn rhythm(&self) -> Rhythm {
        Rhythm {
            sockets: self.connections,
            max_sockets: self.connections + 1,
            housekeeping_interval: self.housekeeping_interval,
            connection_ttl: self.connection_ttl,
            new_connections_interval: self.new_connections_interval,
        }
    }

    /// What is missing in the table, or means nothing in it.
    pub(super) fn faults(&self) -> Vec<String> {
        let told = [
            (
                self.urls.is_empty(),
                "url is missing. Write the URL at which the IDM listens, such as url = \"wss://idm.example.com/openicf\"",
            ),
            (
                self.key_file.is_none(),
                "key_file is missing. Write the password that the IDM has for this connector server into a file, and name the file",
            ),
            (
                self.principal.as_ref().is_some_and(|principal| principal.contains(':')),
                "principal must not hold a colon. Use the name that the IDM has for this connector server",
            ),
            (
                self.proxy_host.is_none()
                    && (self.proxy_principal.is_some() || self.proxy_password_file.is_some()),
                "proxy.principal and proxy.password_file mean nothing without proxy.host. Add proxy.host, or remove them",
            ),
            (
                self.proxy_principal.is_none() && self.proxy_password_file.is_some(),
                "proxy.password_file means nothing without proxy.principal. Add proxy.principal, or remove the file",
            ),
            (
                self.trust_store.is_some() && !self.urls.iter().any(|url| url.tls),
                "trust_store means nothing without TLS. Begin url with wss://, or remove trust_store",
            ),
        ];
        told.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what.to_owned()).collect()
    }
}

/// One IDM with the contents of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadIdm {
    /// The name of its table.
    pub(crate) name: String,
    /// What the table says.
    pub(crate) idm: Idm,
    /// The password.
    pub(crate) key: Secret<String>,
    /// The password at the proxy.
    pub(crate) proxy_password: Option<Secret<String>>,
    /// The bytes of the trust store, if the table names a file.
    pub(crate) trust: Option<Vec<u8>>,
}

impl Idms {
    /// The tables.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Idm)> {
        self.0.iter().map(|(name, idm)| (name.as_str(), idm))
    }

    /// Reads every file.
    ///
    /// # Errors
    /// A sentence for each file that cannot be used.
    pub(crate) fn read(&self) -> Result<Vec<ReadIdm>, Vec<String>> {
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        for (name, idm) in &self.0 {
            match idm.read(name) {
                Ok(read) => found.push(read),
                Err(why) => faults.extend(why.into_iter().map(|why| format!("idm.{name}.{why}"))),
            }
        }
        if faults.is_empty() { Ok(found) } else { Err(faults) }
    }
}

impl Idm {
    fn read(&self, name: &str) -> Result<ReadIdm, Vec<String>> {
        let mut faults = Vec::new();
        let mut secret = |key: &str, path: Option<&String>| {
            let opened = path.map(|path| (path, secrets::open(Path::new(path), crate::access::judge_any)));
            match opened {
                None => None,
                Some((_, Ok((accepted, _)))) => Some(accepted.first()),
                Some((path, Err(error))) => {
                    faults.push(format!("{key}: the file {path} {error}"));
                    None
                }
            }
        };
        let key = secret("key_file", self.key_file.as_ref());
        let proxy_password = secret("proxy.password_file", self.proxy_password_file.as_ref());
        let trust = match self.trust_store.as_deref().filter(|store| *store != SYSTEM) {
            None => None,
            Some(path) => match rcs_cli::file::read_bounded(Path::new(path), TRUST_STORE_BYTES_MAX) {
                Ok(bytes) => Some(bytes),
                Err(error) => {
                    faults.push(format!("trust_store: the trust store {path} cannot be read: {error}"));
                    None
                }
            },
        };
        match (key, faults.is_empty()) {
            (Some(key), true) => {
                Ok(ReadIdm { name: name.to_owned(), idm: self.clone(), key, proxy_password, trust })
            }
            _ => Err(faults),
        }
    }
}

const CONNECTIONS: RangeInclusive<usize> = 1..=IDM_CONNECTIONS_MAX;

/// The table `[idm.NAME]`.
pub(super) const IDM: &[Key<Idm>] = &[
    Key {
        name: "url",
        about: "where the IDM listens: one URL, or several that are several IDM processes, as a list or with blanks between them",
        place: Place::Urls(|s| &mut s.urls),
    },
    Key {
        name: "group",
        about: "the group or server that the IDM's calls go to; off: the connector of each call decides, as at /openicf",
        place: Place::TextOrOff(|s| &mut s.group, "the name of a group"),
    },
    Key {
        name: "principal",
        about: "user name for Basic authentication; off: NAME, which is then the connectorServerName that the IDM knows",
        place: Place::TextOrOff(|s| &mut s.principal, "a user name"),
    },
    Key {
        name: "key_file",
        about: "file whose first line is the password for Basic authentication; needed; followed",
        place: Place::TextOrOff(|s| &mut s.key_file, "the path of a file"),
    },
    Key {
        name: "connections",
        about: "connections that are kept to each URL; one more is open while one replaces another",
        place: Place::Count(|s| &mut s.connections, CONNECTIONS),
    },
    Key {
        name: "connection_ttl",
        about: "age at which a connection is replaced: the new one is opened first, and calls are not cut",
        place: Place::TimeOrOff(|s| &mut s.connection_ttl, IDM_CONNECTION_TTL_RANGE),
    },
    Key {
        name: "new_connections_interval",
        about: "shortest time between the openings of two connections to a URL",
        place: Place::Time(|s| &mut s.new_connections_interval, IDM_NEW_CONNECTIONS_RANGE),
    },
    Key {
        name: "housekeeping_interval",
        about: "longest pause between two attempts to connect; the first attempts follow sooner",
        place: Place::Time(|s| &mut s.housekeeping_interval, IDM_INTERVAL_RANGE),
    },
    Key {
        name: "proxy.host",
        about: "HTTP proxy on the way (CONNECT)",
        place: Place::TextOrOff(|s| &mut s.proxy_host, "a host name or an address"),
    },
    Key {
        name: "proxy.port",
        about: "the proxy's port",
        place: Place::Number(|s| &mut s.proxy_port, 1..=65_535),
    },
    Key {
        name: "proxy.principal",
        about: "user name at the proxy; off: none is sent",
        place: Place::TextOrOff(|s| &mut s.proxy_principal, "a user name"),
    },
    Key {
        name: "proxy.password_file",
        about: "file whose first line is the password at the proxy; followed",
        place: Place::TextOrOff(|s| &mut s.proxy_password_file, "the path of a file"),
    },
    Key {
        name: "trust_store",
        about: "trust store (PEM, DER or PKCS12) for wss://, followed; \"system\": the authorities of the operating system; off: \
                --trust-store, or the authorities of the operating system without that option",
        place: Place::TextOrOff(|s| &mut s.trust_store, "the path of a file"),
    },
];
