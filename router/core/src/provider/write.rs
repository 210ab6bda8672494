//! A document as IDM's own `provisioner.openicf.connectorinfoprovider`. Reading the text again gives an equal document
//! ([`as_written`] says in which order).

use std::collections::HashMap;

use rcs_proto::icf::Secret;
use serde::Serialize;
use serde_json::{Value, json};

use super::{DOCUMENT_ID, EntryType};
use crate::agreed::Document;
use crate::limits::PING_INTERVAL;
use crate::view::{AdminState, Endpoint, GroupSpec, Link, MemberSpec, OPENICF_PATH, Transport};

/// How the keys of members are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// Each key as a placeholder. Where the document is read with [`super::Keys::kept`], it stands for the key that is in force.
    AsItWas,
    /// In clear. The text is as secret as the keys.
    Clear,
}

/// Where groups are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPlace {
    /// In arrays of their own, where IDM 8.1.1 looks for them (C16).
    OwnArrays,
    /// Among the members of their direction, as the vendor's pages show them (R09).
    AmongMembers,
}

/// The document in IDM's form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    #[serde(rename = "_id")]
    id: &'static str,
    connectors_location: &'static str,
    enabled: bool,
    remote_connector_servers: Vec<Entry>,
    remote_connector_clients: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remote_connector_servers_groups: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remote_connector_clients_groups: Vec<Entry>,
}

/// A member or group in IDM's form.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Entry {
    /// A server, or a group.
    Server(Server),
    /// A client.
    Client(Client),
    /// A group.
    Group(Group),
}

/// The fields of a server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    #[serde(rename = "type")]
    kind: &'static str,
    system_type: &'static str,
    display_name: String,
    name: String,
    enabled: bool,
    host: String,
    port: u16,
    #[serde(rename = "useSSL")]
    use_ssl: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    principal: String,
    key: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    websocket_path: Option<String>,
    web_socket_connections: u8,
    /// Seconds; the router's own interval is left out, because it is no whole number.
    #[serde(skip_serializing_if = "Option::is_none")]
    ping_pong_interval: Option<u64>,
}

/// The fields of a client.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    #[serde(rename = "type")]
    kind: &'static str,
    system_type: &'static str,
    display_name: String,
    name: String,
    enabled: bool,
}

/// The fields of a group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    #[serde(rename = "type")]
    kind: &'static str,
    system_type: &'static str,
    display_name: String,
    name: String,
    algorithm: &'static str,
    servers_list: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
}

/// The `systemType` of every entry.
pub const SYSTEM_TYPE: &str = "provisioner.openicf";

/// Writes a document.
pub fn write(document: &Document, keys: KeyForm, place: GroupPlace) -> Written {
    let mut servers: Vec<Entry> = Vec::new();
    let mut clients: Vec<Entry> = Vec::new();
    for member in &document.members {
        match member.link {
            Link::Dial(_) => servers.push(entry(member, keys)),
            Link::Accept => clients.push(entry(member, keys)),
        }
    }
    let (of_clients, of_servers) = split(document);
    let groups = |groups: Vec<&GroupSpec>, kind: EntryType| {
        groups.into_iter().map(move |spec| Entry::Group(group(spec, kind))).collect::<Vec<_>>()
    };
    let mut of_servers = groups(of_servers, EntryType::ServersGroup);
    let mut of_clients = groups(of_clients, EntryType::ClientsGroup);
    if place == GroupPlace::AmongMembers {
        servers.append(&mut of_servers);
        clients.append(&mut of_clients);
    }
    Written {
        id: DOCUMENT_ID,
        connectors_location: "connectors",
        enabled: true,
        remote_connector_servers: servers,
        remote_connector_clients: clients,
        remote_connector_servers_groups: of_servers,
        remote_connector_clients_groups: of_clients,
    }
}

/// The document that is read from what [`write()`] made of this one: servers come before clients, and groups of servers before groups
/// of clients. Else their order stays, and so does the order within each group (G04). A group without members is left out, because IDM's
/// form has no such group. An interval between pings is rounded down to whole seconds.
#[must_use]
pub fn as_written(document: &Document) -> Document {
    let is_client = |member: &&MemberSpec| member.link == Link::Accept;
    let servers = document.members.iter().filter(|member| !is_client(member));
    let members = servers.chain(document.members.iter().filter(is_client)).cloned().collect();
    let (of_clients, of_servers) = split(document);
    Document { members, groups: of_servers.into_iter().chain(of_clients).cloned().collect() }
}

/// The groups of clients alone, and all others.
fn split(document: &Document) -> (Vec<&GroupSpec>, Vec<&GroupSpec>) {
    let links: HashMap<&str, &Link> =
        document.members.iter().map(|member| (member.name.as_str(), &member.link)).collect();
    let is_of_clients = |group: &&GroupSpec| {
        group.members.iter().all(|member| links.get(member.as_str()) == Some(&&Link::Accept))
    };
    let groups = document.groups.iter().filter(|group| !group.members.is_empty());
    groups.partition(is_of_clients)
}

/// A member in IDM's form.
pub fn entry(member: &MemberSpec, keys: KeyForm) -> Entry {
    let enabled = member.admin == AdminState::Enabled;
    let name = text(&member.name);
    match &member.link {
        Link::Dial(Endpoint { host, port, path, transport, principal, key: secret }) => {
            Entry::Server(Server {
                kind: EntryType::Server.name(),
                system_type: SYSTEM_TYPE,
                display_name: name.clone(),
                name,
                enabled,
                host: text(host),
                port: *port,
                use_ssl: *transport == Transport::Tls,
                principal: text(principal),
                key: key(secret, keys),
                websocket_path: (path != OPENICF_PATH).then(|| text(path)),
                web_socket_connections: member.sockets,
                ping_pong_interval: match member.ping_interval {
                    None => Some(0),
                    Some(PING_INTERVAL) => None,
                    Some(interval) => Some(interval.as_secs().max(1)),
                },
            })
        }
        Link::Accept => Entry::Client(Client {
            kind: EntryType::Client.name(),
            system_type: SYSTEM_TYPE,
            display_name: name.clone(),
            name,
            enabled,
        }),
    }
}

fn group(spec: &GroupSpec, kind: EntryType) -> Group {
    Group {
        kind: kind.name(),
        system_type: SYSTEM_TYPE,
        display_name: text(&spec.name),
        name: text(&spec.name),
        algorithm: spec.policy.name(),
        servers_list: spec.members.iter().map(|name| Listed { name: text(name) }).collect(),
    }
}

fn key(secret: &Secret<String>, keys: KeyForm) -> Value {
    match keys {
        // Where the text is taken for a provider file, the reader says that this key is encrypted, and where to write it.
        KeyForm::AsItWas => json!({ "$crypto": { "type": "as-it-was" } }),
        KeyForm::Clear => Value::String(text(secret.expose())),
    }
}

/// A text that is read as it stands: what looks like a placeholder becomes one whose default is that text.
fn text(text: &str) -> String {
    text.replace("&{", "&{|&{}")
}
