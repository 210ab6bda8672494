//! What differs between two documents, as a list for people and programs. Keys are compared, and never shown.

use std::collections::HashMap;

use crate::agreed::Document;
use crate::view::{AdminState, Endpoint, GroupSpec, Link, MemberSpec, Transport};

/// One member or group that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What happens to it.
    pub kind: Kind,
    /// What it is.
    pub what: What,
    /// Its name.
    pub name: String,
    /// What differs, for people; empty for what comes or goes.
    pub details: Vec<String>,
}

/// What happens to a member or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It comes.
    Added,
    /// It stays, with other content.
    Changed,
    /// It goes.
    Removed,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A server or client.
    Member,
    /// A group.
    Group,
}

impl Kind {
    /// The word for the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

impl What {
    /// The word for the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Group => "group",
        }
    }
}

/// What changes when the second document follows the first: members, then groups, each in the order of the second document, and what goes
/// at the end. The order of members and of groups among each other means nothing to routing, and is not compared.
pub fn differences(old: &Document, new: &Document) -> Vec<Difference> {
    let mut all = compare(&old.members, &new.members, What::Member, |member| &member.name, of_member);
    all.extend(compare(&old.groups, &new.groups, What::Group, |group| &group.name, of_group));
    all
}

fn compare<T: PartialEq>(
    old: &[T],
    new: &[T],
    what: What,
    name: impl Fn(&T) -> &String,
    details: impl Fn(&T, &T) -> Vec<String>,
) -> Vec<Difference> {
    let before: HashMap<&str, &T> = old.iter().map(|entry| (name(entry).as_str(), entry)).collect();
    let after: HashMap<&str, &T> = new.iter().map(|entry| (name(entry).as_str(), entry)).collect();
    let difference = |kind, entry: &T, details| Difference { kind, what, name: name(entry).clone(), details };
    let mut all = Vec::new();
    for entry in new {
        match before.get(name(entry).as_str()) {
            None => all.push(difference(Kind::Added, entry, Vec::new())),
            Some(old) if *old != entry => {
                all.push(difference(Kind::Changed, entry, details(old, entry)));
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|entry| !after.contains_key(name(entry).as_str()));
    all.extend(gone.map(|entry| difference(Kind::Removed, entry, Vec::new())));
    all
}

fn of_member(old: &MemberSpec, new: &MemberSpec) -> Vec<String> {
    let mut all = Vec::new();
    match (&old.link, &new.link) {
        (Link::Dial(old), Link::Dial(new)) => of_endpoint(old, new, &mut all),
        (Link::Accept, Link::Accept) => {}
        (Link::Dial(_), Link::Accept) => all.push("server mode becomes client mode".to_owned()),
        (Link::Accept, Link::Dial(_)) => all.push("client mode becomes server mode".to_owned()),
    }
    note(&mut all, "webSocketConnections", &old.sockets, &new.sockets);
    let ping = |member: &MemberSpec| member.ping_interval.map_or(0.0, |interval| interval.as_secs_f64());
    note(&mut all, "pingPongInterval", &ping(old), &ping(new));
    let enabled = |member: &MemberSpec| member.admin == AdminState::Enabled;
    note(&mut all, "enabled", &enabled(old), &enabled(new));
    all
}

fn of_endpoint(old: &Endpoint, new: &Endpoint, all: &mut Vec<String>) {
    note(all, "host", &old.host, &new.host);
    note(all, "port", &old.port, &new.port);
    note(all, "websocketPath", &old.path, &new.path);
    let is_tls = |endpoint: &Endpoint| endpoint.transport == Transport::Tls;
    note(all, "useSSL", &is_tls(old), &is_tls(new));
    note(all, "principal", &old.principal, &new.principal);
    if old.key != new.key {
        all.push("another key".to_owned());
    }
}

fn of_group(old: &GroupSpec, new: &GroupSpec) -> Vec<String> {
    let mut all = Vec::new();
    note(&mut all, "algorithm", &old.policy, &new.policy);
    note(&mut all, "servers", &old.members.join(" "), &new.members.join(" "));
    all
}

fn note<T: PartialEq + std::fmt::Display>(all: &mut Vec<String>, field: &str, old: &T, new: &T) {
    if old != new {
        all.push(format!("{field}: {old} becomes {new}"));
    }
}
