//! Routers of a cluster: what is wished is proposed, and followed once the log has it. Calls never wait for the log (P7).

use std::time::Duration;

use super::bundles::require_agent;
use super::world::*;
use crate::agreed::marks::{LastMember, MarkChange, MarkRefusal};
use crate::agreed::sets::{BundleChange, BundleRefusal, ProposedSet, SetsChange};
use crate::agreed::{Agreed, At, Author, Change, Done};
use crate::balance::Policy;
use crate::bundles::group::Refused;
use crate::engine::*;
use crate::limits::{CHANGES_ASKED_MAX, FIRST_USE_WAIT, PROPOSAL_AGAIN};
use crate::settings::Settings;
use crate::view::Mark;

/// The tickets of each router begin anew, as those of processes do.
const TICKET: Ticket = Ticket(1);

impl World {
    /// A router of a cluster, with so many members that are down.
    pub(super) fn in_cluster(router: u16, members: usize, policy: Policy) -> Self {
        let now = rcs_proto::time::Moment::after_start(Duration::from_secs(1_000));
        let own_seed = [u64::from(router), 0];
        let start = Start { router, own_seed, deciding: Deciding::Together, ..start_at(now) };
        Self::starting(start, members, policy)
    }

    /// What the operators' clock shows.
    pub(super) fn at(&self) -> At {
        self.start.epoch.after(self.now)
    }

    /// The same, with all members up and their set accepted by the log.
    fn in_cluster_up(members: usize, policy: Policy) -> Self {
        let mut world = Self::in_cluster(1, members, policy);
        for member in 0..members {
            world.start(member);
        }
        world.log_takes_all();
        assert_eq!(world.standings(), vec!["matching"; members]);
        world
    }

    /// The log has this proposal of the router's own.
    pub(super) fn log_takes(&mut self, proposal: Proposal) {
        let Proposal { ticket, change, author } = proposal;
        let at = self.at();
        self.apply(Event::Agreed { change, author, at, ticket });
    }

    /// The log has this proposal of another router.
    fn log_has(&mut self, proposal: &Proposal) {
        self.log_takes(Proposal { ticket: None, ..proposal.clone() });
    }

    /// The log has all that the router proposed, in order.
    pub(super) fn log_takes_all(&mut self) {
        while !self.io.proposals.is_empty() {
            let proposal = self.io.proposals.remove(0);
            self.log_takes(proposal);
        }
    }

    fn wishes_mark(&mut self, ticket: Ticket, member: &str, change: MarkChange) {
        let wish = Wish::Mark { group: "g".into(), member: member.into(), change, last: LastMember::Kept };
        self.apply(Event::Operator { ticket, wish });
    }

    pub(super) fn wishes_set(&mut self, ticket: Ticket, change: BundleChange) {
        let wish = Wish::Bundles { group: "g".into(), change, last: LastMember::Released };
        self.apply(Event::Operator { ticket, wish });
    }

    fn mark_of(&self, index: usize) -> Mark {
        self.engine.view().member_named(&format!("n{index}")).unwrap().mark
    }

    /// A call to the group is answered by a member.
    fn is_served(&mut self, caller: rcs_proto::session::SocketId, id: i64) {
        self.call(caller, id, get());
        let (_, socket, at_member) = self.only_request();
        self.feed(socket, answer(at_member));
        assert_eq!(self.at_caller(&[caller]).len(), 1);
    }

    /// What was proposed since the last look for the sets of the group `g`, and not of the groups that its servers are.
    fn proposals_of_group(&mut self) -> Vec<Proposal> {
        let of_group =
            |proposal: &Proposal| matches!(&proposal.change, Change::Sets { group, .. } if group == "g");
        std::mem::take(&mut self.io.proposals).into_iter().filter(of_group).collect()
    }

    /// The same, as sets.
    fn proposed_sets(&mut self) -> Vec<SetsChange> {
        let sets = self.proposals_of_group().into_iter().filter_map(|proposal| match proposal.change {
            Change::Sets { change, .. } => Some(change),
            _ => None,
        });
        sets.collect()
    }
}

