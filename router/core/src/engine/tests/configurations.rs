//! Configurations that members are lost with, or that hang (P3, G17, P5, X02).

use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::{Envelope, Kind};
use rcs_proto::frames;
use rcs_proto::messages::OperationRequest;
use rcs_proto::operation::Operation;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::ids::ConfigurationId;
use crate::limits;

const BAD: &[u8] = b"csvFile=/dev/zero";

/// A call with this configuration. `World::call` uses another one.
fn call_with(world: &mut World, socket: SocketId, id: i64, facade: &'static [u8], request: OperationRequest) {
    let request = OperationRequest {
        connector_key: Some(messages_key(CONNECTOR)),
        connector_facade_key: Bytes::from_static(facade),
        ..request
    };
    world.feed(socket, frames::operation(id, &request));
}

/// The requests with a configuration that wait at members, `test`s included: member, socket, frame.
fn requests(world: &mut World, facade: &[u8]) -> Vec<(usize, SocketId, Envelope)> {
    let mut found = Vec::new();
    for member in 0..world.members.len() {
        for socket in world.members[member].clone() {
            for frame in world.io.sent.get(&socket).into_iter().flatten() {
                let envelope = Envelope::parse(frame.clone()).unwrap();
                if matches!(&envelope.kind, Kind::Operation(head) if head.facade_key == facade) {
                    found.push((member, socket, envelope));
                }
            }
        }
    }
    found
}

/// Ends every member that has a request with this configuration. Returns how many members were ended.
fn kill_those_with(world: &mut World, facade: &[u8]) -> usize {
    let mut hit: Vec<usize> = requests(world, facade).into_iter().map(|(member, ..)| member).collect();
    hit.dedup();
    for member in &hit {
        world.kill(*member);
    }
    hit.len()
}

/// Answers the calls that wait at members, except those with the bad configuration.
fn serve(world: &mut World) {
    for member in 0..world.members.len() {
        for (socket, envelope) in world.at_member(member) {
            match &envelope.kind {
                Kind::Operation(head) if head.facade_key == BAD => {
                    world.io.sent.entry(socket).or_default().push_back(envelope.frame().clone());
                }
                Kind::Operation(_) => world.feed(socket, answer(envelope.message_id)),
                _ => {}
            }
        }
    }
}

fn noted(world: &World, word: &str) -> usize {
    world.io.notes.iter().filter(|note| note.starts_with(word)).count()
}

/// A search with a configuration that ends every member that meets it, beside a steady caller. Members are started again at once.
#[test]
fn a_poison_configuration_takes_two_members_and_no_third_and_nobody_else_pays() {
    let mut world = World::with_members(4, Policy::RoundRobin);
    let steady = world.caller("steady idm", 1);
    let bad = world.caller("bad idm", 1);
    for id in 1..=8 {
        world.call(steady[0], id, get());
        serve(&mut world);
    }
    call_with(&mut world, bad[0], 1, BAD, search());
    let (mut killed, mut id) = (0, 100);
    for _ in 0..40 {
        // When a member is lost, reads of the steady caller are at every member.
        for _ in 0..8 {
            id += 1;
            world.call(steady[0], id, get());
        }
        killed += kill_those_with(&mut world, BAD);
        serve(&mut world);
        world.pass(Duration::from_millis(500));
        for member in 0..4 {
            if world.members[member].is_empty() {
                world.starts[member] += 1;
                world.connect_and_tell(member, connector_infos(CONNECTOR));
            }
        }
        serve(&mut world);
    }
    assert_eq!(killed, usize::from(limits::POISON_LOSSES_MAX));
    let told = world.at_caller(&bad);
    assert!(error_of(&told[0]).message.contains("not sent to another"), "{told:?}");
    let answers = world.at_caller(&steady);
    assert!(
        answers.iter().all(|got| matches!(got.kind, Kind::Answer(_))),
        "an innocent call failed: {answers:?}"
    );
    assert_eq!(answers.len(), 8 + 40 * 8);
    assert!(requests(&mut world, BAD).is_empty(), "no member is tested with it");
    assert_eq!((noted(&world, "ConfigurationQuarantined"), noted(&world, "ConfigurationReleased")), (1, 0));

    // Calls with the configuration are refused at once, with a sentence, whoever sends them.
    call_with(&mut world, steady[0], 999, BAD, get());
    let told = world.at_caller(&steady);
    let report = &world.engine.quarantined(world.now)[0];
    let text = &error_of(&told[0]).message;
    for part in ["b/1.0/Rig", "n0, n1", "did not run this get", "ends in", &report.id.to_string()] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("csvFile"));
    assert_eq!((report.members.len(), report.times, report.refused), (2, 1, 1));
    let latest = world.engine.explained_calls(1)[0];
    let step = &world.engine.explanation(latest, world.now).unwrap().steps[0];
    assert_eq!(step.fault, format!("configuration_quarantined (configuration {})", report.id));
    assert_eq!(world.engine.report().quarantined, 1);

    // After its time the configuration gets one more try, and is then quarantined for longer.
    world.pass(limits::QUARANTINE_BASE);
    assert_eq!(noted(&world, "ConfigurationReleased"), 1);
    call_with(&mut world, bad[0], 2, BAD, search());
    assert_eq!(kill_those_with(&mut world, BAD), 1);
    world.pass(limits::POISON_PROOF_WAIT + limits::TICK);
    assert!(requests(&mut world, BAD).is_empty());
    assert!(error_of(&world.at_caller(&bad)[0]).message.contains("has quarantined the configuration"));
    assert_eq!(world.engine.quarantined(world.now)[0].times, 2);
}

