//! Connections that are to become WebSockets: handed over with the number of their router, or refused like all others.

use std::sync::Arc;
use std::time::Duration;

use rcs_consensus::rpc::Transport as _;
use rcs_consensus::transport::{Arriving, Reason, serve};
use rcs_proto::driver::listen;
use rustls::ClientConfig;
use tokio::sync::mpsc;

use super::rig::*;

/// The same, asking for HTTP/1.1.
fn upgrading(config: Arc<ClientConfig>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The next connection that is handed over, by the number of its router.
async fn next(arrived: &mut mpsc::Receiver<Arriving>) -> Option<u32> {
    let arriving = within(arrived.recv()).await.expect("it is handed over");
    within(arriving.shake_hands()).await.map(|upgrading| upgrading.router)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_a_websocket_shows_a_certificate_of_the_cluster_too() {
    let (cluster, other) = (Cluster::new(), Cluster::new());
    for (of, router) in [(&cluster, 1), (&cluster, 2), (&other, 1)] {
        of.issue(router);
    }
    let (arrivals, mut arrived) = mpsc::channel(4);
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let serving = serve(listener, cluster.credentials(2), Scripted::willing(), Some(arrivals)).unwrap();
    let address = serving.address();
    let own = cluster.credentials(1).upgrading();
    let (_stream, router) = tokio::join!(connect(address, own), next(&mut arrived));
    assert_eq!(router, Some(1));
    // Requests go their own way beside it.
    let (transport, to) = (cluster.transport(1), peer(&serving, 2));
    transport.ask(&to, cluster.hello(1), Duration::from_secs(30)).await.unwrap();
    assert!(arrived.try_recv().is_err());

    // Trusts the router that it dials, and shows nothing, or a certificate of another cluster.
    let refused = || serving.refused().of(Reason::Certificate);
    let files = other.files(1);
    for (count, shown) in [(1, None), (2, Some(&files))] {
        let stranger = upgrading(tls(&cluster, shown));
        let (_stream, router) = tokio::join!(connect(address, stranger), next(&mut arrived));
        assert_eq!((router, refused()), (None, count));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_without_use_for_websockets_ends_them() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    cluster.issue(1);
    let mut stream = connect(serving.address(), cluster.credentials(1).upgrading()).await;
    let mut bytes = Vec::new();
    // It is taken for HTTP/2, whose preface never comes.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    stream.write_all(b"GET /openicf/via/n1 HTTP/1.1\r\n\r\n").await.unwrap();
    let _ = within(stream.read_to_end(&mut bytes)).await;
    assert!(!bytes.starts_with(b"HTTP/1.1 101"), "{bytes:?}");
    assert!(receiver.seen.lock().unwrap().is_empty());
}
