use std::time::Duration;

use super::*;
use crate::agreed::sets::GroupDecision;
use crate::engine::keys::{CallTag, CallerTag};
use crate::engine::tests::parts::{at, keys, view};
use crate::settings::Settings;

const G: GroupId = GroupId(0);
const ANY: Lane = Lane::Any(Among::All);

/// A group of three members that may hold two calls, with a queue of one; all three may serve.
fn table() -> (Groups, view::View) {
    let mut settings = Settings::default();
    (settings.defaults.in_flight_max, settings.defaults.queue_max) = (2, 1);
    let view = view(3).with_settings(&settings);
    let mut groups = Groups::default();
    assert!(groups.follow(&view).is_empty());
    rebuild(&mut groups, &view, &[0, 1, 2]);
    // Each server is a group of one as well.
    while groups.next_stale().is_some() {}
    (groups, view)
}

fn rebuild(groups: &mut Groups, view: &view::View, available: &[u32]) {
    let available: MemberSet = available.iter().map(|id| MemberId(*id)).collect();
    assert_eq!(groups.next_stale(), Some(G));
    groups.rebuild(view.group(G).unwrap(), available.clone(), available, Vec::new(), &StandIns::default());
}

#[test]
fn a_place_that_is_given_back_is_given_to_the_call_that_waits() {
    let (mut groups, _) = table();
    let (calls, caller) = (keys::<CallTag>(3), keys::<CallerTag>(1)[0]);
    groups.take_place(G);
    groups.take_place(G);
    assert!(groups.candidates(G, None).unwrap().is_full());
    groups.take_turns();
    assert_eq!(groups.enqueue(G, ANY, caller, calls[0]), Some(crate::limits::QUEUE_WAIT));
    assert_eq!(groups.enqueue(G, ANY, caller, calls[1]), None, "the queue is full");
    assert!(groups.take_turns().is_empty(), "no place is free");
    groups.give_back(G);
    assert_eq!((groups.take_turns(), groups.take_turns()), (vec![G], vec![]));
    assert_eq!(groups.heads(G), [(ANY, calls[0])]);
    groups.pop(G, ANY);
    groups.forget_idle_queues();
    assert_eq!((groups.queued(G), groups.heads(G)), (0, vec![]));
}

#[test]
fn a_group_that_leaves_the_view_hands_its_waiting_calls_out_and_its_count_survives_until_it_is_back() {
    let (mut groups, view) = table();
    let (calls, caller) = (keys::<CallTag>(1), keys::<CallerTag>(1)[0]);
    groups.take_place(G);
    groups.take_place(G);
    groups.enqueue(G, ANY, caller, calls[0]);
    assert_eq!(groups.follow(&view::View::default()), calls);
    assert!(groups.candidates(G, None).is_none());
    groups.give_back(G);
    groups.follow(&view);
    assert!(!groups.candidates(G, None).unwrap().is_full(), "one of two is left");
    groups.give_back(G);
    rebuild(&mut groups, &view, &[]);
    while groups.next_stale().is_some() {}
    while groups.next_stale_list().is_some() || groups.next_restated().is_some() {}
    groups.take_turns();
    groups.assert_settled(|_| (0, 0));
}

#[test]
fn candidates_are_those_of_the_picker_and_say_why_others_are_none() {
    let (mut groups, view) = table();
    groups.sets_change(G, |sets| sets.members_are(&view.group(G).unwrap().members, at(0)));
    groups.is_stale(G);
    rebuild(&mut groups, &view, &[0, 2]);
    let mut candidates = groups.candidates(G, None).unwrap();
    assert_eq!(candidates.members(), [MemberId(0), MemberId(2)]);
    assert_eq!(candidates.why_not(MemberId(1)), Some(Out::Quarantined), "nobody has told a set");
    let tried: MemberSet = [MemberId(0)].into_iter().collect();
    assert!(candidates.has_other_than(&tried));
    assert_eq!(candidates.pick(&tried, |_| true), Pick::Member(MemberId(2)));
    assert_eq!(candidates.pick(&tried, |_| false), Pick::NoPlace);
    assert!(!candidates.waits_for_another(MemberId(2), &tried), "round robin waits for nobody");
    let all: MemberSet = [MemberId(0), MemberId(2)].into_iter().collect();
    assert!(!candidates.has_other_than(&all));
    assert_eq!(candidates.pick(&all, |_| true), Pick::AllTried);
}

