//! What holds state at its member stays there, and ends with an error that says so, at once, when the member dies: pages of a
//! search with real peers, subscriptions with scripted ones (X01; WIRE 5.5, 11.9).

use std::time::{Duration, Instant};

use rcs_proto::frames;
use rcs_proto::messages::{
    ConnectorEventSubscriptionOpRequest, ConnectorEventSubscriptionOpResponse, ConnectorObject,
    OperationRequest, OperationResponse, SyncDelta, SyncEventSubscriptionOpRequest,
    SyncEventSubscriptionOpResponse, Uid,
};
use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::scripted::{FakeMember, Frame, request};
use rcs_rig::wait::wait_until;

use crate::bounds::{AT_ONCE, PATIENCE};
use crate::fleet::Fleet;
use crate::site::{GROUP, JavaSite, MEMBERS};

/// The rig's cookies are refused by every other member, so a page that strayed would be an error.
#[test]
fn pages_of_real_peers_stay_and_end_with_a_restartable_error() {
    let Some(java) = Java::or_skip("affinity::pages_of_real_peers_stay_and_end_with_a_restartable_error")
    else {
        return;
    };
    let mut site = JavaSite::start(&java);
    let router = site.router("roundrobin", 2);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    let journal = site.journal("journal");
    journal.seed(100, 10);
    idm.ok(&journal.use_command());
    let (mut page, home) = first_page(&mut idm);
    for number in 2..=10 {
        // Calls between two pages would take a plain round robin to the other member.
        assert_eq!(idm.ask("test"), "ok");
        page = idm.ok(&format!("search page=5 cookie={}", cookie(&page)));
        assert!(page.starts_with("5 "), "page {number}: {page}");
        assert!(cookie(&page).starts_with(MEMBERS[home]), "page {number}: {page}");
    }
    site.members[home].kill();
    let killed = Instant::now();
    let answer = idm.ask(&format!("search page=5 cookie={}", cookie(&page)));
    let took = killed.elapsed();
    println!("a page of a member killed before it: `{answer}` after {took:?}");
    assert!(answer.starts_with("err RemoteWrappedException(RetryableException)"), "{answer}");
    assert!(took < AT_ONCE, "told after {took:?}");
    let again = idm.ask("search page=5");
    assert!(again.starts_with("ok 5 "), "from the first page on: {again}");
}

#[test]
fn a_page_under_way_at_a_killed_real_member_ends_with_a_restartable_error() {
    let name = "affinity::a_page_under_way_at_a_killed_real_member_ends_with_a_restartable_error";
    let Some(java) = Java::or_skip(name) else { return };
    let mut site = JavaSite::start(&java);
    let router = site.router("roundrobin", 2);
    let mut idm = Idm::start_through(&java, &router.url(Some(GROUP)), 1);
    let journal = site.journal("journal");
    journal.seed(100, 10);
    idm.ok(&format!("{} delayMillis=2000", journal.use_command()));
    let (page, home) = first_page(&mut idm);
    idm.begin(&format!("search page=5 cookie={}", cookie(&page)));
    let in_flight = || router.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]);
    wait_until("the page is under way", AT_ONCE, || in_flight() >= 1.0);
    site.members[home].kill();
    let killed = Instant::now();
    let answer = idm.answer("search", PATIENCE);
    let took = killed.elapsed();
    println!("a page under way at a killed member: `{answer}` after {took:?}");
    assert!(answer.starts_with("err RemoteWrappedException(RetryableException)"), "{answer}");
    assert!(took < AT_ONCE, "told after {took:?}");
}

