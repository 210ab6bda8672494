use std::sync::Arc;
use std::sync::atomic::Ordering;

use rcs_proto::icf::{
    Attribute, ConnectorObject, NAME, ObjectClass, OperationOptions, PASSWORD, Secret, UID, Value,
};
use rcs_proto::legacy::Wire;
use rcs_proto::messages as m;

use super::*;
use crate::limits::{FACADE_IDLE, FACADES_MAX};
use crate::testing::{self, Fake, configuration, request};

/// Takes everything, or stops after so many.
#[derive(Default)]
struct Taken {
    responses: Vec<OperationResponse>,
    most: Option<usize>,
}

impl ResultSink for Taken {
    fn send(&mut self, response: OperationResponse) -> Flow {
        self.responses.push(response);
        if self.most.is_some_and(|most| self.responses.len() >= most) { Flow::Stop } else { Flow::Continue }
    }
}

fn executor() -> (Executor, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    (Executor::new(testing::registry(&fake)), fake)
}

fn run(request: OperationRequest) -> Result<OperationResponse, Failure> {
    executor().0.prepare(request, Moment::START)?.run(&mut Taken::default())
}

fn account() -> String {
    ObjectClass::ACCOUNT.to_owned()
}

fn create(attributes: Option<Vec<Attribute>>) -> OperationRequest {
    let create_attributes = attributes.map(|attributes| attributes.encode()).unwrap_or_default();
    let create = m::CreateOpRequest { object_class: account(), create_attributes, ..Default::default() };
    OperationRequest { create: Some(create), ..request(&configuration(3, &[])) }
}

fn update(kind: m::update_op_request::UpdateType, attributes: Vec<Attribute>) -> OperationRequest {
    let update = m::UpdateOpRequest {
        object_class: account(),
        uid: Some(m::Uid { value: "u1".to_owned(), revision: String::new() }),
        update_type: kind.into(),
        replace_attributes: attributes.encode(),
        ..Default::default()
    };
    OperationRequest { update: Some(update), ..request(&configuration(3, &[])) }
}

fn get(object_class: &str, uid: Option<&str>) -> OperationRequest {
    let uid = uid.map(|uid| m::Uid { value: uid.to_owned(), revision: String::new() });
    let get = m::GetOpRequest { object_class: object_class.to_owned(), uid, ..Default::default() };
    OperationRequest { get: Some(get), ..request(&configuration(3, &[])) }
}

/// WIRE 5.1's table, and the checks of Java's own executor.
#[test]
fn failures_have_the_class_and_words_of_javas() {
    let any = request(&configuration(3, &[]));
    let guarded = Value::GuardedString(Secret::new("x".to_owned()));
    let cases: Vec<(OperationRequest, &str, &str)> = vec![
        (any.clone(), "ConnectorException", "Unknown OperationRequest"),
        (OperationRequest::default(), "ConnectorException", "Connector not found: //"),
        (
            OperationRequest {
                connector_facade_key: Bytes::from_static(b"?"),
                ..testing::search(&configuration(3, &[]))
            },
            "java.lang.RuntimeException",
            "the facade key is not base64",
        ),
        (
            OperationRequest {
                connector_facade_key: Bytes::new(),
                ..testing::search(&configuration(3, &[]))
            },
            "ConnectorException",
            "configuration cannot be read",
        ),
        (
            OperationRequest {
                delete: get(&account(), Some("u1")).get.map(|g| m::DeleteOpRequest {
                    object_class: g.object_class,
                    uid: g.uid,
                    options: g.options,
                }),
                ..any.clone()
            },
            "java.lang.UnsupportedOperationException",
            "delete",
        ),
        (
            OperationRequest {
                batch: Some(m::BatchOpRequest::default()),
                test: Some(m::TestOpRequest {}),
                ..any.clone()
            },
            "java.lang.UnsupportedOperationException",
            "batch",
        ),
        (
            OperationRequest {
                script_on_resource: Some(m::ScriptOnResourceOpRequest::default()),
                ..any.clone()
            },
            "java.lang.UnsupportedOperationException",
            "script_on_resource",
        ),
        (
            testing::sync(&configuration(3, &[]), Bytes::new()),
            "java.lang.NullPointerException",
            "Parameter 'value' must not be null.",
        ),
        (
            testing::sync(&configuration(3, &[]), Value::String("x".to_owned()).encode()),
            "IllegalArgumentException",
            "no token of mine",
        ),
        (create(None), "NullPointerException", "Parameter 'createAttributes' must not be null."),
        (create(Some(vec![Attribute::text(NAME, "u1")])), "AlreadyExistsException", "it is there"),
        (create(Some(vec![Attribute::text(UID, "u9")])), "InvalidAttributeValueException", "contains a uid"),
        (
            update(m::update_op_request::UpdateType::Add, vec![Attribute::text(NAME, "u9")]),
            "IllegalArgumentException",
            "__NAME__",
        ),
        (get("", Some("u1")), "IllegalArgumentException", "must not be blank"),
        (get(ObjectClass::ALL, Some("u1")), "UnsupportedOperationException", "specific object class"),
        (get(&account(), None), "IllegalArgumentException", "Uid value must not be blank!"),
        (get(&account(), Some(" ")), "IllegalArgumentException", "Uid value must not be blank!"),
        (
            update(m::update_op_request::UpdateType::Remove, vec![Attribute::new(PASSWORD, vec![guarded])]),
            "IllegalArgumentException",
            "Operational attribute '__PASSWORD__' can not be added or removed.",
        ),
        (
            update(
                m::update_op_request::UpdateType::Add,
                vec![Attribute { name: "a".to_owned(), values: None }],
            ),
            "IllegalArgumentException",
            "Can not add or remove a 'null' value.",
        ),
    ];
    for (request, class, message) in cases {
        let failure = run(request).expect_err(message);
        assert!(failure.class.ends_with(class), "{failure:?} instead of {class}: {message}");
        assert!(failure.message.contains(message), "{failure:?} instead of {class}: {message}");
    }
}