#[test]
fn a_mark_is_in_force_once_the_log_has_it_and_is_answered_once() {
    let mut world = World::in_cluster_up(2, Policy::Failover);
    world.wishes_mark(TICKET, "n0", MarkChange::Drain);
    assert_eq!((world.mark_of(0), world.io.answers.len()), (Mark::Enabled, 0));
    let proposal = world.io.proposals.pop().unwrap();
    let change = Change::Mark { member: "n0".into(), mark: Mark::Draining };
    assert_eq!(proposal, Proposal { ticket: Some(TICKET), change, author: Author::Operator });
    let at = At(5);
    let Proposal { change, author, ticket } = proposal;
    let event = Event::Agreed { change, author, at, ticket };
    world.apply(event.clone());
    assert_eq!(world.mark_of(0), Mark::Draining);
    assert_eq!(world.engine.agreed().last().unwrap().at, at, "the moment is the log's");
    world.apply(event);
    world.apply(Event::NotAgreed { ticket: TICKET, reason: "late".into() });
    assert_eq!(world.io.answers, [(TICKET, Answer::Marked(Ok(())))]);
    world.assert_replays();
}

#[test]
fn what_this_router_sees_to_be_wrong_is_not_proposed() {
    let mut world = World::in_cluster_up(1, Policy::Failover);
    world.wishes_mark(TICKET, "n0", MarkChange::Drain);
    world.wishes_set(Ticket(2), BundleChange::Commit);
    let [(TICKET, Answer::Marked(Err(MarkRefusal::LastOne { .. }))), (_, set)] = &world.io.answers[..] else {
        panic!("{:?}", world.io.answers)
    };
    assert_eq!(*set, Answer::Bundles(Err(BundleRefusal::Refused(Refused::NothingProposed))));
    assert!(world.io.proposals.is_empty());
}

#[test]
fn a_proposal_that_is_not_agreed_is_answered_with_the_reason_and_may_still_come() {
    let mut world = World::in_cluster_up(2, Policy::Failover);
    world.wishes_mark(TICKET, "n0", MarkChange::Drain);
    let set = Ticket(2);
    world.wishes_set(set, BundleChange::Pin(ProposedSet::Of("n0".into())));
    let reason = "no quorum: start the other routers, then repeat the command";
    for ticket in [TICKET, set] {
        world.apply(Event::NotAgreed { ticket, reason: reason.into() });
    }
    let (mark, sets) = (MarkRefusal::NotAgreed(reason.into()), BundleRefusal::NotAgreed(reason.into()));
    assert!(mark.to_string().ends_with(reason) && sets.to_string().ends_with(reason));
    let expected = [(TICKET, Answer::Marked(Err(mark))), (set, Answer::Bundles(Err(sets)))];
    assert_eq!(world.io.answers, expected);
    assert_eq!(world.mark_of(0), Mark::Enabled);
    // The leader had both in its log when it was lost.
    world.log_takes_all();
    assert_eq!(world.mark_of(0), Mark::Draining);
    assert_eq!(world.io.answers, expected);
}

#[test]
fn a_change_that_came_with_a_restored_state_is_answered_with_success() {
    let mut world = World::in_cluster_up(2, Policy::Failover);
    world.wishes_mark(TICKET, "n0", MarkChange::Drain);
    let mut ahead = world.engine.agreed().clone();
    let change = Change::Mark { member: "n0".into(), mark: Mark::Draining };
    assert_eq!(ahead.apply(change, Author::Operator, At(5)), Ok(Done::Changed));
    world.apply(Event::Restored(Box::new(ahead)));
    for _ in 0..2 {
        world.apply(Event::Included { ticket: TICKET });
    }
    assert_eq!(world.mark_of(0), Mark::Draining);
    assert_eq!(world.io.answers, [(TICKET, Answer::Marked(Ok(())))]);
}

