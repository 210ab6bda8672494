use super::*;

fn member(name: &str) -> MemberSpec {
    MemberSpec {
        name: name.to_owned(),
        link: Link::Dial(Endpoint {
            host: "127.0.0.1".to_owned(),
            port: 8759,
            path: OPENICF_PATH.to_owned(),
            transport: Transport::Plain,
            principal: "anonymous".to_owned(),
            key: Secret::new("hidden-key".to_owned()),
        }),
        sockets: 2,
        ping_interval: Some(Duration::from_secs(2)),
        admin: AdminState::Enabled,
    }
}

fn group(name: &str, members: &[&str]) -> GroupSpec {
    let members = members.iter().map(|m| (*m).to_owned()).collect();
    GroupSpec { name: name.to_owned(), policy: Policy::RoundRobin, members }
}

fn view(members: &[&str], groups: Vec<GroupSpec>) -> Result<View, Vec<ViewError>> {
    View::build(&mut NameBook::new(), members.iter().map(|m| member(m)).collect(), groups)
}

#[test]
fn a_server_no_group_lists_is_a_group_of_one_b02() {
    let view = view(&["n1", "n2", "csv"], vec![group("ha", &["n2", "n1"])]).unwrap();
    let names: Vec<&str> = view.groups().iter().map(|g| g.name.as_str()).collect();
    assert_eq!(names, ["ha", "n1", "n2", "csv"]);
    let meant: Vec<&str> = view.meant_groups().map(|g| g.name.as_str()).collect();
    assert_eq!(meant, ["ha", "csv"], "the others are addresses only");
    let csv = view.group_named("csv").unwrap();
    assert_eq!((csv.origin, csv.members.len()), (GroupOrigin::Standalone, 1));
    let n1 = view.group_named("n1").unwrap();
    assert_eq!((n1.origin, n1.members.len()), (GroupOrigin::Address, 1), "a listed server keeps its address");
    let order: Vec<&str> = view
        .group_named("ha")
        .unwrap()
        .members
        .iter()
        .map(|m| view.member(*m).unwrap().spec.name.as_str())
        .collect();
    assert_eq!(order, ["n2", "n1"], "list order is the order of priority, G04");
}

#[test]
fn a_server_may_be_in_two_groups_c12() {
    let view = view(&["n1", "n2"], vec![group("a", &["n1", "n2"]), group("b", &["n1"])]).unwrap();
    let n1 = view.member_named("n1").unwrap().id;
    assert_eq!(view.groups_of(n1).map(|g| g.name.as_str()).collect::<Vec<_>>(), ["a", "b", "n1"]);
}

#[test]
fn ids_survive_a_change_of_the_document() {
    let mut book = NameBook::new();
    let first = View::build(&mut book, vec![member("n1"), member("n2")], vec![]).unwrap();
    let second = View::build(&mut book, vec![member("n3"), member("n2")], vec![]).unwrap();
    assert_eq!(first.member_named("n2").unwrap().id, second.member_named("n2").unwrap().id);
    assert!(second.member(first.member_named("n1").unwrap().id).is_none());
}

#[test]
fn every_offence_is_named() {
    let mut odd = member("x");
    odd.sockets = 0;
    let members = vec![member("n1"), member("n1"), member("a/b"), odd];
    let groups = vec![group("n1", &["n1"]), group("g", &["n1", "n9", "n1"]), group("g", &[])];
    let found = View::build(&mut NameBook::new(), members, groups).unwrap_err();
    let n1 = || "n1".to_owned();
    let g = || "g".to_owned();
    for expected in [
        ViewError::TwoMembers(n1()),
        ViewError::BadName("a/b".to_owned()),
        ViewError::Sockets { member: "x".to_owned(), sockets: 0 },
        ViewError::GroupAndMember(n1()),
        ViewError::UnknownMember { group: g(), member: "n9".to_owned() },
        ViewError::ListedTwice { group: g(), member: n1() },
        ViewError::TwoGroups(g()),
    ] {
        assert!(found.contains(&expected), "{expected} not in {found:?}");
    }
}

#[test]
fn paths_select_groups() {
    let view = view(&["n1", "größe"], vec![]).unwrap();
    let n1 = PathTarget::Group(view.group_named("n1").unwrap().id);
    let odd = view.group_named("größe").unwrap();
    for (target, expected) in [
        ("/openicf", PathTarget::AnyGroup),
        ("/openicf/", PathTarget::AnyGroup),
        ("/openicf/n1", n1.clone()),
        ("/openicf/n1/", n1),
        ("/openicf/größe", PathTarget::Group(odd.id)),
        ("/openicf/N1", PathTarget::UnknownGroup("N1".to_owned())),
        ("/openicf/n1/x", PathTarget::UnknownGroup("n1/x".to_owned())),
        ("/openicf/%6e1", PathTarget::UnknownGroup("%6e1".to_owned())),
        ("/openicfx", PathTarget::NotOpenIcf),
        ("/", PathTarget::NotOpenIcf),
        ("", PathTarget::NotOpenIcf),
    ] {
        assert_eq!(view.path_target(target), expected, "{target}");
    }
    assert_eq!(odd.path(), "/openicf/gr%C3%B6%C3%9Fe");
}

