//! Servers and clients of the document (C01-C08, C11, C15, C17).

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rcs_proto::icf::Secret;

use super::json::Tree;
use super::problem::Problem;
use super::walk::{Field, Object, Reader, shortened};
use super::{MemberEntry, Place};
use crate::limits::{PING_INTERVAL, PING_INTERVAL_MIN, SOCKETS_PER_MEMBER_DEFAULT, SOCKETS_PER_SESSION_MAX};
use crate::view::{AdminState, Endpoint, Link, MemberSpec, OPENICF_PATH, Transport, is_usable_name};

/// User name of the Basic credentials when the document has none; a stock server takes any (WIRE 1.1).
const PRINCIPAL_DEFAULT: &str = "anonymous";
/// The key connector servers ship with.
const KEY_DEFAULT: &str = "changeit";
/// The key of IDM's template (R04, C06).
const KEY_TEMPLATE: &str = "password";
/// Keys that the vendor's examples use in place of a real key.
const KEYS_OF_SAMPLES: [&str; 4] = ["some-key", "Passw0rd", "secret", "KEY"];
/// Bytes of a host name and of one part of it (RFC 1035).
const HOST_BYTES_MAX: usize = 254;
const HOST_LABEL_BYTES_MAX: usize = 63;
/// Bytes of the name of a network interface on Linux.
const ZONE_BYTES_MAX: usize = 15;
/// The longest interval IDM would take for one, in seconds: a day times thirty.
const INTERVAL_MAX_S: u64 = 30 * 24 * 3600;

const SERVER_FIELDS: &[&str] = &[
    "type",
    "systemType",
    "displayName",
    "name",
    "enabled",
    "host",
    "port",
    "useSSL",
    "key",
    "principal",
    "websocketPath",
    "protocol",
    "useAgent",
    "webSocketConnections",
    "proxyHost",
    "proxyPort",
    "proxyUser",
    "proxyPrincipal",
    "proxyPassword",
    "tokenEndpoint",
    "scope",
    "clientId",
    "clientSecret",
    "pingPongInterval",
    "housekeepingInterval",
    "houseKeepingInterval",
    "connectionGroupCheckInterval",
    "newConnectionsInterval",
    "heartbeatInterval",
    "timeout",
];

/// Intervals of IDM that have no use here: what they pace is paced by [`crate::limits`].
const INTERVALS: &[&str] = &[
    "housekeepingInterval",
    "houseKeepingInterval",
    "connectionGroupCheckInterval",
    "newConnectionsInterval",
    "heartbeatInterval",
    "timeout",
];

const CLIENT_FIELDS: &[&str] = &["type", "systemType", "displayName", "name", "enabled", "useSSL"];

/// The members found so far.
#[derive(Default)]
pub(super) struct Members {
    /// Those that are right in themselves.
    pub(super) entries: Vec<MemberEntry>,
    /// Every name met and where, those of wrong entries included: a group may list them.
    names: HashMap<String, String>,
    /// The hosts and ports found so far, each with the place where it was found first.
    addresses: HashMap<(String, u16), String>,
}

impl Members {
    /// The path of the member of this name, be it right or wrong.
    pub(super) fn path_of(&self, name: &str) -> Option<&str> {
        self.names.get(name).map(String::as_str)
    }

    pub(super) fn read_server(&mut self, reader: &mut Reader<'_>, entry: &Object<'_>) {
        reader.check_fields(entry, SERVER_FIELDS);
        let name = self.name(reader, entry, Place::Servers);
        let admin = admin(reader, entry);
        let display_name = reader.filled(entry, "displayName").given();
        let host = host(reader, entry);
        let port = port(reader, entry);
        let key = key(reader, entry, name.as_deref());
        let principal = principal(reader, entry);
        let path = websocket_path(reader, entry);
        let transport =
            if reader.flag(entry, "useSSL").or(false) { Transport::Tls } else { Transport::Plain };
        let sockets = sockets(reader, entry);
        let ping_interval = ping_interval(reader, entry);
        report_token(reader, entry, transport);
        report_unused(reader, entry);
        let (Some(name), Some(host), Some(port), Some(key), Some(path)) = (name, host, port, key, path)
        else {
            return;
        };
        self.note_address(reader, entry, &host, port);
        let endpoint = Endpoint { host, port, path, transport, principal, key };
        let spec = MemberSpec { name, link: Link::Dial(endpoint), sockets, ping_interval, admin };
        self.entries.push(MemberEntry { path: entry.path().to_owned(), display_name, spec });
    }

