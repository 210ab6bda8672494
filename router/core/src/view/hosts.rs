//! Servers in client mode of which several processes run under one name (P03): each process is a member of its own.
//!
//! The first host has the name of the server. The further hosts are `NAME@2`, `NAME@3`... Wherever a group lists the server, the group has
//! all of its hosts, in this order.

use std::collections::BTreeMap;

use super::{GroupSpec, Link, MemberSpec, own_groups};
use crate::balance::Policy;
use crate::limits::HOSTS_PER_NAME_MAX;

/// How many processes run under the names of servers in client mode, by name, 2 to
/// [`crate::limits::HOSTS_PER_NAME_MAX`] each. Of a server that is not named one process runs.
pub type Hosts = BTreeMap<String, u32>;

/// Members and groups with every host.
pub(super) struct WithHosts {
    pub(super) members: Vec<MemberSpec>,
    /// The groups that the document lists.
    pub(super) listed: Vec<GroupSpec>,
    /// The group of each server's own name.
    pub(super) own: Vec<GroupSpec>,
    /// The names of a server's hosts, for servers that have several.
    pub(super) hosts: Vec<Vec<String>>,
}

impl WithHosts {
    pub(super) fn of(members: &[MemberSpec], groups: &[GroupSpec], hosts: &Hosts) -> Self {
        let mut all = Self {
            members: Vec::new(),
            listed: groups.to_vec(),
            own: own_groups(members),
            hosts: Vec::new(),
        };
        let mut several: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for member in members {
            all.members.push(member.clone());
            let further: Vec<String> = further(member, hosts).collect();
            if further.is_empty() {
                continue;
            }
            let host = |name: &String| MemberSpec { name: name.clone(), ..member.clone() };
            all.members.extend(further.iter().map(host));
            several.insert(&member.name, [vec![member.name.clone()], further].concat());
        }
        if several.is_empty() {
            return all;
        }
        for group in all.listed.iter_mut().chain(&mut all.own) {
            let listed = std::mem::take(&mut group.members);
            for name in listed {
                match several.get(name.as_str()) {
                    Some(names) => group.members.extend(names.iter().cloned()),
                    None => group.members.push(name),
                }
            }
        }
        // A server's own group is a group of one, without a policy that anybody chose. Its hosts share the calls.
        for group in all.own.iter_mut().filter(|group| group.members.len() > 1) {
            group.policy = Policy::RoundRobin;
        }
        all.hosts = several.into_values().collect();
        all
    }
}

/// How many hosts a member has, 1 unless it is a server in client mode with more.
pub(crate) fn count(member: &MemberSpec, hosts: &Hosts) -> u32 {
    match member.link {
        // The number may come from a router whose bound is larger.
        Link::Accept => hosts.get(&member.name).map_or(1, |count| (*count).min(HOSTS_PER_NAME_MAX)),
        Link::Dial(_) => 1,
    }
}

/// The names of a member's further hosts.
pub(crate) fn further(member: &MemberSpec, hosts: &Hosts) -> impl Iterator<Item = String> {
    (2..=count(member, hosts)).map(|number| format!("{}@{number}", member.name))
}

/// Whether the name is that of a further host of this member.
pub(crate) fn is_further_host(name: &str, member: &MemberSpec, hosts: &Hosts) -> bool {
    let number = name.strip_prefix(member.name.as_str()).and_then(|rest| rest.strip_prefix('@'));
    // Only as the number is written in the name: "@02" is no host.
    let is_written_so = |number: u32| name.ends_with(&format!("@{number}"));
    number
        .and_then(|number| number.parse().ok())
        .is_some_and(|number: u32| (2..=count(member, hosts)).contains(&number) && is_written_so(number))
}
