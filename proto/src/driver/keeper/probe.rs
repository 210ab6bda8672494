//! One dial of a URL, step by step, for whoever asks where the way ends: a doctor. The steps are those of every dial, and so are the words.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::lookup_host;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::pki_types::UnixTime;

use super::dials::{Dials, Peer};
use super::fault::{Fault, Names};
use crate::driver::WebSocket;
use crate::driver::accept::Credentials;
use crate::driver::dial::{DialAuthorization, DialError, open_tcp, start_tls};
use crate::driver::endpoint::{Adopted, Endpoint, EndpointConfig, Executor, IncomingCall};
use crate::driver::limits::DIAL_TIMEOUT;
use crate::driver::proxy::ProxyError;
use crate::driver::tls::{Certificate, certificates};
use crate::icf::Secret;
use crate::limits::HANDSHAKE_DEADLINE;

/// A part of the way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The host name has an address.
    Name,
    /// The port takes connections.
    Port,
    /// The proxy leads to the host.
    Proxy,
    /// TLS, with the peer's certificate.
    Tls,
    /// The access token.
    Token,
    /// The WebSocket, with the peer's judgement of who dials.
    Upgrade,
    /// The peer introduces itself.
    Handshake,
    /// The peer asks for connectors, as one that takes the dialler for a connector server.
    Connectors,
}

impl Step {
    /// Its name for an operator.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Port => "port",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::Token => "token",
            Self::Upgrade => "upgrade",
            Self::Handshake => "handshake",
            Self::Connectors => "connectors",
        }
    }
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// Well.
    Well(String),
    /// Well, and somebody should look at it.
    Doubtful(String),
    /// The way ends here: why and what to do, without a full stop.
    Wrong(String),
}

/// What became of each step, in order. Only the last one can be wrong.
pub type Steps = Vec<(Step, Went)>;

/// Walks up to the WebSocket. With the steps comes the WebSocket, if the way leads there. No handshake follows, so no peer takes the dialler for
/// a server that serves.
pub async fn walk<D: Dials>(peer: &Peer, who: &D, names: &'static Names) -> (Steps, Option<WebSocket>) {
    let mut steps = Steps::new();
    let words = |fault: Fault| Went::Wrong(fault.in_words(who.name(), names));
    if let Err((step, fault)) = towards(peer, &mut steps).await {
        steps.push((step, words(fault)));
        return (steps, None);
    }
    let began = Instant::now();
    match who.dial(peer, names).await {
        Ok(opened) => {
            let (name, took) = (who.name(), began.elapsed().as_millis());
            steps.push((Step::Upgrade, Went::Well(format!("the peer lets {name:?} in ({took} ms)"))));
            (steps, Some(opened.socket))
        }
        Err(fault) => {
            let step = match &fault {
                Fault::NoProof(_) => Step::Token,
                Fault::Dial(error) => step_of(error),
                Fault::NoHandshake(_) => Step::Handshake,
            };
            steps.push((step, words(fault)));
            (steps, None)
        }
    }
}

/// The host, the port, the proxy, and TLS.
async fn towards(peer: &Peer, steps: &mut Steps) -> Result<(), (Step, Fault)> {
    let failed = |error: DialError| (step_of(&error), Fault::Dial(error));
    let proxy = peer.extras.proxy.as_ref();
    let (host, port) = proxy.map_or((&peer.url.host, peer.url.port), |proxy| (&proxy.host, proxy.port));
    let resolved = timeout(DIAL_TIMEOUT, lookup_host((host.as_str(), port))).await;
    let resolved = resolved.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let addresses: Vec<String> = resolved
        .map_err(|source| failed(DialError::Resolve { host: host.clone(), source }))?
        .take(ADDRESSES_SHOWN_MAX)
        .map(|address| address.ip().to_string())
        .collect();
    if *addresses != [host.clone()] {
        steps.push((Step::Name, Went::Well(format!("{host} is {}", addresses.join(", ")))));
    }
    let began = Instant::now();
    let opened = open_tcp(&peer.url.host, peer.url.port, proxy, DIAL_TIMEOUT).await;
    let is_reached = |error: &DialError| match error {
        DialError::Proxy { source, .. } => !matches!(source, ProxyError::NotReached(_)),
        DialError::ProxyTimeout { .. } => true,
        _ => false,
    };
    let through_port = opened.as_ref().err().is_none_or(is_reached);
    if through_port {
        let took = began.elapsed().as_millis();
        steps.push((Step::Port, Went::Well(format!("{host}:{port} takes connections ({took} ms)"))));
    }
    let (stream, _) = opened.map_err(failed)?;
    if let Some(proxy) = proxy {
        let (host, port) = (&peer.url.host, peer.url.port);
        steps
            .push((Step::Proxy, Went::Well(format!("{}:{} leads to {host}:{port}", proxy.host, proxy.port))));
    }
    let Some(tls) = &peer.tls else { return Ok(()) };
    let nobody = Credentials { principal: String::new(), secret: Secret::new(String::new()) };
    let target = peer.target(DialAuthorization::Basic(nobody));
    let stream = timeout(DIAL_TIMEOUT, start_tls(stream, &target, tls)).await;
    let stream = stream.unwrap_or(Err(DialError::NoTlsAnswer)).map_err(failed)?;
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().map(certificates).unwrap_or_default();
    steps.push((Step::Tls, about(&shown)));
    Ok(())
}

