//! What is neither one answer nor rows: configuration events, subscriptions, batches.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use rcs_proto::frames;
use rcs_proto::messages::{
    BatchOpRequest, BatchOpResult, ConfigurationChangeEvent, ConnectorEventSubscriptionOpRequest,
    ConnectorEventSubscriptionOpResponse, ConnectorObject, OperationRequest, OperationResponse,
    RemoteMessage, RpcRequest,
};
use rcs_rig::scripted::{FakeIdm, Frame, request, validate_request};

use crate::answers::validated;
use crate::site::ScriptedSite;

/// WIRE 6: a member tells only the first group that used a facade; all IDM sessions with this exact key must hear it.
#[test]
fn a_configuration_event_reaches_every_user_of_its_key_and_nobody_else() {
    let mut site = ScriptedSite::start("failover", 2);
    let key = Bytes::from_static(b"a2V5IG9mIHR3bw==");
    let mut users = [site.idm(2), site.idm(1)];
    let mut stranger = site.idm(1);
    let keyed = OperationRequest { connector_facade_key: key.clone(), ..validate_request() };
    for (idm, call) in users.iter_mut().map(|u| (u, &keyed)).chain([(&mut stranger, &validate_request())]) {
        serve(&mut site, idm, call);
    }
    let event = event(&key);
    site.members[0].await_sockets(1).remove(0).send(&event);
    for idm in &mut users {
        let heard = idm.inbox.next("the event", is_event);
        assert_eq!(heard.bytes, event);
    }
    serve(&mut site, &mut stranger, &validate_request());
    stranger.inbox.expect_none("it never used the key", Duration::ZERO, is_event);
}

#[test]
fn a_subscription_delivers_until_it_is_cancelled() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let subscribe =
        ConnectorEventSubscriptionOpRequest { object_class: "__ACCOUNT__".to_owned(), ..Default::default() };
    let id = idm.call(&OperationRequest { connector_event_subscription: Some(subscribe), ..request() });
    let call = site.members[0].inbox.operation("the subscription");
    call.socket.send(&frames::answer(call.id(), &subscription(None)));
    for n in 0..5 {
        call.socket.send(&frames::answer(call.id(), &subscription(Some(n))));
    }
    let heard: Vec<_> = (0..6).map(|_| idm.answer(id).answer().cloned()).collect();
    let expected = [None, Some(0), Some(1), Some(2), Some(3), Some(4)].map(|n| Some(subscription(n)));
    assert_eq!(heard, expected);
    idm.socket(1).send(&frames::cancel(id));
    site.members[0].inbox.next("the cancel", |f| f.is_cancel() && f.id() == call.id());
}

#[test]
fn a_subscription_ends_in_an_error_with_its_member() {
    let mut site = ScriptedSite::start("failover", 1);
    let mut idm = site.idm(1);
    let subscribe =
        ConnectorEventSubscriptionOpRequest { object_class: "__ACCOUNT__".to_owned(), ..Default::default() };
    let id = idm.call(&OperationRequest { connector_event_subscription: Some(subscribe), ..request() });
    let call = site.members[0].inbox.operation("the subscription");
    call.socket.send(&frames::answer(call.id(), &subscription(None)));
    assert!(idm.answer(id).answer().is_some());
    site.members[0].die();
    assert!(idm.answer(id).error().is_some());
}

/// WIRE 5.6: results, the end, and the token as the very last frame.
#[test]
fn every_frame_of_a_batch_arrives() {
    let mut site = ScriptedSite::start("failover", 2);
    let mut idm = site.idm(2);
    let id = idm.call(&OperationRequest { batch: Some(BatchOpRequest::default()), ..request() });
    let call = site.members[0].inbox.operation("the batch");
    let result = |task: &str, complete| BatchOpResult {
        task_id: task.to_owned(),
        complete,
        uid: Some(rcs_proto::messages::Uid { value: task.to_owned(), revision: "0".to_owned() }),
        ..BatchOpResult::default()
    };
    let end = BatchOpResult { complete: true, ..BatchOpResult::default() };
    let token = BatchOpResult { returns_results: true, ..BatchOpResult::default() };
    let frames = [result("0", false), result("1", false), result("2", true), end, token]
        .map(|b| OperationResponse { batch: Some(b), ..OperationResponse::default() });
    for frame in &frames {
        call.socket.send(&frames::answer(call.id(), frame));
    }
    let heard: Vec<_> = frames.iter().filter_map(|_| idm.answer(id).answer().cloned()).collect();
    assert_eq!(heard, frames);
}

fn serve(site: &mut ScriptedSite, idm: &mut FakeIdm, request: &OperationRequest) {
    let id = idm.call(request);
    let call = site.members[0].inbox.operation("a call");
    call.socket.send(&frames::answer(call.id(), &validated()));
    assert!(idm.answer(id).answer().is_some());
}

fn event(key: &Bytes) -> Bytes {
    let change = ConfigurationChangeEvent {
        configuration_property_change: Bytes::from_static(b"a list of properties"),
    };
    let operation = OperationRequest {
        connector_facade_key: key.clone(),
        configuration_change: Some(change),
        ..OperationRequest::default()
    };
    let request = RpcRequest { operation: Some(operation), ..RpcRequest::default() };
    RemoteMessage { message_id: 0, request: Some(request), response: None }.encode_to_vec().into()
}

fn is_event(frame: &Frame) -> bool {
    frame.operation().is_some_and(|o| o.configuration_change.is_some())
}

fn subscription(event: Option<u8>) -> OperationResponse {
    let connector_object = event
        .map(|n| ConnectorObject { object_class: "__ACCOUNT__".to_owned(), attributes: vec![n; 9].into() });
    let body = ConnectorEventSubscriptionOpResponse { connector_object, completed: false };
    OperationResponse { connector_event_subscription: Some(body), ..OperationResponse::default() }
}
