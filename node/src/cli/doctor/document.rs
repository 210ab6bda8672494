//! What the properties say against what IDM's document says (C14, C06, C07).

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

use rcs_cli::doctor::Finding;
use rcs_cli::idm::{IdmDials, IdmDocument, IdmEntry, IdmKey};

use super::DOCUMENT;
use crate::config::{Dial, Listen, NodeConfig, Transport};

/// A server in client mode: IDM knows it by its name alone.
pub(super) fn of_client(document: &IdmDocument, dial: &Dial) -> Vec<Finding> {
    let name = &dial.server_name;
    let mut findings = of_document(document);
    match document.find_dialling(name) {
        Err(why) => {
            findings.push(Finding::failed(DOCUMENT, format!("{why} (connectorserver.connectorServerName)")))
        }
        Ok(entry) => {
            findings.push(Finding::ok(
                DOCUMENT,
                format!("{} is {name:?}, as connectorServerName is{}", entry.path, groups(document, name)),
            ));
        }
    }
    findings
}

/// A server in server mode: the entry has what IDM dials.
pub(super) fn of_server(
    document: &IdmDocument,
    listen: &Listen,
    config: &NodeConfig,
    name: Option<&str>,
) -> Vec<Finding> {
    let mut findings = of_document(document);
    let entry = match entry(document, listen, name) {
        Ok(entry) => entry,
        Err(why) => {
            findings.push(Finding::failed(DOCUMENT, why));
            return findings;
        }
    };
    let before = findings.len();
    let mut failed =
        |what: String| findings.push(Finding::failed(DOCUMENT, format!("{}: {what}", entry.path)));
    if !entry.enabled {
        failed("\"enabled\" is false, so IDM does not use this server: set it to true".to_owned());
    }
    match entry.port {
        Some(port) if port != listen.port => failed(format!(
            "IDM dials port {port}, and connectorserver.port is {}: make them equal",
            listen.port
        )),
        None => failed("\"port\" is missing, or stands for a property of IDM: compare it with connectorserver.port by hand".to_owned()),
        Some(_) => {}
    }
    match (entry.use_ssl, listen.transport) {
        (true, Transport::Plain) => failed("useSSL is true in IDM, and connectorserver.useSSL is not: IDM's TLS meets a server without TLS. Make them equal".to_owned()),
        (false, Transport::Tls) => failed("useSSL is false in IDM, and connectorserver.useSSL is true: IDM speaks without TLS to a server with TLS. Make them equal".to_owned()),
        _ => {}
    }
    if let IdmKey::Clear(key) = &entry.key
        && !listen.key.admits(key)
    {
        let template =
            if **key == *"password" { " (it still is the \"password\" of IDM's template)" } else { "" };
        failed(format!(
            "\"key\" is not the key of this server{template}, so IDM is refused with 403: run `rcs-node set-key` with the key of IDM, or write the \
             server's key into the document"
        ));
    }
    if !(entry.path_dialled == "/openicf" || entry.path_dialled.starts_with("/openicf/")) {
        failed(format!(
            "websocketPath is {:?}, and a connector server answers at /openicf: remove websocketPath",
            entry.path_dialled
        ));
    }
    if let Some(protocol) =
        entry.protocol.as_deref().filter(|protocol| !protocol.eq_ignore_ascii_case("websocket"))
    {
        failed(format!(
            "\"protocol\" is {protocol:?}, the protocol before WebSockets, which this server does not speak: set it to \"websocket\""
        ));
    }
    let is_wrong = findings.len() > before;
    findings.extend(of_host(entry, listen));
    if matches!(entry.key, IdmKey::Encrypted | IdmKey::Unknown) {
        let text = format!(
            "{}: \"key\" is encrypted or not there, so it cannot be compared. If IDM is refused with 403, set the key at both ends",
            entry.path
        );
        findings.push(Finding::ok(DOCUMENT, text));
    }
    if !is_wrong {
        let pings = match (config.ping_interval.map(|time| time.as_secs()), entry.ping_interval) {
            (Some(own), Some(idm)) if own != idm => {
                format!(" Each end pings in its own interval: {own} s here, {idm} s at IDM")
            }
            _ => String::new(),
        };
        let text =
            format!("{} agrees with the properties{}.{pings}", entry.path, groups(document, &entry.name));
        findings.push(Finding::ok(DOCUMENT, text.trim_end_matches('.').to_owned()));
    }
    findings
}

