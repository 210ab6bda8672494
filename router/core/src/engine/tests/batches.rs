//! Batches: their ends, which a caller may reach by itself, and their tokens (WIRE 5.6).

use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::Kind;
use rcs_proto::frames;
use rcs_proto::messages::*;
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::*;
use crate::limits;
use crate::view::Mark;

fn frame(id: i64, result: BatchOpResult) -> Bytes {
    frames::answer(id, &OperationResponse { batch: Some(result), ..Default::default() })
}

fn failed_result(id: i64) -> Bytes {
    let empty = Some(BatchEmptyResult { result_message: "no".into() });
    frame(id, BatchOpResult { task_id: "0".into(), error: true, empty_result: empty, ..Default::default() })
}

fn token(id: i64, token: &str) -> Bytes {
    let token = vec![token.to_owned()];
    frame(id, BatchOpResult { batch_token: token, query_required: true, ..Default::default() })
}

fn complete(id: i64) -> Bytes {
    frame(id, BatchOpResult { complete: true, ..Default::default() })
}

/// A question for the results behind this token.
fn query(token: &str) -> OperationRequest {
    let batch = BatchOpRequest { query: true, batch_token: vec![token.to_owned()], ..Default::default() };
    OperationRequest { batch: Some(batch), ..Default::default() }
}

/// A batch with one result: the world, the caller's sockets, and where the batch is.
fn begun(result: fn(i64) -> Bytes) -> (World, Vec<SocketId>, SocketId, i64) {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.call(caller[0], 1, batch());
    let (_, socket, id) = world.only_request();
    world.feed(socket, result(id));
    assert_eq!(world.at_caller(&caller).len(), 1);
    (world, caller, socket, id)
}

fn outcomes(world: &World) -> Vec<String> {
    let ends = world.io.notes.iter().filter(|note| note.starts_with("CallEnded"));
    ends.map(|note| note.split("outcome: ").nth(1).unwrap().split(',').next().unwrap().to_owned()).collect()
}

#[test]
fn a_batch_without_a_further_result_ends_as_its_caller_ends_it() {
    let (mut world, caller, socket, id) = begun(failed_result);
    world.pass(limits::BATCH_QUIET - Duration::from_secs(1));
    world.feed(socket, batch_result(id, "1"));
    world.pass(limits::BATCH_QUIET - limits::TICK);
    assert!(!world.engine.is_idle(), "each result gives it more time");
    world.pass(limits::TICK * 2);
    assert!(world.engine.is_idle());
    assert_eq!(outcomes(&world), ["Ok"]);
    assert_eq!(world.at_caller(&caller).len(), 1, "the result, and no frame that the caller does not expect");
    assert!(world.at_member(0).is_empty(), "the tasks go on");
    // Frames that still come are dropped.
    world.feed(socket, complete(id));
    assert!(world.at_caller(&caller).is_empty());
    assert!(world.engine.explained_calls(9).is_empty());
}

#[test]
fn a_batch_of_which_no_result_came_waits_for_its_deadline() {
    let mut world = World::with_members(1, Policy::Failover);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, batch());
    let (_, socket, id) = world.only_request();
    world.feed(socket, token(id, "t"));
    world.pass(limits::BATCH_QUIET * 5);
    assert!(!world.engine.is_idle());
}

#[test]
fn what_a_caller_refuses_of_a_batch_that_it_has_ended_is_no_loss() {
    let refusal = |id| {
        let text = "Connection received response before handshake";
        frames::error(id, "org.identityconnectors.framework.common.exceptions.ConnectorException", text)
    };
    for (result, outcome) in
        [(failed_result as fn(i64) -> Bytes, "Ok"), (|id| batch_result(id, "0"), "Unknown")]
    {
        let (mut world, caller, socket, id) = begun(result);
        world.feed(socket, batch_result(id, "1"));
        world.feed(caller[0], refusal(1));
        assert_eq!(outcomes(&world), [outcome]);
        // The same holds for sockets that the caller closes.
        let (mut world, caller, ..) = begun(result);
        for socket in &caller[..1] {
            world.apply(Event::Closed { socket: *socket, unsent: Vec::new() });
        }
        world.pass(limits::BATCH_QUIET + limits::TICK);
        let unknown = outcomes(&world).iter().filter(|outcome| *outcome == "Unknown").count();
        assert!(unknown == 0 || outcome == "Unknown", "{:?}", outcomes(&world));
    }
}

#[test]
fn results_are_asked_for_where_the_batch_ran() {
    let mut world = World::with_members(3, Policy::RoundRobin);
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, batch());
    let (ran, socket, id) = world.only_request();
    world.feed(socket, token(id, "t1"));
    world.feed(socket, complete(id));
    for call in 2..8 {
        world.call(caller[0], call, query("t1"));
        let (member, socket, id) = world.only_request();
        assert_eq!(member, ran);
        world.feed(socket, token(id, "t1"));
        world.feed(socket, complete(id));
    }
    // A drained member still answers for its batches. With a lost member its batches are lost.
    world.mark(&[(ran, Mark::Draining)]);
    world.call(caller[0], 8, query("t1"));
    assert_eq!(world.only_request().0, ran);
    world.at_caller(&caller);
    world.kill(ran);
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.contains("results of this batch are lost"), "{got:?}");
    world.call(caller[0], 9, query("t1"));
    let got = world.at_caller(&caller);
    assert!(error_of(&got[0]).message.contains("results of this batch are lost"), "{got:?}");
    // A batch with an unknown token goes to any member.
    world.call(caller[0], 10, query("another"));
    assert_ne!(world.only_request().0, ran);
    assert!(matches!(got[0].kind, Kind::Error(_)));
}
