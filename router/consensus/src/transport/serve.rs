//! The listener for other routers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcs_proto::driver::places::Places;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::arriving::Arriving;
use super::credentials::Credentials;
use super::refusals::{Refusals, Refused};
use super::session::session;
use super::shared::Shared;
use super::stream::Listen;
use crate::limits::{ACCEPT_PAUSE, CLOSE_TIME_MAX, HALF_OPEN_MAX, SNAPSHOTS_MAX};
use crate::rpc::Receiver;

/// A listener that serves. Dropping it ends all its connections at once.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Serves other routers on a listener, such as one of [`rcs_proto::driver::listen::bind`]. The listener must not block. `receiver` is given
/// the requests whose senders are whom their certificates name; a request that takes too long, or whose sender gives it up, is dropped
/// within `receive`. `arrivals` is given the connections that are to become WebSockets.
///
/// # Errors
/// If the listener cannot be used. Panics outside of a tokio runtime.
pub fn serve<R: Receiver>(
    listener: std::net::TcpListener,
    credentials: Credentials,
    receiver: R,
    arrivals: Option<mpsc::Sender<Arriving>>,
) -> io::Result<Serving> {
    serve_on(TcpListener::from_std(listener)?, credentials, receiver, arrivals)
}

/// The same on a listener of another network than TCP.
///
/// # Errors
/// As [`serve`].
pub fn serve_on<L: Listen, R: Receiver>(
    listener: L,
    credentials: Credentials,
    receiver: R,
    arrivals: Option<mpsc::Sender<Arriving>>,
) -> io::Result<Serving> {
    let address = listener.address()?;
    let shared = Arc::new(Shared {
        credentials,
        refusals: Refusals::default(),
        seats: Arc::default(),
        arrivals,
        snapshots: Semaphore::new(SNAPSHOTS_MAX),
    });
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(run(Arc::clone(&shared), listener, receiver, stopped));
    Ok(Serving { address, shared, stop, task })
}

impl Serving {
    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was refused since the start.
    pub fn refused(&self) -> Refused {
        self.shared.refusals.counts()
    }

    /// Stops listening, and waits until the requests under way are answered, for 2 s at most.
    pub async fn shut_down(mut self) {
        self.stop.send_replace(true);
        // The task does not panic, and nobody else ends it.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run<L: Listen, R: Receiver>(
    shared: Arc<Shared>,
    listener: L,
    receiver: R,
    mut stop: watch::Receiver<bool>,
) {
    let stopped = stop.clone();
    // Owns the connections.
    let mut sessions = JoinSet::new();
    tokio::select! {
        () = accept(&shared, &listener, &receiver, &stopped, &mut sessions) => {}
        () = shared.refusals.tell() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    drop(listener);
    let all = async { while sessions.join_next().await.is_some() {} };
    // What is left is ended with the set.
    let _ = timeout(CLOSE_TIME_MAX, all).await;
}

async fn accept<L: Listen, R: Receiver>(
    shared: &Arc<Shared>,
    listener: &L,
    receiver: &R,
    stop: &watch::Receiver<bool>,
    sessions: &mut JoinSet<()>,
) {
    let places = Places::new(0);
    loop {
        let accepted: (L::Stream, SocketAddr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "the cluster listener cannot accept connections; retrying");
                // Out of descriptors: a stranger gives one back.
                places.end_slowest();
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while sessions.try_join_next().is_some() {}
        // All connections without a certificate can lose their places, so this does not wait.
        let place = places.take(accepted.1.ip(), HALF_OPEN_MAX).await;
        sessions.spawn(session(Arc::clone(shared), accepted, place, receiver.clone(), stop.clone()));
    }
}
