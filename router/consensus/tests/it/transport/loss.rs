//! Routers that die, hang, or were never there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rcs_consensus::RouterId;
use rcs_consensus::messages::ReadIndexRequest;
use rcs_consensus::rpc::{Peer, Request, Transport as _, Unanswered};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::rig::*;

const LONG: Duration = Duration::from_secs(30);

/// A request that a willing receiver never answers.
fn unanswered(cluster: &Cluster) -> Request {
    Request::ReadIndex(ReadIndexRequest { sender: cluster.sender(1) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_dies_leaves_the_request_lost_and_one_that_is_not_there_is_unreachable() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let (transport, to) = (cluster.transport(1), peer(&serving, 2));
    let asked = tokio::spawn({
        let (transport, to, request) = (transport.clone(), to.clone(), unanswered(&cluster));
        async move { transport.ask(&to, request, LONG).await }
    });
    receiver.until_waiting(1).await;
    let died = Instant::now();
    drop(serving);
    let error = within(asked).await.unwrap().unwrap_err();
    assert!(matches!(&error, Unanswered::Lost(text) if text.contains(&to.address)), "{error:?}");
    println!("lost after {:?}: {error}", died.elapsed());
    let error = transport.ask(&to, cluster.hello(1), LONG).await.unwrap_err();
    assert!(matches!(&error, Unanswered::Unreachable(text) if text.contains(&to.address)), "{error:?}");
    // The dials pause for half a second at most: with the router, the answers come back.
    let serving = serve_at(cluster.credentials(2), to.address.parse().unwrap(), &receiver);
    let back = Instant::now();
    within(async { while transport.ask(&to, cluster.hello(1), LONG).await.is_err() {} }).await;
    println!("back after {:?}", back.elapsed());
    drop(serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_kept_and_ends_the_work_of_the_peer() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let (transport, to) = (cluster.transport(1), peer(&serving, 2));
    transport.ask(&to, cluster.hello(1), LONG).await.unwrap();
    let began = Instant::now();
    let error = transport.ask(&to, unanswered(&cluster), Duration::from_millis(200)).await.unwrap_err();
    let took = began.elapsed();
    assert!(matches!(&error, Unanswered::Lost(_)), "{error:?}");
    assert!(took >= Duration::from_millis(200) && took < LONG, "{took:?}");
    receiver.until_waiting(0).await;
    assert_eq!(receiver.seen.lock().unwrap().len(), 2, "it had arrived");
    // Nobody listens in a host's name that does not exist, nor in time at an address that swallows everything.
    let nowhere = Peer { id: None, address: "nowhere.invalid:1".to_owned() };
    let error = transport.ask(&nowhere, cluster.hello(1), LONG).await.unwrap_err();
    assert!(matches!(&error, Unanswered::Unreachable(_)), "{error:?}");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Peer { id: None, address: silent.local_addr().unwrap().to_string() };
    let error = transport.ask(&silent, cluster.hello(1), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(&error, Unanswered::Unreachable(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_router_at_the_address_is_told_from_the_right_one() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let transport = cluster.transport(1);
    let address = serving.address().to_string();
    let wrong = Peer { id: Some(RouterId { number: 3, incarnation: 7 }), address: address.clone() };
    let error = transport.ask(&wrong, cluster.hello(1), LONG).await.unwrap_err();
    assert!(
        matches!(&error, Unanswered::Unreachable(text) if text.contains("is router 2, not router 3")),
        "{error:?}"
    );
    let unknown = Peer { id: None, address };
    transport.ask(&unknown, cluster.hello(1), LONG).await.unwrap();
    assert_eq!(receiver.seen.lock().unwrap().len(), 1);
}

/// Carries bytes between two ends until it is frozen; then it swallows what comes.
async fn carry(from: TcpStream, to: TcpStream, frozen: watch::Receiver<bool>) {
    let (mut a, mut b) = (from.into_split(), to.into_split());
    let half = async |from: &mut tokio::net::tcp::OwnedReadHalf, to: &mut tokio::net::tcp::OwnedWriteHalf| {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            if !*frozen.borrow() && to.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(half(&mut a.0, &mut b.1), half(&mut b.0, &mut a.1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_noticed_long_before_the_deadline() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let address = serving.address();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = listener.local_addr().unwrap();
    let (freeze, frozen) = watch::channel(false);
    let freeze = Arc::new(freeze);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(carry(stream, TcpStream::connect(address).await.unwrap(), frozen.clone()));
        }
    });
    let (transport, to) = (cluster.transport(1), Peer { id: None, address: line.to_string() });
    let asked = tokio::spawn({
        let (transport, to, request) = (transport.clone(), to.clone(), unanswered(&cluster));
        async move { transport.ask(&to, request, 10 * LONG).await }
    });
    receiver.until_waiting(1).await;
    let began = Instant::now();
    freeze.send_replace(true);
    let error = within(asked).await.unwrap().unwrap_err();
    println!("noticed after {:?}: {error}", began.elapsed());
    assert!(matches!(&error, Unanswered::Lost(_)), "{error:?}");
}