#[test]
fn what_happens_to_sets_is_left_to_be_settled_once() {
    let (mut groups, view) = table();
    let members = &view.group(G).unwrap().members;
    while groups.next_stale_list().is_some() {}
    groups.sets_change(G, |sets| sets.members_are(members, at(0)));
    for member in &members[1..] {
        groups.sets_change(G, |sets| sets.absent(*member, at(0)));
    }
    let infos = crate::engine::tests::world::connector_infos("Rig");
    let wire = Arc::new(WireManifest::read(&infos).unwrap());
    groups.sets_change(G, |sets| sets.wire_seen(members[0], Arc::clone(&wire), at(1)));
    let (id, wish) = groups.next_wish().unwrap();
    assert!(matches!(wish, crate::agreed::sets::SetsChange::AcceptFirst { .. }) && id == G);
    assert!(groups.take_told().is_empty(), "nobody is judged before it is decided");
    let mut decision = GroupDecision::nothing();
    decision.apply(wish, false).unwrap();
    groups.decided(G, &decision, at(1));
    assert_eq!(groups.next_wish(), None);
    assert!(matches!(groups.take_told()[..], [(G, Told::Accepted { from: Some(_), .. })]));
    assert_eq!((groups.next_stale(), groups.next_stale_list()), (Some(G), Some(G)));
    assert!(groups.sets(G).unwrap().may_serve(members[0]));
    groups.sets_change(G, |sets| sets.wire_seen(members[0], wire, at(2)));
    assert_eq!((groups.next_stale(), groups.next_wish()), (None, None), "nothing new, nothing to settle");
}

#[test]
fn a_window_of_latencies_is_looked_at_when_it_is_over() {
    let (mut groups, view) = table();
    assert!(groups.due(at(1_000)).is_empty());
    groups.took(G, MemberId(0), Duration::from_millis(5));
    assert_eq!(groups.due(at(1_000)), [G]);
    assert!(groups.slow_ones(view.group(G).unwrap(), at(1_000)).is_empty());
    assert!(groups.due(at(1_000)).is_empty(), "the next window has begun");
}

/// A caller may ask as often as it likes: the cost of a question must not grow with the groups.
#[test]
fn a_list_of_several_groups_is_made_once_for_each_change() {
    let (mut groups, view) = table();
    while groups.next_stale_list().is_some() {}
    assert!(groups.list_of_several(&Allowed::All).is_none(), "nobody asked yet");
    let lists = vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    let mut merges = 0;
    let mut renew = |groups: &mut Groups, of: &[Bytes]| {
        let merge = |lists: &[Bytes]| {
            merges += 1;
            Some(lists.concat().into())
        };
        let all = groups.renew_list_of_several(&Allowed::All, of.to_vec(), Some(7), merge);
        (all.list.clone().unwrap(), merges)
    };
    assert_eq!(renew(&mut groups, &lists), (Bytes::from_static(b"onetwo"), 1));
    assert_eq!(groups.list_of_several(&Allowed::All).and_then(|all| all.edition), Some(7));
    groups.list_is_stale(G);
    assert!(groups.next_stale_list().is_some());
    assert!(groups.list_of_several(&Allowed::All).is_none(), "a group's list may have changed");
    assert_eq!(renew(&mut groups, &lists).1, 1, "it has not");
    groups.follow(&view);
    assert!(groups.list_of_several(&Allowed::All).is_none(), "the view changed");
    assert_eq!(renew(&mut groups, &lists[..1]), (Bytes::from_static(b"one"), 2));
}
