//! One request that takes down whoever runs it. HAProxy's list warns of both forms: it kills each server in turn, or it makes
//! each server look unhealthy, and passive checks eject them all.

use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::messages::OperationRequest;
use rcs_rig::scripted::validate_request;
use rcs_rig::wait::{hold, wait_for};

use crate::answers::{search_request, validated};
use crate::bounds::PATIENCE;
use crate::fleet::Fleet;

const MEMBERS: usize = 5;
/// The budget for repetitions (limits.rs of rcs-core): its share, and its floor for a window or two.
const SHARE_PERCENT: usize = 20;
const REPEATED_ANYWAY: usize = 250;
/// Members that are left.
const STAY_UP: usize = 3;

/// Both a read, which moves to another member, and a search are stopped after two.
#[test]
fn a_poison_call_takes_two_of_five_members_and_no_third() {
    for poison in [validate_request(), search_request()] {
        let mut fleet = Fleet::start(MEMBERS, "roundrobin", 1);
        let mut idm = fleet.idm(1);
        let id = idm.call(&poison);
        let mut killed = 0;
        let answer = loop {
            if let Some((at, _)) = fleet.asked_now() {
                fleet.members[at].die();
                killed += 1;
                assert!(killed <= MEMBERS - STAY_UP, "it took a member too many");
            }
            if let Some(answer) = idm.inbox.find(Duration::from_millis(2), |f| f.answers(id)) {
                break answer;
            }
        };
        let error = answer.error().expect("nobody could run it");
        assert!(
            error.exception_class.ends_with(".ConnectorException"),
            "IDM would send it again: {}",
            error.exception_class
        );
        assert_eq!(killed, MEMBERS - STAY_UP);
        hold("the others stay up", Duration::from_millis(500), || fleet.up() == STAY_UP);
        serves(&mut fleet);
    }
}

/// Answers that look like a dead resource, to one caller's request alone: however often it is sent, the group serves.
#[test]
fn a_poison_call_that_only_fails_does_not_eject_the_group() {
    let mut fleet = Fleet::start(MEMBERS, "roundrobin", 1);
    let mut idm = fleet.idm(1);
    let class = "org.identityconnectors.framework.common.exceptions.ConnectionFailedException";
    let (calls, mut asked) = (80 * MEMBERS, 0);
    for number in 0..calls {
        let id = idm.call(&search_request());
        let answer = wait_for("an answer", PATIENCE, || {
            // Such an error of a read is asked about at other members too, within the group's budget for that.
            while let Some((_, call)) = fleet.asked_now() {
                asked += 1;
                call.socket.send(&frames::error(call.id(), class, "the resource is not there"));
            }
            idm.inbox.find(Duration::ZERO, |f| f.answers(id))
        });
        assert!(
            answer.error().is_some_and(|e| e.message == "the resource is not there"),
            "{number}: {answer:?}"
        );
    }
    println!("{} of {MEMBERS} members are up after {calls} calls that failed {asked} times", fleet.up());
    // Without a budget each call would be sent four times.
    assert!(asked < calls + calls * SHARE_PERCENT / 100 + REPEATED_ANYWAY, "{asked} times for {calls} calls");
    for _ in 0..MEMBERS {
        serves(&mut fleet);
    }
    assert!(fleet.router.is_ready(), "the group serves, and its router says that it is not ready");
}

fn serves(fleet: &mut Fleet) {
    let mut idm = fleet.idm(1);
    // A configuration of its own: the one that members were lost with is quarantined.
    let other = Bytes::from_static(b"YW5vdGhlcg==");
    let id = idm.call(&OperationRequest { connector_facade_key: other, ..validate_request() });
    let (_, call) = fleet.asked("another caller's call");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}
