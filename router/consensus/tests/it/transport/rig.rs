//! Routers with a scripted receiver, and a client that keeps no rule.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcs_consensus::RouterId;
use rcs_consensus::messages::consensus_client::ConsensusClient;
use rcs_consensus::messages::{self, HelloRequest, HelloResponse, Sender, SnapshotResponse, VoteResponse};
use rcs_consensus::pki::{Authority, Existing, Files, Identity};
use rcs_consensus::rpc::{PROTOCOL, Peer, Receiver, Rejected, Request, Response};
use rcs_consensus::transport::{Credentials, Serving, TonicTransport, serve};
use rcs_proto::driver::listen;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::{Service, http};

/// Longer than anything takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The certificates of one cluster.
pub(super) struct Cluster {
    pub(super) folder: TempDir,
    pub(super) authority: Authority,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::init("test").unwrap();
        authority.write(folder.path()).unwrap();
        Self { folder, authority }
    }

    pub(super) fn files(&self, router: u32) -> Files {
        Files::in_folder(self.folder.path(), router)
    }

    /// A new certificate of the router, in its files.
    pub(super) fn issue(&self, router: u32) {
        let hosts = ["127.0.0.1".to_owned()];
        self.authority
            .issue(router, &hosts, DAY)
            .unwrap()
            .write(self.folder.path(), Existing::Replace)
            .unwrap();
    }

    pub(super) fn credentials(&self, router: u32) -> Credentials {
        self.issue(router);
        Credentials::load(self.files(router), router).unwrap()
    }

    pub(super) fn transport(&self, router: u32) -> TonicTransport {
        TonicTransport::new(self.credentials(router))
    }

    /// Who sends: the router with this number.
    pub(super) fn sender(&self, router: u32) -> Option<Sender> {
        let id = messages::RouterId { number: router, incarnation: 7 };
        let cluster = self.authority.cluster().to_owned();
        Some(Sender { protocol: PROTOCOL, cluster, id: Some(id), receiver: None })
    }

    pub(super) fn hello(&self, router: u32) -> Request {
        Request::Hello(HelloRequest { sender: self.sender(router) })
    }
}

/// What a scripted receiver does with a request; `None` is never to answer.
type Script = dyn Fn(&Request) -> Option<Result<Response, Rejected>> + Send + Sync;

#[derive(Clone)]
pub(super) struct Scripted {
    script: Arc<Script>,
    pub(super) seen: Arc<Mutex<Vec<Request>>>,
    /// Requests that are waiting for an answer that does not come.
    pub(super) waiting: watch::Sender<usize>,
}

impl Scripted {
    pub(super) fn new(
        script: impl Fn(&Request) -> Option<Result<Response, Rejected>> + Send + Sync + 'static,
    ) -> Self {
        Self { script: Arc::new(script), seen: Arc::default(), waiting: watch::channel(0).0 }
    }

    /// Answers what needs little, and keeps silent otherwise.
    pub(super) fn willing() -> Self {
        Self::new(|request| match request {
            Request::Hello(_) => Some(Ok(Response::Hello(HelloResponse { term: 7, ..Default::default() }))),
            Request::Vote(_) => {
                Some(Ok(Response::Vote(VoteResponse { granted: true, ..Default::default() })))
            }
            Request::Snapshot { .. } => Some(Ok(Response::Snapshot(SnapshotResponse::default()))),
            _ => None,
        })
    }

    /// Waits until so many requests wait for an answer.
    pub(super) async fn until_waiting(&self, expected: usize) {
        let mut waiting = self.waiting.subscribe();
        within(waiting.wait_for(|count| *count == expected)).await.unwrap();
    }
}

struct Waits(watch::Sender<usize>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Receiver for Scripted {
    async fn receive(&self, request: Request) -> Result<Response, Rejected> {
        let answer = (self.script)(&request);
        self.seen.lock().unwrap().push(request);
        match answer {
            Some(answer) => answer,
            None => {
                self.waiting.send_modify(|count| *count += 1);
                let _waits = Waits(self.waiting.clone());
                std::future::pending().await
            }
        }
    }
}

/// Serves as this router, on a free port.
pub(super) fn serving(cluster: &Cluster, router: u32, receiver: &Scripted) -> Serving {
    serve_at(cluster.credentials(router), ([127, 0, 0, 1], 0).into(), receiver)
}

pub(super) fn serve_at(credentials: Credentials, address: SocketAddr, receiver: &Scripted) -> Serving {
    serve(listen::bind(address).unwrap(), credentials, receiver.clone(), None).unwrap()
}

pub(super) fn peer(serving: &Serving, router: u32) -> Peer {
    Peer { id: Some(RouterId { number: router, incarnation: 7 }), address: serving.address().to_string() }
}

/// The result of a future that must end soon.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Looks again and again until it is so.
pub(super) async fn until(mut is_so: impl FnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    within(async {
        while !is_so() {
            looks.tick().await;
        }
    })
    .await;
}

/// A TLS configuration that trusts the cluster, and shows the certificate of these files or none.
pub(super) fn tls(cluster: &Cluster, shown: Option<&Files>) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = cluster.folder.path().join("ca.pem");
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&files.key).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

pub(super) async fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    within(TlsConnector::from(config).connect(name, stream)).await.unwrap()
}

/// A client without the transport's own checks.
pub(super) async fn raw(cluster: &Cluster, router: u32, serving: &Serving) -> ConsensusClient<Raw> {
    cluster.issue(router);
    let stream = connect(serving.address(), tls(cluster, Some(&cluster.files(router)))).await;
    let io = TokioIo::new(stream);
    let (send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    ConsensusClient::with_origin(Raw(send), http::Uri::from_static("https://router"))
}

pub(super) struct Raw(hyper::client::conn::http2::SendRequest<tonic::body::Body>);

impl Service<http::Request<tonic::body::Body>> for Raw {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// The certificate in the router's file, in DER.
pub(super) fn certificate(files: &Files) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.certificate).unwrap()
}

pub(super) fn is_good(files: &Files, router: u32) -> bool {
    Identity::load(files, router, SystemTime::now()).is_ok()
}

/// Bytes that compress badly and differ everywhere.
pub(super) fn noise(length: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(length as u64);
    (0..length).map(|_| random.u8(..)).collect()
}