fn of_document(document: &IdmDocument) -> Vec<Finding> {
    let off = "\"enabled\" is false for the whole document, so IDM uses none of its servers: set it to true";
    if document.enabled { Vec::new() } else { vec![Finding::failed(DOCUMENT, off)] }
}

/// The groups that list a name, as the end of a sentence.
fn groups(document: &IdmDocument, name: &str) -> String {
    let listing = document.groups.iter().filter(|group| group.servers.iter().any(|server| server == name));
    let names: Vec<&str> = listing.map(|group| group.name.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(", in the groups {}", names.join(", ")) }
}

/// The entry that is this server.
fn entry<'a>(document: &'a IdmDocument, listen: &Listen, name: Option<&str>) -> Result<&'a IdmEntry, String> {
    let all: Vec<&IdmEntry> = document.of(IdmDials::Idm).collect();
    let names: Vec<String> = all.iter().map(|entry| format!("{:?}", entry.name)).collect();
    if let Some(name) = name {
        let found = all.iter().copied().find(|entry| entry.name == name);
        let dialling = || document.of(IdmDials::Server).any(|entry| entry.name == name);
        return found.ok_or_else(|| match dialling() {
            true => format!("remoteConnectorClients has {name:?}, so IDM waits for the server to dial, and this one listens: set connectorserver.url, or move the entry to remoteConnectorServers"),
            false => format!("remoteConnectorServers has no {name:?}; it has {}", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }),
        });
    }
    let with_port: Vec<&IdmEntry> =
        all.iter().copied().filter(|entry| entry.port == Some(listen.port)).collect();
    match (&with_port[..], &all[..]) {
        ([entry], _) | ([], [entry]) => Ok(entry),
        (_, []) => Err("remoteConnectorServers is empty, so IDM dials nobody: add this server, or set connectorserver.url if it is to dial IDM".to_owned()),
        _ => Err(format!("several entries may be this server: name one of {} with --name", names.join(", "))),
    }
}

/// Whether IDM's host leads to this machine, and to the address on which the server listens.
fn of_host(entry: &IdmEntry, listen: &Listen) -> Option<Finding> {
    let host = entry.host.as_deref()?;
    let Ok(addresses) = (host, 0).to_socket_addrs() else {
        return Some(Finding::warning(
            DOCUMENT,
            format!(
                "{}: the host {host:?} cannot be resolved on this machine: see that it can on IDM's",
                entry.path
            ),
        ));
    };
    let addresses: Vec<SocketAddr> = addresses.collect();
    // An address of this machine can be bound.
    let is_here = addresses.iter().any(|address| TcpListener::bind(address).is_ok());
    let own = listen.host.resolve(listen.port).ok()?.ip();
    let is_reached = own.is_unspecified() || addresses.iter().any(|address| address.ip() == own);
    let address = addresses.first()?.ip();
    match (is_here, is_reached) {
        (true, true) => None,
        (true, false) => Some(Finding::failed(
            DOCUMENT,
            format!(
                "{}: IDM dials {host}, which is {address}, and the server listens on {own} only: set connectorserver.{} to 0.0.0.0 or to that address",
                entry.path, listen.host_key
            ),
        )),
        (false, _) if own.is_loopback() => Some(Finding::failed(
            DOCUMENT,
            format!(
                "{}: IDM dials {host}, and the server listens on {own}, which no other machine reaches: set connectorserver.{} to 0.0.0.0",
                entry.path, listen.host_key
            ),
        )),
        (false, _) => Some(Finding::warning(
            DOCUMENT,
            format!(
                "{}: the host {host} is {address}, which is no address of this machine. If no NAT or balancer leads here, correct the host",
                entry.path
            ),
        )),
    }
}
