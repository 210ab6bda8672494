//! Snapshots, honest and not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use rcs_consensus::limits::SNAPSHOT_BYTES_MAX;
use rcs_consensus::messages::snapshot_part::{Head, Part};
use rcs_consensus::messages::{SnapshotPart, VoteRequest};
use rcs_consensus::rpc::{Request, Transport as _, Unanswered};
use rcs_consensus::transport::Reason;
use tonic::Code;

use super::rig::*;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_arrive_and_votes_are_answered_meanwhile() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let (transport, to) = (cluster.transport(1), peer(&serving, 2));
    let content = noise(20_000_000);
    let head = Head { sender: cluster.sender(1), ..Default::default() };
    let sending = tokio::spawn({
        let (transport, to, content) = (transport.clone(), to.clone(), content.clone());
        async move {
            let began = Instant::now();
            let sent = transport.ask(&to, Request::Snapshot { head, content }, LONG).await;
            (sent, began.elapsed())
        }
    });
    let mut slowest = Duration::ZERO;
    let mut votes = 0;
    while !sending.is_finished() {
        let began = Instant::now();
        let vote = Request::Vote(VoteRequest { sender: cluster.sender(1), ..Default::default() });
        transport.ask(&to, vote, LONG).await.unwrap();
        slowest = slowest.max(began.elapsed());
        votes += 1;
    }
    let (sent, took) = sending.await.unwrap();
    sent.unwrap();
    println!("20 MB took {took:?}; of {votes} votes meanwhile the slowest took {slowest:?}");
    let seen = receiver.seen.lock().unwrap();
    let Some(Request::Snapshot { head, content: arrived }) =
        seen.iter().find(|request| matches!(request, Request::Snapshot { .. }))
    else {
        panic!("a snapshot arrived");
    };
    assert!(*arrived == content && head.length == 20_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_what_its_head_says_is_refused() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let head = |length| Part::Head(Head { sender: cluster.sender(1), length, ..Default::default() });
    let bytes = |length| Part::Content(noise(length));
    let mut refused = 0;
    for (parts, part_of_sentence) in [
        (vec![head(u64::MAX)], "more than the"),
        (vec![head(SNAPSHOT_BYTES_MAX as u64 + 1)], "more than the"),
        (vec![bytes(1)], "not its head"),
        (vec![], "not its head"),
        (vec![head(10), bytes(5)], "ends after 5 of 10"),
        (vec![head(10), bytes(5), bytes(6)], "longer than the 10"),
        (vec![head(10), bytes(5), head(5)], "second head"),
        (vec![head(10), Part::Content(Bytes::new())], "longer"),
    ] {
        let mut client = raw(&cluster, 1, &serving).await;
        let parts = parts.into_iter().map(|part| SnapshotPart { part: Some(part) });
        let status =
            within(client.install_snapshot(stream::iter(parts.collect::<Vec<_>>()))).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(part_of_sentence), "{status:?}");
        refused += 1;
        assert_eq!(serving.refused().of(Reason::Request), refused);
    }
    assert!(receiver.seen.lock().unwrap().is_empty());
    // Our own transport does not even send such a thing.
    let transport = cluster.transport(1);
    let huge = Request::Snapshot {
        head: Head { sender: cluster.sender(1), ..Default::default() },
        content: vec![0; SNAPSHOT_BYTES_MAX + 1].into(),
    };
    let error = transport.ask(&peer(&serving, 2), huge, LONG).await.unwrap_err();
    assert!(matches!(error, Unanswered::Refused(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_few_snapshots_are_taken_at_a_time() {
    let cluster = Cluster::new();
    let receiver = Scripted::new(|_| None);
    let serving = serving(&cluster, 2, &receiver);
    let (transport, to) = (cluster.transport(1), peer(&serving, 2));
    let ask = || {
        let head = Head { sender: cluster.sender(1), ..Default::default() };
        let (transport, to) = (transport.clone(), to.clone());
        async move {
            transport.ask(&to, Request::Snapshot { head, content: Bytes::from_static(b"x") }, LONG).await
        }
    };
    let held = [tokio::spawn(ask()), tokio::spawn(ask())];
    receiver.until_waiting(2).await;
    let error = ask().await.unwrap_err();
    assert!(matches!(&error, Unanswered::Refused(text) if text.contains("try again later")), "{error:?}");
    // Who gives up makes room.
    held.iter().for_each(tokio::task::JoinHandle::abort);
    receiver.until_waiting(0).await;
    let third = tokio::spawn(ask());
    receiver.until_waiting(1).await;
    third.abort();
}