/// One poisonous call of a configuration that otherwise works: the call is failed, and the configuration is not quarantined.
#[test]
fn a_configuration_whose_calls_are_answered_is_not_quarantined_for_one_bad_call() {
    let mut world = World::with_members(4, Policy::Failover);
    let caller = world.caller("idm", 1);
    for id in 0..3 {
        world.call(caller[0], 10 * id + 1, get());
        let (first, ..) = world.only_request();
        world.kill(first);
        let (second, ..) = world.only_request();
        world.call(caller[0], 10 * id + 2, get());
        let (_, socket, at_member) = world.only_request();
        world.feed(socket, answer(at_member));
        world.kill(second);
        world.pass(limits::POISON_PROOF_WAIT + limits::TICK);
        let got = world.at_caller(&caller);
        let poisoned = got.iter().find(|got| got.message_id == 10 * id + 1).unwrap();
        assert!(error_of(poisoned).message.contains("not sent to another"));
        for member in [first, second] {
            world.start(member);
        }
        world.call(caller[0], 10 * id + 3, get());
        serve(&mut world);
    }
    assert!(world.engine.quarantined(world.now).is_empty());
}

/// A call that moves beside the bad one from the first lost member to the second is innocent.
#[test]
fn a_read_that_was_at_both_lost_members_beside_the_bad_one_is_answered() {
    let mut world = World::with_members(4, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    serve(&mut world);
    world.at_caller(&caller);
    world.call(caller[0], 2, get());
    call_with(&mut world, caller[0], 3, BAD, search());
    world.kill(0);
    assert_eq!(requests(&mut world, BAD)[0].0, 1);
    world.kill(1);
    serve(&mut world);
    let got = world.at_caller(&caller);
    assert_eq!((got.len(), got[0].message_id), (1, 2), "{got:?}");
    assert!(matches!(got[0].kind, Kind::Answer(_)));
}

#[test]
fn a_new_call_waits_while_the_processes_may_live_and_goes_on_if_they_do() {
    let mut world = World::with_members(3, Policy::Failover);
    let caller = world.caller("idm", 1);
    call_with(&mut world, caller[0], 1, BAD, create());
    world.kill(0);
    world.pass(Duration::from_millis(10));
    call_with(&mut world, caller[0], 2, BAD, create());
    world.kill(1);
    let got = world.at_caller(&caller);
    assert!(got.iter().all(|got| error_of(got).message.starts_with("Outcome unknown")) && got.len() == 2);
    call_with(&mut world, caller[0], 3, BAD, get());
    call_with(&mut world, caller[0], 4, BAD, create());
    assert!(requests(&mut world, BAD).is_empty() && world.at_caller(&caller).is_empty(), "both wait");
    // The network was to blame: the processes live.
    world.connect_and_tell(0, connector_infos(CONNECTOR));
    world.pass(limits::TICK);
    let sent = requests(&mut world, BAD);
    assert_eq!(sent.len(), 2);
    assert!(world.engine.quarantined(world.now).is_empty());
}

#[test]
fn a_call_that_was_given_up_is_a_suspect_like_one_that_waits() {
    let mut world = World::with_members(3, Policy::Failover);
    let caller = world.caller("idm", 1);
    for id in 1..=2 {
        call_with(&mut world, caller[0], id, BAD, search());
        world.pass(Duration::from_millis(100));
        world.feed(caller[0], frames::cancel(id));
        world.pass(Duration::from_millis(100));
        let (member, ..) = requests(&mut world, BAD)[0];
        world.kill(member);
        world.pass(Duration::from_millis(10));
    }
    world.pass(limits::POISON_PROOF_WAIT + limits::TICK);
    assert_eq!(world.engine.quarantined(world.now).len(), 1);
    // An operator may release the configuration.
    let id = world.engine.quarantined(world.now)[0].id;
    let ask = |id| move |ticket| Event::Operator { ticket, wish: Wish::Release(id) };
    assert_eq!(world.ask(ask(ConfigurationId(7))), Answer::Released(Err(NotQuarantined(ConfigurationId(7)))));
    assert_eq!(world.ask(ask(id)), Answer::Released(Ok(())));
    call_with(&mut world, caller[0], 9, BAD, get());
    assert_eq!(requests(&mut world, BAD).len(), 1);
}

/// A member may hold a `test` for ever. The member gets no second `test` of this configuration, while other configurations have their
/// turns. The member is out of rotation as if each turn had been tested.
#[test]
fn a_test_that_hangs_is_not_repeated_at_its_member_and_counts_as_failed() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    serve(&mut world);
    let tests = |world: &mut World| {
        let all = requests(world, b"facade");
        let tests = all.into_iter().filter(|(member, _, envelope)| {
            *member == 0
                && matches!(&envelope.kind, Kind::Operation(head) if head.operation == Operation::Test)
        });
        tests.map(|(_, socket, envelope)| (socket, envelope.message_id)).collect::<Vec<_>>()
    };
    world.hangs_in_tests = vec![0];
    world.pass(limits::TEST_PROBE_EVERY * 20);
    let hanging = tests(&mut world);
    assert_eq!(hanging.len(), 1, "one unanswered test");
    assert_eq!(world.report_of(0).unfit, Some("test_failing"));
    let cancelled = world.at_member(0).iter().any(|(_, got)| matches!(got.kind, Kind::Cancel));
    assert!(cancelled, "the member is asked to give it up");
    // Another configuration is tested meanwhile.
    call_with(&mut world, caller[0], 2, b"another", get());
    serve(&mut world);
    world.hangs_in_tests.clear();
    let answered = world.tests_answered;
    world.io.sent.values_mut().for_each(|frames| {
        frames.retain(|frame| Envelope::parse(frame.clone()).unwrap().message_id != hanging[0].1);
    });
    world.pass(limits::TEST_PROBE_EVERY * 3);
    assert!(world.tests_answered > answered);
    assert!(tests(&mut world).is_empty(), "still none with the configuration that hangs");
    // Once the `test` is answered, the configuration has its turn again, and the member comes back.
    world.feed(hanging[0].0, answer(hanging[0].1));
    world.pass(limits::TEST_PROBE_EVERY * (limits::PROBE_RISE + 1) * 2);
    assert!(world.report_of(0).takes_calls(), "{:?}", world.report_of(0));
}

