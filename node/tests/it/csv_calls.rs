//! Whole calls to the CSV connector of a started node: every operation, every class of error.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::icf::{
    Attribute, ClassName, ConnectorObject, Filter, NAME, ObjectClass, OperationOptions, PASSWORD, Schema,
    Secret, UID, Value,
};
use rcs_proto::legacy::Wire as _;
use rcs_proto::messages::{self as m, OperationRequest, OperationResponse};

use rcs_rig::wait::{hold, wait_until};
use rustix::process::Signal;

use crate::caller::{Answer, Caller};
use crate::serving::Serving;

const HR: &str = "uid,firstName,lastName,password\nbjensen,Barbara,Jensen,secret1\nscarter,Steven,Carter,secret2\n\
                  jvalles,Johanna,Valles,secret3\n";

/// A node with an hr.csv, and a caller that uses it.
struct Hr {
    node: Serving,
    caller: Caller,
}

impl Hr {
    fn open(rows: &str) -> Self {
        let node = Serving::start();
        let file = node.scratch.file("hr.csv", rows);
        let mut caller = Caller::connect(node.address, 2);
        let path = Value::File(file.to_str().expect("a path of the test's own").to_owned());
        caller.configure("CSVFileConnector", &[("csvFile", path)]);
        Self { node, caller }
    }

    fn rows(&self) -> String {
        fs::read_to_string(self.node.scratch.path("hr.csv")).expect("the file is there")
    }

    fn call(&mut self, fill: impl FnOnce(&mut OperationRequest)) -> Answer {
        let mut request = self.caller.request();
        fill(&mut request);
        self.caller.call(&request)
    }

    fn unary(&mut self, fill: impl FnOnce(&mut OperationRequest)) -> Result<OperationResponse, String> {
        self.call(fill).last.map_err(|(class, _)| class)
    }

    fn create(&mut self, attributes: Vec<Attribute>) -> Result<String, String> {
        let create_attributes = attributes.encode();
        let create = m::CreateOpRequest { object_class: account(), create_attributes, options: Bytes::new() };
        let answer = self.unary(|request| request.create = Some(create))?;
        Ok(answer.create.expect("an answer to create").uid.expect("a uid").value)
    }

    fn update(
        &mut self,
        kind: m::update_op_request::UpdateType,
        uid: &str,
        attributes: Vec<Attribute>,
    ) -> Result<String, String> {
        let update = m::UpdateOpRequest {
            object_class: account(),
            uid: Some(uid_message(uid)),
            update_type: kind.into(),
            replace_attributes: attributes.encode(),
            options: Bytes::new(),
        };
        let answer = self.unary(|request| request.update = Some(update))?;
        Ok(answer.update.expect("an answer to update").uid.expect("a uid").value)
    }

    fn delete(&mut self, uid: &str) -> Result<(), String> {
        let delete = m::DeleteOpRequest {
            object_class: account(),
            uid: Some(uid_message(uid)),
            options: Bytes::new(),
        };
        self.unary(|request| request.delete = Some(delete)).map(|_| ())
    }

    fn get(&mut self, uid: &str) -> Option<ConnectorObject> {
        let get =
            m::GetOpRequest { object_class: account(), uid: Some(uid_message(uid)), options: Bytes::new() };
        let answer = self.unary(|request| request.get = Some(get)).expect("get does not fail");
        let object = answer.get.expect("an answer to get").connector_object;
        (!object.is_empty()).then(|| ConnectorObject::decode(&object).expect("an object"))
    }

    fn authenticate(&mut self, user: &str, password: &str) -> Result<String, String> {
        let password = Value::GuardedString(Secret::new(password.to_owned())).encode();
        let username = user.to_owned();
        let authenticate =
            m::AuthenticateOpRequest { object_class: account(), username, password, options: Bytes::new() };
        let answer = self.unary(|request| request.authenticate = Some(authenticate))?;
        Ok(answer.authenticate.expect("an answer").uid.expect("a uid").value)
    }

    fn resolve(&mut self, user: &str) -> Result<String, String> {
        let username = user.to_owned();
        let resolve =
            m::ResolveUsernameOpRequest { object_class: account(), username, options: Bytes::new() };
        let answer = self.unary(|request| request.resolve_username = Some(resolve))?;
        Ok(answer.resolve_username.expect("an answer").uid.expect("a uid").value)
    }