#[test]
fn what_another_router_proposed_is_followed_and_not_answered() {
    let (mut one, mut other) =
        (World::in_cluster_up(2, Policy::Failover), World::in_cluster_up(2, Policy::Failover));
    one.wishes_mark(TICKET, "n0", MarkChange::Drain);
    other.wishes_mark(TICKET, "n0", MarkChange::Disable);
    let [first, second] = [&mut one, &mut other].map(|world| world.io.proposals.pop().unwrap());
    other.log_has(&first);
    assert_eq!((other.mark_of(0), other.io.answers.len()), (Mark::Draining, 0));
    one.log_takes(first);
    one.log_has(&second);
    other.log_takes(second);
    assert_eq!((one.mark_of(0), other.mark_of(0)), (Mark::Disabled, Mark::Disabled));
    assert_eq!(one.engine.agreed(), other.engine.agreed());
    for world in [&one, &other] {
        assert_eq!(world.io.answers, [(TICKET, Answer::Marked(Ok(())))]);
    }
}

#[test]
fn the_slower_of_two_operators_is_refused_by_the_log() {
    let mut worlds = [1, 2].map(|_| {
        let mut world = World::in_cluster_up(2, Policy::Failover);
        world.kill(1);
        world.start_with(1, infos_at(CONNECTOR, "1.1"));
        world.wishes_set(
            TICKET,
            BundleChange::Propose { what: ProposedSet::Of("n1".into()), stand_ins: None },
        );
        world
    });
    let [first, second] = worlds.each_mut().map(|world| world.io.proposals.pop().unwrap());
    worlds[0].log_takes(first.clone());
    worlds[0].log_has(&second);
    worlds[1].log_has(&first);
    worlds[1].log_takes(second);
    assert_eq!(worlds[0].io.answers, [(TICKET, Answer::Bundles(Ok(())))]);
    let refused = BundleRefusal::Refused(Refused::AlreadyProposed);
    assert_eq!(worlds[1].io.answers, [(TICKET, Answer::Bundles(Err(refused)))]);
    assert_eq!(worlds[0].engine.agreed(), worlds[1].engine.agreed());
}

#[test]
fn operators_who_wait_are_bounded() {
    let mut world = World::in_cluster_up(2, Policy::Failover);
    for ticket in 0..CHANGES_ASKED_MAX as u64 {
        world.wishes_mark(Ticket(ticket), "n0", MarkChange::Drain);
    }
    assert!(world.io.answers.is_empty());
    world.wishes_mark(Ticket(9_999), "n0", MarkChange::Drain);
    let [(Ticket(9_999), Answer::Marked(Err(MarkRefusal::NotAgreed(reason))))] = &world.io.answers[..] else {
        panic!("{:?}", world.io.answers)
    };
    assert!(reason.contains("Repeat the command later"), "{reason}");
    assert_eq!(world.io.proposals.len(), CHANGES_ASKED_MAX);
}

/// Two routers met other members first. The first proposal in the log wins, and both serve what it says.
#[test]
fn the_first_bundle_set_in_the_log_is_the_set_of_all_routers() {
    let mut worlds = [(1, ["1.0", "1.1"]), (2, ["1.1", "1.0"])].map(|(router, versions)| {
        let mut world = World::in_cluster(router, 2, Policy::Failover);
        world.watches_sets = true;
        let caller = world.caller("idm", 1)[0];
        world.refuse(1);
        world.start_with(0, infos_at(CONNECTOR, versions[0]));
        world.start_with(1, infos_at(CONNECTOR, versions[1]));
        world.pass(FIRST_USE_WAIT);
        assert_eq!(world.standings(), ["unknown"; 2], "no set is accepted yet");
        world.call(caller, 1, get());
        assert!((0..2).all(|member| world.at_member(member).is_empty()), "so nobody serves");
        world
    });
    let proposals = worlds.each_mut().map(|world| {
        // The proposal was made again meanwhile.
        let proposals = world.proposals_of_group();
        assert!(proposals.iter().all(|other| *other == proposals[0]), "{proposals:?}");
        proposals[0].clone()
    });
    assert_ne!(proposals[0], proposals[1]);
    for (router, world) in worlds.iter_mut().enumerate() {
        for (of, proposal) in proposals.iter().enumerate() {
            if of == router { world.log_takes(proposal.clone()) } else { world.log_has(proposal) }
        }
        world.pass(Duration::from_secs(1));
        assert_eq!(world.proposed_sets(), []);
    }
    assert_eq!(worlds[0].engine.agreed(), worlds[1].engine.agreed());
    assert_eq!(worlds[0].bundles().accepted, worlds[1].bundles().accepted);
    assert_eq!(worlds[0].standings(), ["matching", "quarantined"]);
    assert_eq!(worlds[1].standings(), ["quarantined", "matching"]);
    worlds.iter().for_each(World::assert_replays);
}

