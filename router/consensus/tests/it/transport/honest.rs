//! Routers that keep the rules.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rcs_consensus::messages::{
    AppendRequest, AppendResponse, ChangeRoutersRequest, ChangeRoutersResponse, Commands, Entry, Failure,
    HelloRequest, HelloResponse, LeaderId, LogId, Problem, ProposeRequest, ProposeResponse, ReadIndexRequest,
    ReadIndexResponse, Router, RouterId, SnapshotMeta, SnapshotResponse, StoredMembership, TakeOverRequest,
    TakeOverResponse, Vote, VoteRequest, VoteResponse, append_response, change_routers_request,
    change_routers_response, entry, propose_response, read_index_response, snapshot_part,
};
use rcs_consensus::rpc::{Rejected, Request, Response, Transport as _, Unanswered};
use rcs_consensus::transport::{Reason, Reloaded};

use super::rig::*;

const LONG: Duration = Duration::from_secs(30);

fn vote() -> Option<Vote> {
    let leader = LeaderId { term: u64::MAX, router: Some(RouterId { number: 1, incarnation: u32::MAX }) };
    Some(Vote { leader: Some(leader), committed: true })
}

fn log_id(index: u64) -> Option<LogId> {
    Some(LogId { leader: vote().unwrap().leader, index })
}

/// Each kind of request with an answer to it.
fn exchanges(cluster: &Cluster) -> Vec<(Request, Response)> {
    let sender = || cluster.sender(1);
    let commands = Commands { commands: vec![noise(64 << 10), noise(0), noise(1)] };
    let entries = vec![
        Entry { id: log_id(1), payload: Some(entry::Payload::Blank(true)) },
        Entry { id: log_id(2), payload: Some(entry::Payload::Commands(commands)) },
    ];
    let router = Some(Router { id: Some(RouterId { number: 2, incarnation: 9 }), address: "h:1".to_owned() });
    let failure = Some(Failure {
        problem: Problem::NotLeader.into(),
        reason: "not ä leader".to_owned(),
        leader: router.clone(),
    });
    let meta = Some(SnapshotMeta { last: log_id(5), membership: None, id: "5-1".to_owned() });
    let head = snapshot_part::Head { sender: sender(), vote: vote(), meta, length: 300_001 };
    let done = propose_response::Done { index: 3, outcomes: vec![noise(3), noise(0), noise(700)] };
    let add = Some(change_routers_request::Change::AddLearner(router.clone().unwrap()));
    vec![
        (
            Request::Hello(HelloRequest { sender: sender() }),
            Response::Hello(HelloResponse {
                receiver: cluster.sender(2),
                has_log: true,
                leader: router,
                term: 9,
                routers: Some(StoredMembership { at: log_id(3), membership: None }),
                forming: "1=h:1,2=h:2".to_owned(),
            }),
        ),
        (
            Request::Vote(VoteRequest { sender: sender(), vote: vote(), last_log: log_id(2) }),
            Response::Vote(VoteResponse { vote: vote(), granted: false, last_log: log_id(1) }),
        ),
        (
            Request::Append(AppendRequest {
                sender: sender(),
                vote: vote(),
                previous: log_id(0),
                entries,
                committed: log_id(1),
            }),
            Response::Append(AppendResponse { outcome: Some(append_response::Outcome::Conflict(true)) }),
        ),
        (
            Request::Snapshot { head, content: noise(300_001) },
            Response::Snapshot(SnapshotResponse { vote: vote() }),
        ),
        (
            Request::Propose(ProposeRequest { sender: sender(), commands: vec![noise(9), noise(16 << 20)] }),
            Response::Propose(ProposeResponse { outcome: Some(propose_response::Outcome::Done(done)) }),
        ),
        (Request::TakeOver(TakeOverRequest { sender: sender() }), Response::TakeOver(TakeOverResponse {})),
        (
            Request::ReadIndex(ReadIndexRequest { sender: sender() }),
            Response::ReadIndex(ReadIndexResponse { outcome: Some(read_index_response::Outcome::Index(4)) }),
        ),
        (
            Request::ChangeRouters(ChangeRoutersRequest { sender: sender(), change: add }),
            Response::ChangeRouters(ChangeRoutersResponse {
                outcome: failure.map(change_routers_response::Outcome::Failure),
            }),
        ),
    ]
}