    /// Uids in the order of their numbers, and the cookie of the next page.
    fn search(
        &mut self,
        filter: Option<Filter>,
        options: &[(&str, Value)],
    ) -> Result<(Vec<String>, String), String> {
        let filter = filter.map(|filter| filter.encode()).unwrap_or_default();
        let entries = options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let options = OperationOptions { case_insensitive: false, entries }.encode();
        let search = m::SearchOpRequest { object_class: account(), filter, options };
        let answer = self.call(|request| request.search = Some(search));
        let end = answer.last.map_err(|(class, _)| class)?.search.expect("an end of a search");
        assert_eq!(end.sequence, answer.items.len() as i64, "the end counts the objects");
        let uids = answer.items.iter().map(|item| {
            let object =
                item.search.as_ref().and_then(|search| search.connector_object.as_ref()).expect("an object");
            let attributes = Vec::<Attribute>::decode(&object.attributes).expect("attributes");
            let uid = attributes.iter().find(|attribute| attribute.is(UID)).and_then(Attribute::first);
            uid.and_then(Value::as_str).expect("a uid").to_owned()
        });
        Ok((uids.collect(), end.result.map(|result| result.paged_results_cookie).unwrap_or_default()))
    }

    fn latest_token(&mut self) -> Value {
        let latest = m::sync_op_request::LatestSyncToken { object_class: account() };
        let sync = m::SyncOpRequest { sync: None, latest_sync_token: Some(latest) };
        let answer = self.unary(|request| request.sync = Some(sync)).expect("a token");
        let token = answer.sync.and_then(|sync| sync.latest_sync_token).and_then(|latest| latest.sync_token);
        Value::decode(&token.expect("a token").value).expect("a value")
    }

    /// Uids with what happened to them, and the token to go on from.
    fn sync(&mut self, token: Bytes) -> Result<(Vec<String>, Value), String> {
        let token = Some(m::SyncToken { value: token });
        let sync = m::sync_op_request::Sync { object_class: account(), token, options: Bytes::new() };
        let sync = m::SyncOpRequest { sync: Some(sync), latest_sync_token: None };
        let answer = self.call(|request| request.sync = Some(sync));
        let end = answer.last.map_err(|(class, _)| class)?.sync.and_then(|sync| sync.sync).expect("an end");
        let deltas = answer.items.iter().map(|item| {
            let sync = item.sync.as_ref().and_then(|sync| sync.sync.as_ref()).expect("a change");
            let delta = sync.sync_delta.as_ref().expect("a change");
            format!("{:?} {}", delta.delta_type(), delta.uid.as_ref().expect("a uid").value)
        });
        Ok((deltas.collect(), Value::decode(&end.sync_token.expect("a token").value).expect("a value")))
    }
}

fn account() -> String {
    ObjectClass::ACCOUNT.to_owned()
}

fn uid_message(uid: &str) -> m::Uid {
    m::Uid { value: uid.to_owned(), revision: String::new() }
}