#[test]
fn a_test_that_hangs_ends_with_its_session() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, get());
    serve(&mut world);
    world.hangs_in_tests = vec![0];
    world.pass(limits::TEST_PROBE_EVERY * 4);
    assert_eq!(world.report_of(0).unfit, Some("test_failing"));
    world.hangs_in_tests.clear();
    world.kill(0);
    world.start(0);
    assert!(world.report_of(0).takes_calls(), "the fresh process was tested, and is well");
}

/// P5: a member with other bundles than the group's accepted ones gets no configuration of a caller.
#[test]
fn a_quarantined_member_is_sent_no_configuration_and_is_warmed_up_when_it_may_serve() {
    let mut world = World::with_members(2, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    for id in 1..=2 {
        world.call(caller[0], id, get());
        serve(&mut world);
    }
    world.kill(1);
    world.start_with(1, infos_at(CONNECTOR, "2.0"));
    assert!(world.report_of(1).quarantine.is_some());
    world.hangs_in_tests = vec![1];
    world.pass(limits::TEST_PROBE_EVERY * 4);
    assert!(requests(&mut world, b"facade").iter().all(|(member, ..)| *member != 1));
    // The member has the right bundles again, and is tested before it serves.
    world.lists[1] = connector_infos(CONNECTOR);
    let end = world.now + limits::DRIFT_SEEN_MAX;
    while world.report_of(1).quarantine.is_some() && world.now < end {
        world.pass(limits::TICK);
    }
    assert!(world.report_of(1).quarantine.is_none(), "{:?}", world.report_of(1));
    assert_eq!(world.report_of(1).unfit, Some("warming_up"));
    world.hangs_in_tests.clear();
    world.answer_probes();
    assert!(world.report_of(1).takes_calls(), "{:?}", world.report_of(1));
}

#[test]
fn members_are_not_tested_with_a_configuration_that_no_member_has_answered() {
    let mut world = World::with_members(2, Policy::Failover);
    let caller = world.caller("idm", 1);
    call_with(&mut world, caller[0], 1, BAD, search());
    world.pass(limits::TEST_PROBE_EVERY * 3);
    assert_eq!(requests(&mut world, BAD).len(), 1, "the search alone");
}
