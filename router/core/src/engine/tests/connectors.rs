//! CONNECTOR_INFO and configuration events (WIRE 4.4, 6, 7.7, 11.7).

use bytes::Bytes;
use rcs_proto::envelope::Kind;
use rcs_proto::frames::{self, Ask};
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire;
use rcs_proto::messages::{ConfigurationChangeEvent, OperationRequest};

use super::world::*;
use crate::balance::Policy;

fn infos(envelope: &rcs_proto::envelope::Envelope) -> Bytes {
    match &envelope.kind {
        Kind::ControlResponse(response) => response.connector_infos.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_caller_that_asks_before_any_member_is_known_is_answered_as_soon_as_one_is() {
    let mut world = World::with_members_down(2, Policy::Failover);
    let caller = world.caller("idm", 2);
    world.feed(caller[1], frames::control_request(1, Ask::ConnectorInfo, &[], &[1]));
    assert!(world.at_caller(&caller).is_empty());
    world.start(1);
    let got = world.taken(caller[1]);
    assert_eq!((got.len(), got[0].message_id, infos(&got[0])), (1, 1, connector_infos(CONNECTOR)));
    // Each question is answered, as often as it is asked, also while no member is there.
    world.kill(1);
    for id in 2..5 {
        world.feed(caller[0], frames::control_request(id, Ask::ConnectorInfo, &[], &[id]));
        assert_eq!(infos(&world.taken(caller[0])[0]), connector_infos(CONNECTOR));
    }
    world.feed(caller[0], frames::control_request(9, Ask::Check, &[], &[9]));
    assert!(infos(&world.taken(caller[0])[0]).is_empty());
}

#[test]
fn callers_see_the_connectors_of_all_members_of_the_group() {
    let mut world = World::with_members_down(2, Policy::Failover);
    world.start_with(0, connector_infos("One"));
    world.start_with(1, connector_infos("Two"));
    let caller = world.caller("idm", 1);
    world.feed(caller[0], frames::control_request(1, Ask::ConnectorInfo, &[], &[1]));
    let list = Vec::<ConnectorInfo>::decode(&infos(&world.taken(caller[0])[0])).unwrap();
    let names: Vec<_> = list.iter().map(|info| info.key.connector_name.as_str()).collect();
    assert_eq!(names, ["One", "Two"]);
}

#[test]
fn a_member_that_asks_for_our_connectors_gets_an_empty_list() {
    let mut world = World::with_members(1, Policy::Failover);
    let socket = world.members[0][0];
    world.feed(socket, frames::control_request(77, Ask::ConnectorInfo, &[], &[77]));
    let got = world.taken(socket);
    assert_eq!(Vec::<ConnectorInfo>::decode(&infos(&got[0])).unwrap(), []);
}

#[test]
fn a_configuration_change_goes_to_the_callers_that_used_this_very_key() {
    let mut world = World::with_members(1, Policy::Failover);
    let (user, other) = (world.caller("user", 1), world.caller("other", 1));
    world.call(user[0], 1, get());
    let (_, socket, id) = world.only_request();
    world.feed(socket, answer(id));
    world.at_caller(&user);
    let event = |key: &'static [u8]| {
        let change = ConfigurationChangeEvent { configuration_property_change: Bytes::from_static(b"x") };
        let request = OperationRequest {
            connector_facade_key: Bytes::from_static(key),
            configuration_change: Some(change),
            ..Default::default()
        };
        frames::operation(0, &request)
    };
    world.feed(socket, event(b"another facade"));
    world.feed(socket, event(b"facade"));
    let got = world.at_caller(&user);
    assert_eq!((got.len(), got[0].frame()), (1, &event(b"facade")), "byte for byte");
    assert!(world.at_caller(&other).is_empty());
}
