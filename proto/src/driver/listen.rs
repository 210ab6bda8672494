//! A whole listener: TCP, TLS if asked for, and the upgrade, many connections at a time and each within its deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, rustls};

use super::accept::{AcceptError, Refusal, UpgradeRequest, accept};
use super::{WebSocket, limits, tune};

/// Pause after a failed `accept`: the process is out of file descriptors, and only closing some will help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that went through its upgrade, or did not.
#[derive(Debug)]
pub struct Arrival<T> {
    /// Where it came from.
    pub peer: SocketAddr,
    /// The socket, what it asked for and what the decider found out; or why there is none (the peer has been told).
    pub outcome: Result<(WebSocket, UpgradeRequest, T), AcceptError>,
}

/// Accepts for ever. Aborting the task ends the connections whose upgrade is under way, not those handed over.
pub async fn serve<T, D>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    decide: D,
    arrivals: mpsc::Sender<Arrival<T>>,
) where
    T: Send + 'static,
    D: Fn(&UpgradeRequest) -> Result<T, Refusal> + Send + Sync + 'static,
{
    let decide = Arc::new(decide);
    let pending = Arc::new(Semaphore::new(limits::PENDING_UPGRADES));
    // Owns the upgrades under way.
    let mut upgrades = JoinSet::new();
    loop {
        let permit = pending.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, decide, arrivals) = (tls.clone(), decide.clone(), arrivals.clone());
        upgrades.spawn(async move {
            let outcome = upgrade(stream, peer, tls, &*decide).await;
            drop(permit);
            // Nobody to hand it to: the owner is shutting down.
            let _ = arrivals.send(Arrival { peer, outcome }).await;
        });
        while upgrades.try_join_next().is_some() {}
    }
}

async fn upgrade<T>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    decide: &(dyn Fn(&UpgradeRequest) -> Result<T, Refusal> + Send + Sync),
) -> Result<(WebSocket, UpgradeRequest, T), AcceptError> {
    tune(&stream)?;
    match tls {
        None => accept(stream, peer, decide).await,
        Some(tls) => {
            let handshake = timeout(limits::UPGRADE_DEADLINE, tls.accept(stream)).await;
            let stream = handshake.map_err(io::Error::from)?.map_err(tls_error)?;
            accept(stream, peer, decide).await
        }
    }
}

fn tls_error(error: io::Error) -> AcceptError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => AcceptError::PlainOnTls,
        _ => AcceptError::Tls(error),
    }
}
