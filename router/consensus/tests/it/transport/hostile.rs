//! Strangers, and routers that lie.
//!
//! A recorded connection cannot be played again: in TLS 1.3 both ends mix fresh random bytes into the keys, so the bytes of one connection
//! are noise in another; the records of one connection are numbered under its keys; and neither session tickets nor early data exist.
//! `recorded_bytes_are_noise_in_another_connection` plays one again.

use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rcs_consensus::limits::MESSAGE_BYTES_MAX;
use rcs_consensus::messages::{HelloRequest, ProposeRequest, RouterId};
use rcs_consensus::pki::Files;
use rcs_consensus::rpc::{Peer, Request, Transport as _, Unanswered};
use rcs_consensus::transport::{Credentials, Reason, TonicTransport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use super::rig::*;

const LONG: Duration = Duration::from_secs(30);

/// The connection ends, whatever is read of it.
async fn ends(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let mut bytes = Vec::new();
    let _ = within(stream.read_to_end(&mut bytes)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_certificate_of_the_cluster_gets_no_answer() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let count = |reason| serving.refused().of(reason);

    for bytes in
        [&b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &noise(4_096)]
    {
        let before = count(Reason::NotTls) + count(Reason::Certificate);
        let mut stream = TcpStream::connect(serving.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        ends(stream).await;
        until(|| count(Reason::NotTls) + count(Reason::Certificate) == before + 1).await;
    }

    // In TLS 1.3 the client is told after its own handshake.
    let before = count(Reason::Certificate);
    ends(connect(serving.address(), tls(&cluster, None)).await).await;
    until(|| count(Reason::Certificate) == before + 1).await;

    let foreign = Cluster::new();
    foreign.issue(1);
    ends(connect(serving.address(), tls(&cluster, Some(&foreign.files(1)))).await).await;
    until(|| count(Reason::Certificate) == before + 2).await;

    // A whole transport of a foreign cluster does not trust this one either.
    let error = foreign.transport(1).ask(&peer(&serving, 2), foreign.hello(1), LONG).await.unwrap_err();
    assert!(matches!(&error, Unanswered::Unreachable(text) if text.contains("ca.pem")), "{error:?}");
    assert!(receiver.seen.lock().unwrap().is_empty());
}

/// The files of two routers, of two clusters, that one external authority signed.
fn two_clusters_of_one_authority() -> (tempfile::TempDir, Files, Files) {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::from_params(&params, &key);
    let block = |label: &str, der: &[u8]| {
        use base64::Engine as _;
        let body = base64::prelude::BASE64_STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    let make = |cluster: &str, router: u32| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        let uri = format!("spiffe://{cluster}/router/{router}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let files = Files::in_folder(folder.path(), router);
        std::fs::write(&files.authorities, block("CERTIFICATE", authority.der())).unwrap();
        std::fs::write(&files.certificate, block("CERTIFICATE", certificate.der())).unwrap();
        std::fs::write(&files.key, block("PRIVATE KEY", &key.serialize_der())).unwrap();
        files
    };
    let (one, two) = (make("prod", 1), make("test", 2));
    (folder, one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_of_one_external_authority_stay_apart() {
    let (_folder, one, two) = two_clusters_of_one_authority();
    assert!(is_good(&one, 1) && is_good(&two, 2));
    let receiver = Scripted::willing();
    let serving = serve_at(Credentials::load(two, 2).unwrap(), ([127, 0, 0, 1], 0).into(), &receiver);
    let transport = TonicTransport::new(Credentials::load(one, 1).unwrap());
    let hello = Request::Hello(HelloRequest::default());
    let error = transport.ask(&peer(&serving, 2), hello, LONG).await.unwrap_err();
    let says = "is for cluster test, not for prod";
    assert!(matches!(&error, Unanswered::Unreachable(text) if text.contains(says)), "{error:?}");
    assert!(receiver.seen.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_speaks_for_itself_alone() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let (transport, to) = (cluster.transport(1), peer(&serving, 2));
    let told = |change: fn(&mut rcs_consensus::messages::Sender)| {
        let mut sender = cluster.sender(1).unwrap();
        change(&mut sender);
        Request::Hello(HelloRequest { sender: Some(sender) })
    };
    let forged = told(|sender| sender.id = Some(RouterId { number: 3, incarnation: 7 }));
    for (request, says) in [
        (forged, "claims to come from router 3"),
        (told(|sender| sender.id = None), "claims to come from router 0"),
        (told(|sender| sender.cluster = "other".to_owned()), "two clusters are never merged"),
        (told(|sender| sender.protocol = 2), "not version 2"),
        (told(|sender| sender.protocol = 0), "not version 0"),
        (told(|sender| sender.protocol = u32::MAX), "not version 4294967295"),
        (Request::Hello(HelloRequest { sender: None }), "names no sender"),
    ] {
        let error = transport.ask(&to, request, LONG).await.unwrap_err();
        assert!(matches!(&error, Unanswered::Refused(text) if text.contains(says)), "{error:?}");
    }
    assert_eq!((serving.refused().of(Reason::Forged), serving.refused().of(Reason::Request)), (2, 5));
    assert!(receiver.seen.lock().unwrap().is_empty());
    transport.ask(&to, told(|sender| sender.cluster.clear()), LONG).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused_by_both_ends() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let large =
        || ProposeRequest { sender: cluster.sender(1), commands: vec![vec![7; MESSAGE_BYTES_MAX].into()] };
    let error =
        cluster.transport(1).ask(&peer(&serving, 2), Request::Propose(large()), LONG).await.unwrap_err();
    assert!(matches!(&error, Unanswered::Refused(text) if text.contains("routers accept")), "{error:?}");
    let mut client = raw(&cluster, 1, &serving).await;
    let status = within(client.propose(large())).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    assert_eq!(serving.refused().of(Reason::Request), 1);
    assert!(receiver.seen.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_half_open_connections_keep_no_router_out() {
    rcs_proto::driver::descriptors::Descriptors::raise().unwrap();
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    let to = peer(&serving, 2);
    let known = cluster.transport(1);
    known.ask(&to, cluster.hello(1), LONG).await.unwrap();
    let mut slowest = (Duration::ZERO, Duration::ZERO);
    let mut held = Vec::new();
    for round in 0..20 {
        for number in 0..100 {
            let mut stream = TcpStream::connect(serving.address()).await.unwrap();
            if number % 2 == 0 {
                // The head of a TLS record whose rest never comes.
                stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
            }
            held.push(stream);
        }
        let began = Instant::now();
        known.ask(&to, cluster.hello(1), LONG).await.unwrap();
        slowest.0 = slowest.0.max(began.elapsed());
        let newcomer = cluster.transport(3 + round);
        let began = Instant::now();
        newcomer.ask(&to, cluster.hello(3 + round), LONG).await.unwrap();
        slowest.1 = slowest.1.max(began.elapsed());
    }
    println!(
        "slowest answers beside {} half-open connections: open {:?}, new {:?}",
        held.len(),
        slowest.0,
        slowest.1
    );
    assert!(slowest.0.max(slowest.1) < Duration::from_secs(1), "{slowest:?}");
    let crowded = || serving.refused().of(Reason::Crowded);
    until(|| crowded() > 1_000).await;
    println!("{} of them lost their places", crowded());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_byte_by_byte_ends_within_its_time() {
    let cluster = Cluster::new();
    let serving = serving(&cluster, 2, &Scripted::willing());
    let (mut read, mut write) = TcpStream::connect(serving.address()).await.unwrap().into_split();
    let began = Instant::now();
    let drip = tokio::spawn(async move {
        let mut record = [0x16, 3, 1, 2, 0].into_iter().chain(std::iter::repeat(1));
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while write.write_all(&[record.next().unwrap()]).await.is_ok() {
            tick.tick().await;
        }
    });
    let mut bytes = Vec::new();
    let _ = within(read.read_to_end(&mut bytes)).await;
    until(|| serving.refused().of(Reason::Slow) + serving.refused().of(Reason::Certificate) == 1).await;
    println!("ended after {:?}", began.elapsed());
    drip.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_bytes_are_noise_in_another_connection() {
    let cluster = Cluster::new();
    let receiver = Scripted::willing();
    let serving = serving(&cluster, 2, &receiver);
    // A line that records what the client says.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = listener.local_addr().unwrap();
    let address = serving.address();
    let (record, mut recorded) = tokio::sync::mpsc::unbounded_channel();
    let tap = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from, mut back) = client.into_split();
        let (mut answers, mut to) = TcpStream::connect(address).await.unwrap().into_split();
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            record.send(bytes[..count].to_vec()).unwrap();
            to.write_all(&bytes[..count]).await.unwrap();
        }
    });
    let via = Peer { id: None, address: line.to_string() };
    let transport = cluster.transport(1);
    transport.ask(&via, cluster.hello(1), LONG).await.unwrap();
    drop(transport);
    within(tap).await.unwrap();
    let mut again = TcpStream::connect(address).await.unwrap();
    while let Some(bytes) = recorded.recv().await {
        // The peer may have hung up already.
        let _ = again.write_all(&bytes).await;
    }
    ends(again).await;
    until(|| serving.refused().of(Reason::Certificate) == 1).await;
    assert_eq!(receiver.seen.lock().unwrap().len(), 1, "it was asked once");
}