    pub(super) fn read_client(&mut self, reader: &mut Reader<'_>, entry: &Object<'_>) {
        reader.check_fields(entry, CLIENT_FIELDS);
        let name = self.name(reader, entry, Place::Clients);
        let admin = admin(reader, entry);
        let display_name = reader.filled(entry, "displayName").given();
        if reader.flag(entry, "useSSL").or(false) {
            reader.report(&entry.child("useSSL"), Problem::ClientUseSsl);
        }
        let Some(name) = name else { return };
        let sockets = SOCKETS_PER_MEMBER_DEFAULT;
        let spec =
            MemberSpec { name, link: Link::Accept, sockets, ping_interval: Some(PING_INTERVAL), admin };
        self.entries.push(MemberEntry { path: entry.path().to_owned(), display_name, spec });
    }

    /// Reports an address that another server has as well.
    fn note_address(&mut self, reader: &mut Reader<'_>, entry: &Object<'_>, host: &str, port: u16) {
        let address = (host.to_ascii_lowercase(), port);
        if let Some(first) = self.addresses.get(&address) {
            let (first, shown) = (first.clone(), format!("{host}:{port}"));
            reader.report(entry.path(), Problem::SameAddress { address: shown, first });
        } else {
            self.addresses.insert(address, entry.path().to_owned());
        }
    }

    fn name(&mut self, reader: &mut Reader<'_>, entry: &Object<'_>, place: Place) -> Option<String> {
        let name = usable_name(reader, entry, place)?;
        if let Some(first) = self.path_of(&name) {
            let first = first.to_owned();
            reader.report(&entry.child("name"), Problem::TwoMembers { name, first });
            return None;
        }
        self.names.insert(name.clone(), entry.path().to_owned());
        Some(name)
    }
}

/// The name of an entry: an error if it cannot be used at all, a warning if IDM may refuse it (W01).
pub(super) fn usable_name(reader: &mut Reader<'_>, entry: &Object<'_>, place: Place) -> Option<String> {
    let name = reader.required(entry, "name")?;
    let path = entry.child("name");
    if !is_usable_name(&name) {
        reader.report(&path, Problem::BadName(shortened(&name)));
        return None;
    }
    let (pattern, hyphen) = match place {
        Place::Clients => ("^[a-z0-9]+$", None),
        Place::Servers | Place::ServersGroups | Place::ClientsGroups => ("^[a-z0-9-]+$", Some('-')),
    };
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || Some(c) == hyphen) {
        reader.report(&path, Problem::OddName { name: name.clone(), pattern });
    }
    Some(name)
}

fn admin(reader: &mut Reader<'_>, entry: &Object<'_>) -> AdminState {
    if reader.flag(entry, "enabled").or(true) { AdminState::Enabled } else { AdminState::Disabled }
}

fn host(reader: &mut Reader<'_>, entry: &Object<'_>) -> Option<String> {
    let host = reader.required(entry, "host")?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&host);
    if is_ipv6(bare) {
        return Some(bare.to_owned());
    }
    if host.starts_with('<') || host.ends_with('>') || host == "HOST" {
        reader.report(&entry.child("host"), Problem::SampleHost(shortened(&host)));
        return None;
    }
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=HOST_LABEL_BYTES_MAX).contains(&label.len()) && label.chars().all(inner)
    };
    let name = host.strip_suffix('.').unwrap_or(&host);
    if bare == host && host.len() <= HOST_BYTES_MAX && name.split('.').all(label) {
        // The resolver takes a name whose last part is a number for an address, and reads `10.300` in a way that nobody means.
        let is_number =
            name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if is_number && name.parse::<Ipv4Addr>().is_err() {
            reader.report(&entry.child("host"), Problem::NoAddress(shortened(&host)));
            return None;
        }
        return Some(host);
    }
    // Credentials may stand in front of it, as in a URL: those are not repeated.
    let shown = host.rsplit_once('@').map_or(host.clone(), |(_, rest)| format!("...@{rest}"));
    reader.report(&entry.child("host"), Problem::BadHost(shortened(&shown)));
    None
}

/// An IPv6 address, perhaps with the interface of a link-local one behind it (`fe80::1%eth0`).
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
    let usable = |zone: &str| {
        (1..=ZONE_BYTES_MAX).contains(&zone.len())
            && zone.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(usable)
}

fn port(reader: &mut Reader<'_>, entry: &Object<'_>) -> Option<u16> {
    match reader.number(entry, "port", 1, u64::from(u16::MAX)) {
        Field::Given(port) => u16::try_from(port).ok(),
        Field::Bad => None,
        Field::Absent => {
            reader.report(&entry.child("port"), Problem::Missing("port"));
            None
        }
    }
}

fn key(reader: &mut Reader<'_>, entry: &Object<'_>, name: Option<&str>) -> Option<Secret<String>> {
    let keys = reader.keys();
    if let Some(key) = name.and_then(|name| keys.by_name.get(name)) {
        return Some(key.clone());
    }
    if entry.get("key").is_none_or(is_encrypted) {
        let kept = name.and_then(|name| keys.kept.get(name));
        if let Some(key) = kept.or(keys.others.as_ref()) {
            return Some(key.clone());
        }
    }
    let key = reader.required(entry, "key")?;
    let path = entry.child("key");
    if !is_latin1(&key) {
        reader.report(&path, Problem::NotLatin1("key"));
        return None;
    }
    match key.as_str() {
        KEY_DEFAULT => reader.report(&path, Problem::DefaultKey),
        KEY_TEMPLATE => reader.report(&path, Problem::TemplateKey),
        sample if KEYS_OF_SAMPLES.contains(&sample) || (sample.starts_with('<') && sample.ends_with('>')) => {
            reader.report(&path, Problem::SampleKey);
        }
        _ => {}
    }
    Some(Secret::new(key))
}