#[test]
fn a_request_with_options_of_another_type_is_refused() {
    let mut request = get(&account(), Some("u1"));
    request.get.as_mut().unwrap().options = Value::Long(1).encode();
    let failure = run(request).expect_err("options");
    assert!(failure.message.starts_with("the request's options cannot be read"), "{failure:?}");
}

/// An unknown kind must not count as a replacement, nor a page size of another type as none.
#[test]
fn values_of_the_future_are_refused() {
    let mut request = update(m::update_op_request::UpdateType::Replace, vec![Attribute::text("a", "b")]);
    request.update.as_mut().unwrap().update_type = 7;
    assert!(run(request).expect_err("kind 7").class.ends_with("IllegalArgumentException"));
    for (name, value) in [
        ("PAGE_SIZE", Value::String("5".to_owned())),
        ("PAGED_RESULTS_COOKIE", Value::Integer(5)),
        ("ATTRS_TO_GET", Value::String("a".to_owned())),
        ("SORT_KEYS", Value::String("a".to_owned())),
    ] {
        let mut request = testing::search(&configuration(3, &[]));
        let options = OperationOptions { case_insensitive: false, entries: vec![(name.to_owned(), value)] };
        request.search.as_mut().unwrap().options = options.encode();
        let failure = run(request).expect_err(name);
        assert!(failure.message.contains(name), "{failure:?}");
    }
}

#[test]
fn unary_answers() {
    let created = run(create(Some(vec![Attribute::text(NAME, "u9")]))).unwrap().create.unwrap().uid.unwrap();
    assert_eq!((created.value.as_str(), created.revision.as_str()), ("u9", "7"));
    let updated = run(update(m::update_op_request::UpdateType::Replace, vec![Attribute::text("a", "b")]));
    let updated = updated.unwrap().update.unwrap().uid.unwrap();
    assert_eq!((updated.value.as_str(), updated.revision.as_str()), ("u1", ""));
    let found = run(get(&account(), Some("u2"))).unwrap().get.unwrap().connector_object;
    assert_eq!(ConnectorObject::decode(&found).unwrap(), testing::object(2));
    let absent = run(get(&account(), Some("u7"))).unwrap().get.unwrap().connector_object;
    assert!(absent.is_empty(), "absent is null");
    let any = request(&configuration(3, &[]));
    let both =
        OperationRequest { validate: Some(m::ValidateOpRequest {}), test: Some(m::TestOpRequest {}), ..any };
    assert!(run(both).unwrap().test.is_some(), "Java's order: test comes before validate (WIRE 2)");
}