#[test]
fn a_lost_proposal_is_made_again_after_a_while_and_a_settled_engine_makes_none() {
    let mut world = World::in_cluster(1, 2, Policy::Failover);
    world.start(0);
    world.start(1);
    world.pass(PROPOSAL_AGAIN);
    let first = world.proposed_sets().split_off(1);
    assert_eq!(first.len(), 1);
    for _ in 0..100 {
        world.tell_unasked(0);
        world.pass(Duration::from_millis(10));
    }
    assert_eq!(world.proposed_sets(), []);
    world.pass(PROPOSAL_AGAIN);
    assert_eq!(world.proposed_sets(), first);
    world.pass(10 * PROPOSAL_AGAIN);
    let again = world.proposals_of_group();
    assert!((9..=10).contains(&again.len()), "one at a time: {again:?}");
    world.log_takes(again[0].clone());
    assert_eq!(world.standings(), ["matching"; 2]);
    world.pass(10 * PROPOSAL_AGAIN);
    for _ in 0..100 {
        world.tell_unasked(1);
    }
    assert_eq!(world.proposed_sets(), []);
    world.assert_replays();
}

/// A refusal ends the wait: what the group wishes next is proposed at once.
#[test]
fn an_overtaken_proposal_is_over() {
    let mut world = World::in_cluster(1, 2, Policy::Failover);
    world.set(&require_agent());
    world.start(0);
    world.start(1);
    world.reported("n0", b"one");
    world.reported("n1", b"one");
    let proposal = world.proposals_of_group().pop().unwrap();
    let Change::Sets { group, change: SetsChange::AcceptFirst { set, content } } = proposal.change.clone()
    else {
        panic!("{proposal:?}")
    };
    // A router that compares no files yet was faster.
    let wire = crate::bundles::group::SetDigest { files: None, ..set };
    let change = SetsChange::AcceptFirst { set: wire, content };
    world.log_has(&Proposal { ticket: None, change: Change::Sets { group, change }, author: Author::Router });
    assert_eq!(world.proposed_sets(), [SetsChange::LearnFiles { set }]);
    // Until the files are decided, the connectors alone are compared.
    assert_eq!(world.standings(), ["matching"; 2]);
    world.log_takes(proposal);
    assert_eq!(world.proposed_sets(), [], "its refusal changes nothing");
}

/// The group waits for a decision, and still no call begins at a member that drifts (P5).
#[test]
fn a_member_that_drifts_is_out_although_a_decision_is_awaited() {
    let mut world = World::in_cluster_up(2, Policy::Failover);
    world.set(&require_agent());
    world.reported("n0", b"one");
    world.reported("n1", b"one");
    assert!(matches!(world.proposed_sets()[..], [SetsChange::LearnFiles { .. }]));
    world.lists[1] = infos_at(CONNECTOR, "1.1");
    world.tell_unasked(1);
    assert_eq!(world.standings(), ["matching", "quarantined"]);
}

/// Without a quorum a group of one whose member was upgraded is served all the same. That is no news until it is decided.
#[test]
fn the_only_member_of_a_group_serves_while_its_new_set_is_not_decided() {
    let mut world = World::in_cluster_up(1, Policy::Failover);
    world.watches_sets = true;
    let caller = world.caller("idm", 1)[0];
    world.io.notes.clear();
    world.kill(0);
    world.start_with(0, infos_at(CONNECTOR, "1.1"));
    assert_eq!(world.standings(), ["kept"]);
    world.call(caller, 1, super::versions::of("1.1", get()));
    world.only_request();
    let told = world.io.notes.iter().filter(|note| note.starts_with("Bundles")).collect::<Vec<_>>();
    assert!(told.is_empty(), "{told:?}");
    let [first] = &world.proposals_of_group()[..] else { panic!("one proposal") };
    world.log_takes(first.clone());
    assert_eq!(world.standings(), ["matching"]);
    // Two routers that see different sets of the one member must not write to the log in turns without a pause.
    world.lists[0] = infos_at(CONNECTOR, "1.2");
    world.tell_unasked(0);
    assert_eq!((world.standings(), world.proposed_sets()), (vec!["kept"], vec![]));
    world.pass(PROPOSAL_AGAIN + Duration::from_millis(250));
    assert_eq!(world.proposed_sets().len(), 1);
}