#[test]
fn a_context_path_may_stand_before_the_path() {
    let mut settings = Settings::default();
    settings.router.context_path = "/base".to_owned();
    let view = view(&["n1"], vec![]).unwrap().with_settings(&settings);
    let n1 = PathTarget::Group(view.group_named("n1").unwrap().id);
    for (target, expected) in [
        ("/base/openicf", PathTarget::AnyGroup),
        ("/base/openicf/n1", n1.clone()),
        ("/openicf/n1", n1),
        ("/base/openicf/n2", PathTarget::UnknownGroup("n2".to_owned())),
        ("/base", PathTarget::NotOpenIcf),
        ("/base/base/openicf", PathTarget::NotOpenIcf),
        ("/baseopenicf", PathTarget::NotOpenIcf),
    ] {
        assert_eq!(view.path_target(target), expected, "{target}");
    }
}

#[test]
fn a_view_never_shows_keys_p9() {
    let text = format!("{:?}", view(&["n1"], vec![]).unwrap());
    assert!(!text.contains("hidden-key"), "{text}");
}

fn client(name: &str) -> MemberSpec {
    MemberSpec { link: Link::Accept, ..member(name) }
}

fn names(view: &View, group: &str) -> Vec<String> {
    let members = &view.group_named(group).unwrap().members;
    members.iter().map(|id| view.member(*id).unwrap().spec.name.clone()).collect()
}

#[test]
fn each_host_of_a_server_in_client_mode_is_a_member_p03() {
    let members = [member("s"), client("onprem"), client("alone")];
    let groups = [group("g", &["s", "onprem"])];
    let hosts: Hosts = [("onprem".to_owned(), 3), ("s".to_owned(), 2), ("nobody".to_owned(), 2)].into();
    View::check(&members, &groups, &hosts).unwrap();
    let view = View::assemble_all(&mut NameBook::new(), &members, &groups, &hosts).unwrap();
    assert_eq!(names(&view, "g"), ["s", "onprem", "onprem@2", "onprem@3"], "a server that is dialled is one");
    assert_eq!(names(&view, "onprem"), ["onprem", "onprem@2", "onprem@3"]);
    assert_eq!(view.group_named("onprem").unwrap().policy, Policy::RoundRobin);
    assert_eq!(names(&view, "alone"), ["alone"]);
    assert!(view.group_named("onprem@2").is_none(), "a host has no address of its own");
    let first = view.member_named("onprem").unwrap().id;
    assert_eq!(view.hosts_of(first).len(), 3);
    assert_eq!(view.hosts_of(view.member_named("alone").unwrap().id), []);
    assert_eq!(view.hosts_of(view.member_named("onprem@2").unwrap().id), []);
}

#[test]
fn hosts_count_as_members_and_their_names_belong_to_nobody_else() {
    let twice = View::check(&[client("a"), client("a@2")], &[], &[("a".to_owned(), 2)].into()).unwrap_err();
    assert!(twice.contains(&ViewError::TwoMembers("a@2".to_owned())), "{twice:?}");
    assert_eq!(View::check(&[client("a"), client("a@2")], &[], &Hosts::new()), Ok(()));
    // Whatever another router says, a name has no more hosts than the bound.
    let many: Hosts = [("a".to_owned(), u32::MAX)].into();
    let view = View::assemble_all(&mut NameBook::new(), &[client("a")], &[], &many).unwrap();
    assert_eq!(view.members().len() as u32, crate::limits::HOSTS_PER_NAME_MAX);
}

#[test]
fn only_a_name_as_it_is_written_is_that_of_a_host() {
    let hosts: Hosts = [("a".to_owned(), 3), ("s".to_owned(), 3)].into();
    for (name, is_host) in [
        ("a@2", true),
        ("a@3", true),
        ("a", false),
        ("a@1", false),
        ("a@4", false),
        ("a@02", false),
        ("a@+2", false),
        ("b@2", false),
    ] {
        assert_eq!(hosts::is_further_host(name, &client("a"), &hosts), is_host, "{name}");
    }
    assert!(!hosts::is_further_host("s@2", &member("s"), &hosts), "the router dials s");
}