fn text(object: &ConnectorObject, name: &str) -> String {
    let value = object.attribute(name).and_then(Attribute::first).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

fn uids(uids: &[&str]) -> Vec<String> {
    uids.iter().map(|uid| (*uid).to_owned()).collect()
}

/// V06.
#[test]
fn validate_test_and_schema() {
    let mut hr = Hr::open(HR);
    hr.unary(|request| request.validate = Some(m::ValidateOpRequest {})).expect("a valid configuration");
    hr.unary(|request| request.test = Some(m::TestOpRequest {})).expect("a readable file");
    let answer = hr.unary(|request| request.schema = Some(m::SchemaOpRequest {})).expect("a schema");
    let schema = Schema::decode(&answer.schema.expect("an answer").schema).expect("a schema");
    let class = schema.object_classes.iter().find(|class| class.object_class.0 == ObjectClass::ACCOUNT);
    let names: Vec<&str> = class.expect("accounts").attributes.iter().map(|a| a.name.as_str()).collect();
    for name in ["firstName", "lastName", NAME, PASSWORD] {
        assert!(names.contains(&name), "{names:?}");
    }
    fs::remove_file(hr.node.scratch.path("hr.csv")).expect("the file is there");
    let class = hr.unary(|request| request.test = Some(m::TestOpRequest {})).expect_err("the file is gone");
    assert_eq!(class, "ConnectorIOException");
}

#[test]
fn searches() {
    let mut hr = Hr::open(HR);
    let all = uids(&["bjensen", "scarter", "jvalles"]);
    assert_eq!(hr.search(None, &[]).expect("all").0, all);
    let carter = Filter::Equals(Attribute::text("lastName", "Carter"));
    assert_eq!(hr.search(Some(carter.clone()), &[]).expect("one").0, uids(&["scarter"]));
    let others = Filter::Not(Box::new(carter));
    assert_eq!(hr.search(Some(others), &[]).expect("two").0, uids(&["bjensen", "jvalles"]));
    let (page, cookie) = hr.search(None, &[("PAGE_SIZE", Value::Integer(2))]).expect("a page");
    assert_eq!((page, cookie.is_empty()), (uids(&["bjensen", "scarter"]), false));
    let next = [("PAGE_SIZE", Value::Integer(2)), ("PAGED_RESULTS_COOKIE", Value::String(cookie))];
    assert_eq!(hr.search(None, &next).expect("the rest").0, uids(&["jvalles"]));
    let descending = rcs_proto::icf::SortKey { field: "lastName".to_owned(), ascending: false };
    let keys = Value::Array(ClassName::plain("SortKey"), vec![Value::SortKey(descending)]);
    let sorted = hr.search(None, &[("SORT_KEYS", keys)]).expect("sorted");
    assert_eq!(sorted.0, uids(&["jvalles", "bjensen", "scarter"]));
    let nonsense =
        [("PAGE_SIZE", Value::Integer(2)), ("PAGED_RESULTS_COOKIE", Value::String("x".to_owned()))];
    assert_eq!(hr.search(None, &nonsense).expect_err("no cookie of the connector's"), "ConnectorException");
}

#[test]
fn objects_come_and_go() {
    let mut hr = Hr::open(HR);
    assert_eq!(text(&hr.get("scarter").expect("it is there"), "firstName"), "Steven");
    assert!(hr.get("nobody").is_none());
    let ann = vec![
        Attribute::text(NAME, "ann"),
        Attribute::text("firstName", "Ann, with \"quotes\""),
        Attribute::new(PASSWORD, vec![Value::GuardedString(Secret::new("pw".to_owned()))]),
    ];
    assert_eq!(hr.create(ann.clone()).expect("a new one"), "ann");
    assert_eq!(hr.create(ann).expect_err("it is there"), "AlreadyExistsException");
    assert_eq!(text(&hr.get("ann").expect("it is there"), "firstName"), "Ann, with \"quotes\"");
    let replace = m::update_op_request::UpdateType::Replace;
    assert_eq!(
        hr.update(replace, "ann", vec![Attribute::text("firstName", "Anna")]).expect("changed"),
        "ann"
    );
    let gone = hr.update(replace, "nobody", vec![Attribute::text("firstName", "x")]);
    assert_eq!(gone.expect_err("nobody"), "UnknownUidException");
    assert_eq!(text(&hr.get("ann").expect("it is there"), "firstName"), "Anna");
    assert_eq!(hr.authenticate("ann", "pw").expect("her password"), "ann");
    assert_eq!(hr.authenticate("ann", "PW").expect_err("not hers"), "InvalidPasswordException");
    assert_eq!(hr.resolve("ann").expect("she is there"), "ann");
    hr.delete("ann").expect("she was there");
    assert_eq!(hr.delete("ann").expect_err("no more"), "UnknownUidException");
    assert_eq!(hr.rows(), HR, "the other rows are untouched");
}

#[test]
fn values_are_added_and_taken_away() {
    let mut hr = Hr::open(HR);
    let empty = hr.create(vec![Attribute::text(NAME, "ann")]).expect("a new one");
    let add = m::update_op_request::UpdateType::Add;
    hr.update(add, &empty, vec![Attribute::text("firstName", "Ann")]).expect("added");
    assert_eq!(text(&hr.get("ann").expect("it is there"), "firstName"), "Ann");
    let remove = m::update_op_request::UpdateType::Remove;
    hr.update(remove, &empty, vec![Attribute::text("firstName", "Ann")]).expect("taken away");
    assert_eq!(text(&hr.get("ann").expect("it is there"), "firstName"), "");
}

#[test]
fn changes_are_told_since_a_token() {
    let mut hr = Hr::open(HR);
    let token = hr.latest_token();
    let (none, _) = hr.sync(token.encode()).expect("nothing new");
    assert_eq!(none, uids(&[]));
    hr.create(vec![Attribute::text(NAME, "ann")]).expect("a new one");
    hr.delete("bjensen").expect("she was there");
    let (changes, newer) = hr.sync(token.encode()).expect("two changes");
    let mut changes: Vec<&str> =
        changes.iter().map(|change| change.rsplit(' ').next().unwrap_or_default()).collect();
    changes.sort_unstable();
    assert_eq!(changes, ["ann", "bjensen"]);
    let (none, _) = hr.sync(newer.encode()).expect("nothing new");
    assert_eq!(none, uids(&[]));
    assert_eq!(hr.sync(Bytes::new()).expect_err("no token"), "NullPointerException");
}

#[test]
fn what_the_connector_lacks_is_said() {
    let mut hr = Hr::open(HR);
    let script = m::ScriptOnResourceOpRequest::default();
    let class = hr.unary(|request| request.script_on_resource = Some(script)).expect_err("no scripts");
    assert_eq!(class, "UnsupportedOperationException");
    let subscription = m::SyncEventSubscriptionOpRequest::default();
    let class =
        hr.unary(|request| request.sync_event_subscription = Some(subscription)).expect_err("no events");
    assert_eq!(class, "UnsupportedOperationException");
}

/// More rows than the node and the sockets between can hold back.
fn many_rows() -> String {
    let mut rows = "uid,text\n".to_owned();
    for number in 0..20_000 {
        rows.push_str(&format!("u{number},{}\n", "x".repeat(1000)));
    }
    rows
}

/// WIRE 5.3: all of a large search, on two sockets, in numbers without a gap; and a cancel that ends one early.
#[test]
fn a_large_search_is_complete_and_can_be_cancelled() {
    let mut hr = Hr::open(&many_rows());
    let (found, _) = hr.search(None, &[]).expect("all");
    assert_eq!((found.len(), found.first().map(String::as_str)), (20_000, Some("u0")));
    let mut request = hr.caller.request();
    request.search = Some(m::SearchOpRequest { object_class: account(), ..Default::default() });
    let id = hr.caller.idm.call(&request);
    hr.caller.idm.answer(id);
    hr.caller.idm.socket(0).send(&rcs_proto::frames::cancel(id));
    // Whatever was on its way comes first; the node answers as before.
    let one = Filter::Equals(Attribute::text("uid", "u7"));
    assert_eq!(hr.search(Some(one), &[]).expect("one").0, uids(&["u7"]));
}

/// P13, I03: a caller that stops reading for long gets every row of its search (a Java server would cut it short, WIRE 5.3),
/// short calls run meanwhile, and a node that is told to end meanwhile lets the search finish first.
#[test]
fn a_stalled_search_is_neither_cut_short_nor_broken_off_by_a_drain() {
    let mut hr = Hr::open(&many_rows());
    let mut slow = Caller::connect(hr.node.address, 0);
    let socket = slow.idm.dial_with_receive_buffer(4096);
    slow.idm.shake_hands(&socket);
    let mut request = hr.caller.request();
    request.search = Some(m::SearchOpRequest { object_class: account(), ..Default::default() });
    let id = slow.idm.call(&request);
    slow.idm.answer(id);
    socket.stall();
    let mut answered = 0;
    hold("short calls are answered while a search is stalled", Duration::from_secs(2), || {
        answered += 1;
        hr.unary(|request| request.validate = Some(m::ValidateOpRequest {})).is_ok()
    });
    assert!(answered > 10, "{answered} calls");
    hr.node.process.signal(Signal::TERM);
    wait_until("the node takes no more sockets", Duration::from_secs(5), || {
        TcpStream::connect(hr.node.address).is_err()
    });
    assert!(hr.node.process.is_running(), "a call is open");
    socket.read_on();
    let answer = slow.finish(id);
    let end = answer.last.expect("an end").search.expect("an end of a search");
    // The first object was taken above.
    assert_eq!((end.sequence, answer.items.len()), (20_000, 19_999));
    assert!(end.result.is_some());
    let status = hr.node.process.wait(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0));
}