/// Addresses of a host that are shown.
const ADDRESSES_SHOWN_MAX: usize = 4;

/// The chain that a peer showed.
fn about(shown: &[Certificate]) -> Went {
    let now = UnixTime::now();
    let Some(own) = shown.first() else { return Went::Well("the peer's certificate is trusted".to_owned()) };
    let (subject, last, days) = (&own.subject, own.last_day(), own.days_left(now));
    let chain = match shown.len() {
        1 => String::new(),
        more => format!(", with {} more of its chain", more - 1),
    };
    let text =
        format!("the certificate of {subject:?} is trusted, and valid until {last}, {days} days{chain}");
    match shown.iter().find_map(|certificate| certificate.warning(now)) {
        Some(warning) => Went::Doubtful(warning),
        None => Went::Well(text),
    }
}

/// The part of the way that an error is about.
fn step_of(error: &DialError) -> Step {
    match error {
        DialError::Resolve { .. } | DialError::BadTarget(_) => Step::Name,
        DialError::Connect { .. } | DialError::ConnectTimeout { .. } => Step::Port,
        DialError::Proxy { .. } | DialError::ProxyTimeout { .. } => Step::Proxy,
        DialError::PlainPeer | DialError::NoTlsAnswer | DialError::TlsPeer | DialError::Tls(_) => Step::Tls,
        DialError::TokenInClear { .. } => Step::Token,
        _ => Step::Upgrade,
    }
}

/// Shakes hands on the WebSocket of a walk as the connector server that `executor` is, and waits up to `patience` for the peer to ask for its
/// connectors. Calls that come meanwhile are run. Then the socket closes, once the calls have ended.
pub async fn shake_hands(
    socket: WebSocket,
    executor: Arc<dyn Executor>,
    name: &str,
    names: &'static Names,
    patience: Duration,
) -> Steps {
    let asked = Arc::new(Notify::new());
    let watched = Watched { executor, asked: Arc::clone(&asked) };
    let config = EndpointConfig::new(EndpointConfig::random_identity());
    let endpoint = Endpoint::start(config, Arc::new(watched));
    let began = Instant::now();
    let Adopted { joined, ended } = endpoint.adopt_to_retire(socket);
    let mut steps = Steps::new();
    match joined.await {
        Err(_) => {
            let fault = Fault::NoHandshake(ended.await.ok());
            steps.push((Step::Handshake, Went::Wrong(fault.in_words(name, names))));
        }
        Ok(_) => {
            let took = began.elapsed().as_millis();
            steps.push((Step::Handshake, Went::Well(format!("the peer introduced itself ({took} ms)"))));
            let went = match timeout(patience, asked.notified()).await {
                Ok(()) => Went::Well(
                    "the peer asked for the connectors, as it does with a connector server".to_owned(),
                ),
                Err(_) => Went::Doubtful(format!(
                    "the peer did not ask for the connectors within {} s: it may take {name:?} for a caller. At a router, give the name an \
                     entry [member.NAME] in the file of credentials; at an IDM, look in its log",
                    patience.as_secs()
                )),
            };
            steps.push((Step::Connectors, went));
        }
    }
    endpoint.shut_down(HANDSHAKE_DEADLINE).await;
    steps
}

/// An executor whose peer is seen to ask for connectors.
struct Watched {
    executor: Arc<dyn Executor>,
    asked: Arc<Notify>,
}

impl Executor for Watched {
    fn connector_infos(&self) -> Bytes {
        self.asked.notify_one();
        self.executor.connector_infos()
    }

    fn execute(&self, call: IncomingCall) {
        self.executor.execute(call);
    }
}