/// prost writes one message in one way, and `Debug` shows each field.
fn text(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn kind(request: &Request) -> std::mem::Discriminant<Request> {
    std::mem::discriminant(request)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_and_its_answer_arrive_as_they_were() {
    let cluster = Cluster::new();
    let answers: HashMap<_, _> =
        exchanges(&cluster).into_iter().map(|(request, response)| (kind(&request), response)).collect();
    let answers = Mutex::new(answers);
    let receiver = Scripted::new(move |request| Some(Ok(answers.lock().unwrap()[&kind(request)].clone())));
    let serving = serving(&cluster, 2, &receiver);
    let transport = cluster.transport(1);
    for (request, response) in exchanges(&cluster) {
        let answer = transport.ask(&peer(&serving, 2), request.clone(), LONG).await.unwrap();
        assert_eq!(text(&answer), text(&response));
        assert_eq!(text(receiver.seen.lock().unwrap().last().unwrap()), text(&request));
    }
    for reason in Reason::ALL {
        assert_eq!(serving.refused().of(reason), 0, "{reason}");
    }
    serving.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_refusal_comes_with_its_sentence() {
    let cluster = Cluster::new();
    for rejected in [
        Rejected::NoSender,
        Rejected::Protocol(9),
        Rejected::OtherCluster { own: "ä%".to_owned(), theirs: "b".to_owned() },
        Rejected::OtherRouter { own: Default::default(), meant: Default::default() },
        Rejected::Stopped("disk\nfull".to_owned()),
        Rejected::Malformed("odd".to_owned()),
    ] {
        let sentence = rejected.to_string().replace('\n', "\\u000a");
        let receiver = Scripted::new(move |_| Some(Err(rejected.clone())));
        let serving = serving(&cluster, 2, &receiver);
        let transport = cluster.transport(1);
        match transport.ask(&peer(&serving, 2), cluster.hello(1), LONG).await {
            Err(Unanswered::Refused(text)) => {
                assert!(text.ends_with(&format!("refuses: {sentence}")), "{text}")
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(serving.refused().of(Reason::Request), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_over_and_open_connections_stay() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let credentials = cluster.credentials(2);
    let serving = serve_at(credentials.clone(), ([127, 0, 0, 1], 0).into(), &receiver);
    let transport = cluster.transport(1);
    let to = peer(&serving, 2);
    transport.ask(&to, cluster.hello(1), LONG).await.unwrap();
    let pending = tokio::spawn({
        let (transport, to) = (transport.clone(), to.clone());
        let request = Request::Propose(ProposeRequest { sender: cluster.sender(1), commands: vec![] });
        async move { transport.ask(&to, request, LONG).await }
    });
    receiver.until_waiting(1).await;
    let old = certificate(&cluster.files(2));
    assert_eq!(credentials.reload().unwrap(), Reloaded::Same(vec![]));
    assert_eq!(
        credentials.dates().into_keys().collect::<Vec<_>>(),
        [1, 2],
        "its own, and the one that router 1 showed"
    );
    cluster.issue(2);
    assert_ne!(old, certificate(&cluster.files(2)));
    assert_eq!(credentials.reload().unwrap(), Reloaded::Renewed(vec![]));
    // A new connection sees the new certificate, and the old connections live: their request still waits.
    let shown = connect(serving.address(), tls(&cluster, Some(&cluster.files(2)))).await;
    assert_eq!(shown.get_ref().1.peer_certificates().unwrap()[0], certificate(&cluster.files(2)));
    transport.ask(&to, cluster.hello(1), LONG).await.unwrap();
    assert!(*receiver.waiting.borrow() == 1 && !pending.is_finished());
    // What cannot be used changes nothing.
    std::fs::write(cluster.files(2).key, "no key").unwrap();
    let error = credentials.reload().unwrap_err().to_string();
    assert!(error.contains("router-2.key"), "{error}");
    cluster.transport(3).ask(&to, cluster.hello(3), LONG).await.unwrap();
    pending.abort();
    receiver.until_waiting(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_requests_under_way_end() {
    let cluster = Cluster::new();
    let (gate, open) = tokio::sync::watch::channel(false);
    #[derive(Clone)]
    struct Gated(tokio::sync::watch::Receiver<bool>, tokio::sync::mpsc::UnboundedSender<()>);
    impl rcs_consensus::rpc::Receiver for Gated {
        async fn receive(&self, _: Request) -> Result<Response, Rejected> {
            self.1.send(()).unwrap();
            self.0.clone().wait_for(|open| *open).await.unwrap();
            Ok(Response::Hello(HelloResponse::default()))
        }
    }
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let listener = rcs_proto::driver::listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let serving =
        rcs_consensus::transport::serve(listener, cluster.credentials(2), Gated(open, arrived), None)
            .unwrap();
    let (transport, to) = (cluster.transport(1), peer(&serving, 2));
    let asked = tokio::spawn({
        let (transport, to, hello) = (transport.clone(), to.clone(), cluster.hello(1));
        async move { transport.ask(&to, hello, LONG).await }
    });
    within(arrivals.recv()).await.unwrap();
    let stopping = tokio::spawn(serving.shut_down());
    // The listener is gone first.
    within(async { while tokio::net::TcpStream::connect(&to.address).await.is_ok() {} }).await;
    gate.send_replace(true);
    within(asked).await.unwrap().unwrap();
    within(stopping).await.unwrap();
    let text = transport.ask(&to, cluster.hello(1), LONG).await.unwrap_err();
    assert!(matches!(text, Unanswered::Unreachable(_)), "{text:?}");
}
