//! CONNECTOR_INFO and configuration events (WIRE 4.4, 6, 7.7, 11.7).

use bytes::Bytes;
use rcs_proto::envelope::Kind;
use rcs_proto::frames::{self, Ask};
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire;
use rcs_proto::messages::{ConfigurationChangeEvent, OperationRequest};
use rcs_proto::session::SocketId;

use super::world::*;
use crate::agreed::sets::{BundleChange, ProposedSet};
use crate::balance::Policy;
use crate::bundles::infos::Visible;
use crate::engine::Selector;
use crate::settings::Settings;

pub(super) fn infos(envelope: &rcs_proto::envelope::Envelope) -> Bytes {
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
    world.refuse(0);
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

/// The connectors that a caller is shown.
fn shown(world: &mut World, socket: SocketId, id: i64) -> Vec<String> {
    world.feed(socket, frames::control_request(id, Ask::ConnectorInfo, &[], &[id]));
    let list = Vec::<ConnectorInfo>::decode(&infos(&world.taken(socket)[0])).unwrap();
    list.iter().map(|info| info.key.to_string()).collect()
}

#[test]
fn callers_see_the_accepted_set_and_during_an_upgrade_the_next_one_beside_it() {
    let mut world = World::with_members(3, Policy::Failover);
    let caller = world.caller("idm", 1)[0];
    assert_eq!(shown(&mut world, caller, 1), ["b/1.0/Rig"]);
    world.kill(0);
    world.start_with(0, infos_at(CONNECTOR, "1.1"));
    assert_eq!(shown(&mut world, caller, 2), ["b/1.0/Rig"], "what a quarantined member has is not shown");
    let next = BundleChange::Propose { what: ProposedSet::Of("n0".into()), stand_ins: None };
    world.change(next).unwrap();
    let behind = |world: &World| world.engine.bundles("g", world.now).unwrap().callers_behind;
    assert_eq!(behind(&world), 1);
    assert!(world.io.notes.iter().any(|note| note.starts_with("CallersBehind")), "{:?}", world.io.notes);
    assert_eq!(shown(&mut world, caller, 3), ["b/1.0/Rig", "b/1.1/Rig"]);
    assert_eq!(behind(&world), 0);
    world.change(BundleChange::Commit).unwrap();
    assert_eq!(behind(&world), 0, "who knows both versions knows the one that is left");
    assert_eq!(shown(&mut world, caller, 4), ["b/1.1/Rig"]);
    // It stays when nobody is there to tell it.
    world.kill(0);
    assert_eq!(shown(&mut world, caller, 5), ["b/1.1/Rig"]);
    let late = world.caller("late", 1)[0];
    assert_eq!(shown(&mut world, late, 1), ["b/1.1/Rig"]);
}

#[test]
fn a_hidden_connector_is_neither_shown_nor_called_whatever_the_way_in() {
    let mut world = World::with_members_down(2, Policy::Failover);
    let both = [connector_infos("Open"), connector_infos("Hidden")]
        .map(|list| Vec::<ConnectorInfo>::decode(&list).unwrap());
    for member in 0..2 {
        world.start_with(member, both.concat().encode());
    }
    let mut settings = Settings::default();
    settings.defaults.visible = Visible::Only(vec!["b/*/Open".parse().unwrap()]);
    world.set(&settings);
    let by_group = world.caller("one", 1)[0];
    let by_key = world.caller_by("two", Selector::ByConnectorKey, 1)[0];
    for caller in [by_group, by_key] {
        assert_eq!(shown(&mut world, caller, 1), ["b/1.0/Open"]);
        let named = |name| OperationRequest { connector_key: Some(messages_key(name)), ..get() };
        world.call(caller, 2, named("Hidden"));
        let answers = world.at_caller(&[caller]);
        assert!(error_of(&answers[0]).message.contains("connector"), "{answers:?}");
        world.call(caller, 3, named("Open"));
        let (_, socket, id) = world.only_request();
        world.feed(socket, answer(id));
        assert_eq!(world.at_caller(&[caller])[0].message_id, 3);
    }
    // Seen again: callers that were shown less are behind.
    world.set(&Settings::default());
    assert_eq!(world.engine.bundles("g", world.now).unwrap().callers_behind, 2);
}

#[test]
fn a_quarantined_members_connector_draws_no_call_to_its_group() {
    let mut world = World::with_members_down(2, Policy::Failover);
    world.start_with(0, connector_infos(CONNECTOR));
    world.start_with(1, connector_infos("Other"));
    let caller = world.caller_by("idm", Selector::ByConnectorKey, 1)[0];
    let named = |name| OperationRequest { connector_key: Some(messages_key(name)), ..get() };
    world.call(caller, 1, named("Other"));
    assert!(error_of(&world.at_caller(&[caller])[0]).message.contains("connector"));
    world.call(caller, 2, named(CONNECTOR));
    assert_eq!(world.only_request().0, 0);
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