/// Twenty subscriptions of both kinds over two members: events come from the one that has the subscription; when it dies, its
/// subscriptions end in an error, the others go on, and none is made again elsewhere behind its caller's back.
#[test]
fn subscriptions_stay_and_end_with_a_restartable_error() {
    const EACH: usize = 10;
    let mut fleet = Fleet::start(2, "roundrobin", 2);
    let mut idm = fleet.idm(2);
    let mut subscriptions: Vec<(i64, usize, Frame)> = Vec::new();
    for n in 0..2 * EACH {
        let id = idm.call_on(n % 2, &subscribe(n));
        let (at, call) = fleet.asked("the subscription");
        call.socket.send(&frames::answer(call.id(), &event(&call, None)));
        assert!(idm.answer(id).answer().is_some(), "subscribed");
        subscriptions.push((id, at, call));
    }
    let at = |member| subscriptions.iter().filter(move |(_, at, _)| *at == member);
    assert_eq!((at(0).count(), at(1).count()), (EACH, EACH), "round robin counts them too");
    for n in 0..5_u8 {
        for (id, _, call) in &subscriptions {
            call.socket.send(&frames::answer(call.id(), &event(call, Some(n))));
            assert_eq!(idm.answer(*id).answer(), Some(&event(call, Some(n))));
        }
    }

    fleet.members[0].die();
    let died = Instant::now();
    for (id, _, _) in at(0) {
        let end = idm.answer(*id);
        let class = end.error().map(|e| e.exception_class.clone()).unwrap_or_default();
        // OpenIDM takes it, like every lost connection, as "try again" (HTTP 503).
        assert!(class.ends_with(".ConnectionBrokenException"), "{end:?}");
    }
    println!("{EACH} subscriptions of a dead member ended after {:?}", died.elapsed());
    assert!(died.elapsed() < AT_ONCE, "told after {:?}", died.elapsed());
    for (id, _, call) in at(1) {
        call.socket.send(&frames::answer(call.id(), &event(call, Some(9))));
        assert_eq!(idm.answer(*id).answer(), Some(&event(call, Some(9))));
    }
    let survivor: &mut FakeMember = &mut fleet.members[1];
    survivor.inbox.expect_none("made again", Duration::ZERO, |f| f.operation().is_some());
}

/// The first page, and the number of the member that gave it.
fn first_page(idm: &mut Idm) -> (String, usize) {
    let page = idm.ok("search page=5");
    let home = MEMBERS.iter().position(|member| cookie(&page).starts_with(member));
    (page.clone(), home.unwrap_or_else(|| unreachable!("a cookie of no member: {page}")))
}

fn cookie(page: &str) -> &str {
    page.split(' ').find_map(|word| word.strip_prefix("cookie=")).unwrap_or_default()
}

/// Subscription `n`: every other one is of the other kind.
fn subscribe(n: usize) -> OperationRequest {
    let object_class = "__ACCOUNT__".to_owned();
    if n % 4 < 2 {
        let subscribe = ConnectorEventSubscriptionOpRequest { object_class, ..Default::default() };
        OperationRequest { connector_event_subscription: Some(subscribe), ..request() }
    } else {
        let subscribe = SyncEventSubscriptionOpRequest { object_class, ..Default::default() };
        OperationRequest { sync_event_subscription: Some(subscribe), ..request() }
    }
}

/// "Subscribed", or event `n`, of the kind of the call.
fn event(call: &Frame, n: Option<u8>) -> OperationResponse {
    if call.operation().is_some_and(|o| o.connector_event_subscription.is_some()) {
        let connector_object = n.map(|n| ConnectorObject {
            object_class: "__ACCOUNT__".to_owned(),
            attributes: vec![n; 9].into(),
        });
        let body = ConnectorEventSubscriptionOpResponse { connector_object, completed: false };
        OperationResponse { connector_event_subscription: Some(body), ..OperationResponse::default() }
    } else {
        let uid = |n| Some(Uid { value: format!("u{n}"), revision: String::new() });
        let sync_delta = n.map(|n| SyncDelta { uid: uid(n), ..SyncDelta::default() });
        let body = SyncEventSubscriptionOpResponse { sync_delta, completed: false };
        OperationResponse { sync_event_subscription: Some(body), ..OperationResponse::default() }
    }
}
