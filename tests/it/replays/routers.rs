//! Sockets of one RCS on different routers, as behind a Kubernetes Service: it files sockets by sessionId, so routers that
//! shared one would get each other's answers (WIRE 8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use rcs_proto::frames;
use rcs_proto::messages::{GetOpRequest, GetOpResponse, OperationRequest, OperationResponse, Uid};
use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, FakeMember, Manners, Socket, request};
use rcs_rig::workspace;

use crate::fleet::{document, path};
use crate::site::{GROUP, JavaSite};

const ROUTERS: usize = 3;
const SOCKETS: u32 = 2;
const CALLS: usize = 4_000;
const OPEN: usize = 16;
const SEED: u64 = 8;

/// Three routers, six sockets. Every router counts its calls from the same number, so an answer that strayed would be taken.
#[test]
fn one_member_behind_three_routers_mixes_nothing_up() {
    println!("{ROUTERS} routers, {CALLS} calls each, seed {SEED}");
    let members = vec![FakeMember::listen("n1", Manners::Polite)];
    let scratch = workspace::scratch();
    let provider = document(&scratch, "failover", SOCKETS, &members);
    let routers: Vec<Router> = (0..ROUTERS).map(|_| Router::start(&provider)).collect();
    for router in &routers {
        router.await_up(GROUP, &["n1"]);
    }
    let mut members = members;
    let mut member = members.remove(0);
    member.await_sockets(ROUTERS * SOCKETS as usize);
    let answering = thread::spawn(move || answer_on_any_socket_of_the_session(&mut member));
    let callers: Vec<_> = routers
        .iter()
        .enumerate()
        .map(|(at, router)| {
            let idm = FakeIdm::connect(router.listen(), &path(), 2);
            thread::spawn(move || call_and_compare(idm, &format!("router-{at}")))
        })
        .collect();
    for caller in callers {
        caller.join().expect("every answer was its own");
    }
    let sessions = answering.join().expect("the member answers to the end");
    assert_eq!(sessions.len(), ROUTERS, "sessions: {sessions:?}");
    let sockets: Vec<usize> = sessions.values().copied().collect();
    assert_eq!(sockets, [SOCKETS as usize; ROUTERS], "sockets of each session");
}

/// The same with real peers: one Java RCS of six sockets behind two routers, a Java IDM at each.
#[test]
fn one_java_member_behind_two_routers_serves_both() {
    let name = "replays::routers::one_java_member_behind_two_routers_serves_both";
    let Some(java) = Java::or_skip(name) else { return };
    let site = JavaSite::start(&java);
    let journal = site.journal("journal");
    journal.seed(1, 10);
    let routers = [site.router("failover", 3), site.router("failover", 3)];
    let mut idms = routers.each_ref().map(|router| Idm::start_through(&java, &router.url(Some(GROUP)), 1));
    for idm in &mut idms {
        idm.ok(&journal.use_command());
    }
    for idm in &mut idms {
        idm.begin("load get 4 4 u1");
    }
    for idm in &mut idms {
        let load = idm.load_answer();
        println!("{} gets, {} errors, served by {:?}", load.ok, load.err, load.served);
        assert!(load.err == 0 && load.hung_threads == 0 && load.ok > 100, "{load:?}");
    }
}

/// Answers gets with the uid that they ask for, each on a random socket of the session that it came from, until all are done.
/// Returns how many sockets each session has.
fn answer_on_any_socket_of_the_session(member: &mut FakeMember) -> BTreeMap<String, usize> {
    let mut rng = Rng::with_seed(SEED);
    let mut sessions: BTreeMap<String, Vec<Arc<Socket>>> = BTreeMap::new();
    while let Some(hello) = member.inbox.find(Duration::ZERO, |f| f.handshake().is_some()) {
        let session = hello.handshake().map(|h| h.session_id.clone()).unwrap_or_default();
        sessions.entry(session).or_default().push(hello.socket);
    }
    let mut ids = BTreeSet::new();
    for _ in 0..ROUTERS * CALLS {
        let call = member.inbox.operation("a get");
        ids.insert(call.id());
        let uid = call.operation().and_then(|o| o.get.as_ref()?.uid.clone()).unwrap_or_default();
        let mine = sessions.values().find(|s| s.iter().any(|s| s.number() == call.socket.number()));
        let mine = mine.expect("every socket shook hands");
        let answer = GetOpResponse { connector_object: uid.value.into_bytes().into() };
        let answer = OperationResponse { get: Some(answer), ..OperationResponse::default() };
        mine[rng.usize(..mine.len())].send(&frames::answer(call.id(), &answer));
    }
    assert!(
        ids.len() < ROUTERS * CALLS / 2,
        "the routers use other ids: an answer that strays would be dropped"
    );
    sessions.into_iter().map(|(session, sockets)| (session, sockets.len())).collect()
}

/// Gets accounts that only this caller asks for.
fn call_and_compare(mut idm: FakeIdm, prefix: &str) {
    let mut open: BTreeMap<i64, String> = BTreeMap::new();
    let (mut begun, mut done) = (0, 0);
    while done < CALLS {
        while begun < CALLS && open.len() < OPEN {
            let value = format!("{prefix}-{begun}");
            let uid = Some(Uid { value: value.clone(), revision: String::new() });
            let get = GetOpRequest { uid, ..GetOpRequest::default() };
            open.insert(idm.call_on(begun % 2, &OperationRequest { get: Some(get), ..request() }), value);
            begun += 1;
        }
        let frame = idm.inbox.next("an answer", |f| f.answer().is_some() || f.error().is_some());
        let asked = open.remove(&frame.id());
        let got = frame.answer().and_then(|a| Some(a.get.as_ref()?.connector_object.clone()));
        let got = got.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(asked.is_some() && got == asked, "asked for {asked:?}, got {got:?}: {frame:?}");
        done += 1;
    }
}
