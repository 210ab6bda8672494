use std::time::Duration;

use rcs_proto::icf::Secret;

use super::super::limits::{CREDENTIAL_BYTES_MAX, HOST_BYTES_MAX};
use super::*;
use crate::balance::Policy;
use crate::engine::tests::parts::member;
use crate::view::{Hosts, View};

/// Servers a, b, c; a and b are the group `g`.
fn document() -> Document {
    Document { members: ["a", "b", "c"].map(member).into(), groups: vec![group("g", &["a", "b"])] }
}

fn group(name: &str, members: &[&str]) -> GroupSpec {
    let members = members.iter().map(|name| (*name).to_owned()).collect();
    GroupSpec { name: name.into(), policy: Policy::RoundRobin, members }
}

fn add(group: &str, member: &str, position: Option<usize>) -> Edit {
    Edit::AddToGroup { group: group.into(), member: member.into(), position }
}

fn take(group: &str, member: &str) -> Edit {
    Edit::RemoveFromGroup { group: group.into(), member: member.into() }
}

fn remove(member: &str) -> Edit {
    Edit::RemoveMember { member: member.into() }
}

fn shown(document: &Document) -> String {
    let members: Vec<_> = document.members.iter().map(|member| member.name.as_str()).collect();
    let groups = document.groups.iter().map(|group| format!("{}={}", group.name, group.members.join(",")));
    format!("{} {}", members.join(","), groups.collect::<Vec<_>>().join(" "))
}

#[test]
fn each_edit_changes_what_it_says() {
    let accepts = MemberSpec { link: Link::Accept, ..member("d") };
    for (edit, expected) in [
        (Edit::CreateGroup(group("h", &["c"])), "a,b,c g=a,b h=c"),
        (Edit::ReplaceGroup(group("g", &["c", "a"])), "a,b,c g=c,a"),
        (Edit::DeleteGroup { group: "g".into() }, "a,b,c "),
        (Edit::AddMember(member("d")), "a,b,c,d g=a,b"),
        (Edit::AddMember(accepts), "a,b,c,d g=a,b"),
        (remove("c"), "a,b g=a,b"),
        (add("g", "c", None), "a,b,c g=a,b,c"),
        (add("g", "c", Some(0)), "a,b,c g=c,a,b"),
        (add("g", "c", Some(2)), "a,b,c g=a,b,c"),
        (take("g", "a"), "a,b,c g=b"),
    ] {
        let after = edit.apply(&document()).unwrap();
        assert_eq!(shown(&after), expected, "{edit:?}");
        assert_eq!(View::check(&after.members, &after.groups, &Hosts::new()), Ok(()), "{edit:?}");
    }
    let moved = MemberSpec { link: Link::Accept, ..member("a") };
    let after = Edit::ReplaceMember(moved.clone()).apply(&document()).unwrap();
    assert_eq!((after.members.first(), after.groups), (Some(&moved), document().groups));
}

#[test]
fn an_edit_that_does_not_fit_is_refused_with_what_to_do() {
    let [g, h, a, z] = ["g", "h", "a", "z"].map(String::from);
    for (edit, refusal) in [
        (Edit::CreateGroup(group("g", &[])), EditRefusal::GroupExists(g.clone())),
        (Edit::ReplaceGroup(group("h", &[])), EditRefusal::NoGroup(h.clone())),
        (Edit::DeleteGroup { group: h.clone() }, EditRefusal::NoGroup(h.clone())),
        (Edit::AddMember(member("a")), EditRefusal::MemberExists(a.clone())),
        (Edit::ReplaceMember(member("z")), EditRefusal::NoMember(z.clone())),
        (remove("z"), EditRefusal::NoMember(z.clone())),
        (remove("a"), EditRefusal::Listed { member: a.clone(), group: g.clone() }),
        (add("g", "z", None), EditRefusal::NoMember(z.clone())),
        (add("h", "a", None), EditRefusal::NoGroup(h.clone())),
        (add("g", "a", None), EditRefusal::InGroup { group: g.clone(), member: a }),
        (add("g", "c", Some(3)), EditRefusal::Position { group: g.clone(), members: 2 }),
        (take("g", "c"), EditRefusal::NotInGroup { group: g, member: "c".into() }),
        (take("h", "c"), EditRefusal::NoGroup(h)),
    ] {
        assert_eq!(edit.apply(&document()), Err(refusal), "{edit:?}");
    }
}

#[test]
fn a_member_must_be_one_that_can_be_reached() {
    let with = |change: fn(&mut Endpoint)| {
        let mut wrong = member("d");
        let Link::Dial(endpoint) = &mut wrong.link else { panic!("a member that is dialled") };
        change(endpoint);
        wrong
    };
    let wrong: [(&str, MemberSpec); 12] = [
        ("no host", with(|e| e.host.clear())),
        ("a host with a space", with(|e| e.host = "a b".into())),
        ("a host in brackets", with(|e| e.host = "[::1]".into())),
        ("a long host", with(|e| e.host = "h".repeat(HOST_BYTES_MAX + 1))),
        ("no port", with(|e| e.port = 0)),
        ("a path without its slash", with(|e| e.path = "openicf".into())),
        ("a path with a line in it", with(|e| e.path = "/a\r\nb".into())),
        ("a principal with a colon", with(|e| e.principal = "a:b".into())),
        ("no key", with(|e| e.key = Secret::new(String::new()))),
        ("a key beyond Latin-1", with(|e| e.key = Secret::new("ключ".into()))),
        ("a long key", with(|e| e.key = Secret::new("k".repeat(CREDENTIAL_BYTES_MAX + 1)))),
        ("rare pings", MemberSpec { ping_interval: Some(Duration::from_secs(60)), ..member("d") }),
    ];
    for (name, member) in wrong {
        let refused = Edit::AddMember(member).apply(&document());
        assert!(matches!(refused, Err(EditRefusal::Member { .. })), "{name}: {refused:?}");
    }
    let ipv6 = with(|e| e.host = "fe80::1%eth0".into());
    assert!(Edit::AddMember(ipv6).apply(&document()).is_ok());
}