#[test]
fn a_restored_snapshot_is_followed_and_what_the_router_sees_stays() {
    let mut world = World::in_cluster_up(3, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    world.call(caller, 1, get());
    let (member, socket, id) = world.only_request();
    assert_eq!(member, 0);
    let sessions: Vec<_> = (0..3).map(|member| world.report_of(member).sockets).collect();
    // What the other routers decided meanwhile.
    let mut ahead = world.engine.agreed().clone();
    let change = |change| Change::Sets { group: "g".into(), change };
    let set = super::bundles::set("1.1");
    let mut settings = Settings::default();
    settings.defaults.queue_max = 77;
    for change in [
        Change::Mark { member: "n0".into(), mark: Mark::Draining },
        change(SetsChange::Propose { set, stand_ins: None }),
        Change::Configured { document: None, settings: Some(Box::new(settings)) },
    ] {
        ahead.apply(change, Author::Operator, At(9)).unwrap();
    }
    let effects = world.io.effects.len();
    world.apply(Event::Restored(Box::new(ahead.clone())));
    assert_eq!(*world.engine.agreed(), ahead);
    assert_eq!((world.mark_of(0), world.bundles().next), (Mark::Draining, Some(set)));
    assert_eq!(world.engine.view().groups()[0].settings.queue_max, 77);
    assert_eq!((0..3).map(|member| world.report_of(member).sockets).collect::<Vec<_>>(), sessions);
    assert!(!world.io.effects[effects..].iter().any(|effect| effect.starts_with("close")));
    assert_eq!(world.standings(), ["matching"; 3], "nobody reports anew");
    world.feed(socket, answer(id));
    assert_eq!(world.at_caller(&[caller]).len(), 1, "the call in flight ends as it would");
    world.call(caller, 2, get());
    let (member, ..) = world.only_request();
    assert_eq!(member, 1);
    let effects = world.io.effects.len();
    world.apply(Event::Restored(Box::new(ahead)));
    assert_eq!(world.io.effects.len(), effects, "the same again is nothing");
    world.assert_replays();
}

/// A cluster that was restored by hand may know less than this router.
#[test]
fn a_restored_snapshot_may_take_decisions_back() {
    let mut world = World::in_cluster(1, 2, Policy::Failover);
    let before: Agreed = world.engine.agreed().clone();
    world.start(0);
    world.start(1);
    world.log_takes_all();
    world.apply(Event::Restored(Box::new(before)));
    assert_eq!(world.standings(), ["unknown"; 2]);
    world.pass(PROPOSAL_AGAIN + Duration::from_millis(250));
    world.log_takes_all();
    assert_eq!(world.standings(), ["matching"; 2]);
}

/// P7.
#[test]
fn calls_are_served_although_the_log_says_nothing() {
    let mut world = World::in_cluster_up(2, Policy::RoundRobin);
    world.watches_sets = true;
    let caller = world.caller("idm", 1)[0];
    world.wishes_mark(TICKET, "n0", MarkChange::Drain);
    for id in 1..=1_000 {
        if id == 300 {
            world.kill(1);
        }
        if id == 600 {
            world.start(1);
        }
        world.is_served(caller, id);
    }
    assert!(world.io.answers.is_empty());
    assert_eq!(world.io.proposals.len(), 1, "the mark");
}

#[test]
fn ids_of_calls_name_the_router_that_took_them() {
    let mut world = World::in_cluster(3, 1, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    world.call(caller, 1, get());
    world.pass(Duration::from_mins(1));
    let text = &error_of(&world.at_caller(&[caller])[0]).message.clone();
    assert!(text.contains("call 3-"), "{text}");
}