/// WIRE 5.3, points 1 and 2.
#[test]
fn search_numbers_its_objects_and_ends_with_their_count() {
    let (executor, _) = executor();
    for (objects, most, seen, with_result) in [(3, None, 3, true), (0, None, 0, true), (3, Some(2), 2, false)]
    {
        let call = executor.prepare(testing::search(&configuration(objects, &[])), Moment::START).unwrap();
        let mut taken = Taken { most, ..Default::default() };
        let end = call.run(&mut taken).unwrap().search.unwrap();
        assert_eq!((end.sequence, end.result.is_some()), (seen, with_result));
        assert!(end.connector_object.is_none());
        for (index, response) in taken.responses.iter().enumerate() {
            let search = response.search.as_ref().unwrap();
            assert_eq!(search.sequence, index as i64 + 1);
            let message = search.connector_object.as_ref().unwrap();
            assert_eq!(message.object_class, ObjectClass::ACCOUNT);
            let attributes = Vec::<Attribute>::decode(&message.attributes).unwrap();
            assert_eq!(attributes, testing::object(index as i32 + 1).attributes);
        }
        assert_eq!(taken.responses.len() as i64, seen);
    }
}

#[test]
fn sync_numbers_its_changes_and_ends_with_the_newest_token() {
    let (executor, _) = executor();
    let token = Value::Long(1).encode();
    let call = executor.prepare(testing::sync(&configuration(3, &[]), token), Moment::START).unwrap();
    let mut taken = Taken::default();
    let end = call.run(&mut taken).unwrap().sync.unwrap().sync.unwrap();
    assert_eq!((end.sequence, end.sync_delta.is_none()), (2, true));
    assert_eq!(Value::decode(&end.sync_token.unwrap().value).unwrap(), Value::Long(3));
    let uids: Vec<String> = taken
        .responses
        .iter()
        .map(|response| response.sync.as_ref().unwrap().sync.as_ref().unwrap())
        .map(|sync| sync.sync_delta.as_ref().unwrap().uid.as_ref().unwrap().value.clone())
        .collect();
    assert_eq!(uids, ["u2", "u3"]);
}

#[test]
fn the_latest_token_may_be_absent() {
    for (objects, expected) in [(3, Some(Value::Long(3))), (0, None)] {
        let latest = m::sync_op_request::LatestSyncToken { object_class: account() };
        let sync = m::SyncOpRequest { sync: None, latest_sync_token: Some(latest) };
        let request = OperationRequest { sync: Some(sync), ..request(&configuration(objects, &[])) };
        let token = run(request).unwrap().sync.unwrap().latest_sync_token.unwrap().sync_token;
        assert_eq!(token.map(|token| Value::decode(&token.value).unwrap()), expected);
    }
}

/// WIRE 1.3, 6: one instance a configuration, dropped when unused for 120 minutes or when too many are open.
#[test]
fn facades_are_opened_once_and_dropped_when_idle() {
    let (executor, fake) = executor();
    let prepare =
        |objects, now| executor.prepare(testing::search(&configuration(objects, &[])), now).unwrap();
    let opened = || fake.opened.load(Ordering::SeqCst);
    prepare(1, Moment::START);
    prepare(1, Moment::START);
    assert_eq!(opened(), 1);
    prepare(2, Moment::START + FACADE_IDLE / 2);
    executor.drop_idle(Moment::START + FACADE_IDLE);
    prepare(2, Moment::START + FACADE_IDLE);
    assert_eq!(opened(), 2);
    prepare(1, Moment::START + FACADE_IDLE);
    assert_eq!(opened(), 3, "the first one was dropped");
    for objects in 0..FACADES_MAX as i32 * 2 {
        prepare(objects, Moment::START);
    }
    assert_eq!(executor.facades.lock().unwrap().len(), FACADES_MAX);
}

#[test]
fn the_configuration_limits_the_time_of_unary_calls() {
    let (executor, _) = executor();
    let configuration = configuration(3, &[("TestApiOp", 250), ("ValidateApiOp", -1), ("SearchApiOp", 250)]);
    let any = request(&configuration);
    let limit = |request| executor.prepare(request, Moment::START).unwrap().time_limit();
    let test = OperationRequest { test: Some(m::TestOpRequest {}), ..any.clone() };
    assert_eq!(limit(test), Some(Duration::from_millis(250)));
    let validate = OperationRequest { validate: Some(m::ValidateOpRequest {}), ..any };
    assert_eq!(limit(validate), None);
    assert_eq!(limit(testing::search(&configuration)), None);
}

#[test]
fn connector_infos_are_a_list_with_the_connectors_key() {
    let (executor, _) = executor();
    let infos = Vec::<ConnectorInfo>::decode(&executor.connector_infos()).unwrap();
    assert_eq!(infos.iter().map(|info| info.key.clone()).collect::<Vec<_>>(), [testing::key()]);
}