/// IDM writes each key in this form into its own document (C06).
fn is_encrypted(tree: &Tree) -> bool {
    matches!(tree, Tree::Object(fields) if matches!(fields.as_slice(), [(wrap, _)] if wrap == "$crypto"))
}

fn principal(reader: &mut Reader<'_>, entry: &Object<'_>) -> String {
    let principal = reader.filled(entry, "principal").or(PRINCIPAL_DEFAULT.to_owned());
    let path = entry.child("principal");
    if principal.contains(':') {
        reader.report(&path, Problem::PrincipalWithColon);
    } else if !is_latin1(&principal) {
        reader.report(&path, Problem::NotLatin1("principal"));
    }
    principal
}

/// Basic credentials go as ISO-8859-1 (WIRE 1.1); a control character in them would be refused by any server.
fn is_latin1(text: &str) -> bool {
    text.chars().all(|c| u32::from(c) <= 0xFF && !c.is_control())
}

fn websocket_path(reader: &mut Reader<'_>, entry: &Object<'_>) -> Option<String> {
    let path = match reader.filled(entry, "websocketPath") {
        Field::Absent => return Some(OPENICF_PATH.to_owned()),
        Field::Bad => return None,
        Field::Given(path) if path.starts_with('/') => path,
        Field::Given(path) => format!("/{path}"),
    };
    if path.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}#".contains(c)) {
        return Some(path);
    }
    reader.report(&entry.child("websocketPath"), Problem::BadPath(shortened(&path)));
    None
}

fn sockets(reader: &mut Reader<'_>, entry: &Object<'_>) -> u8 {
    let max = u64::try_from(SOCKETS_PER_SESSION_MAX).unwrap_or(u64::MAX);
    let sockets = reader.number(entry, "webSocketConnections", 1, max).or(SOCKETS_PER_MEMBER_DEFAULT.into());
    u8::try_from(sockets).unwrap_or(SOCKETS_PER_MEMBER_DEFAULT)
}

/// The document can make pings more frequent than ours, never rarer, or a frozen member would be found too
/// late (P6). 0 turns them off: session checks find it then.
fn ping_interval(reader: &mut Reader<'_>, entry: &Object<'_>) -> Option<Duration> {
    match reader.number(entry, "pingPongInterval", 0, INTERVAL_MAX_S) {
        Field::Given(0) => None,
        Field::Given(seconds) if Duration::from_secs(seconds) > PING_INTERVAL => {
            reader.report(&entry.child("pingPongInterval"), Problem::PingIntervalTooLong { seconds });
            Some(PING_INTERVAL)
        }
        Field::Given(seconds) => Some(Duration::from_secs(seconds).clamp(PING_INTERVAL_MIN, PING_INTERVAL)),
        _ => Some(PING_INTERVAL),
    }
}

/// Settings of OAuth2, which this version does not have. Beside an unencrypted connection they are an error: who wrote them expects the
/// connection to be protected.
fn report_token(reader: &mut Reader<'_>, entry: &Object<'_>, transport: Transport) {
    let Some(key) =
        ["tokenEndpoint", "clientId", "clientSecret"].into_iter().find(|key| entry.get(key).is_some())
    else {
        return;
    };
    let problem = match transport {
        Transport::Plain => Problem::TokenInClear,
        Transport::Tls => Problem::TokenIgnored,
    };
    reader.report(&entry.child(key), problem);
}

/// Fields that are understood and have no effect.
fn report_unused(reader: &mut Reader<'_>, entry: &Object<'_>) {
    for key in INTERVALS {
        if let Field::Given(_) = reader.number(entry, key, 0, INTERVAL_MAX_S) {
            reader.report(&entry.child(key), Problem::IntervalNotUsed);
        }
    }
    reader.number(entry, "proxyPort", 0, u64::from(u16::MAX));
    if let Field::Given(_) = reader.filled(entry, "proxyHost") {
        reader.report(&entry.child("proxyHost"), Problem::ProxyIgnored);
    }
    if reader.flag(entry, "useAgent").or(false) {
        reader.report(&entry.child("useAgent"), Problem::UsesAgent);
    }
    if let Field::Given(protocol) = reader.filled(entry, "protocol")
        && !protocol.eq_ignore_ascii_case("websocket")
    {
        reader.report(&entry.child("protocol"), Problem::OtherProtocol(shortened(&protocol)));
    }
}
