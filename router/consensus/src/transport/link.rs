//! One connection to one router, dialled when it is needed.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::credentials::Credentials;
use super::dial::{Connection, backoff, dial};
use super::stream::Dial;
use crate::limits::REDIAL_MAX;

/// A connection, or the way to one.
#[derive(Debug)]
pub(super) struct Link {
    address: String,
    state: watch::Sender<State>,
}

#[derive(Debug)]
enum State {
    /// No connection, and none is under way.
    Idle {
        /// Dials that failed since the last success.
        failures: u32,
        /// Why the last one failed, and when the next one may begin.
        last: Option<(String, Instant)>,
    },
    /// A task dials.
    Dialling,
    Open(Connection),
}

/// What follows from a look at the state.
enum Found {
    Open(Connection),
    Failed(String),
    /// The caller begins to dial, after so many failures.
    Dial(u32),
    Wait,
}

impl Link {
    pub(super) fn new(address: &str) -> Arc<Self> {
        let (state, _) = watch::channel(State::Idle { failures: 0, last: None });
        Arc::new(Self { address: address.to_owned(), state })
    }

    /// The open connection. If there is none, it is dialled; a dial goes on when those who wait for it give up. After a failure the next
    /// dial waits, and until then this fails at once. The sentence of an error goes on after "the router at ADDRESS".
    pub(super) async fn connection<D: Dial>(
        self: &Arc<Self>,
        way: &D,
        credentials: &Credentials,
        until: Instant,
    ) -> Result<Connection, String> {
        let mut changes = self.state.subscribe();
        loop {
            match self.look() {
                Found::Open(connection) => return Ok(connection),
                Found::Failed(reason) => return Err(reason),
                Found::Dial(failures) => {
                    tokio::spawn(Arc::clone(self).dial(way.clone(), credentials.clone(), failures));
                }
                Found::Wait => {}
            }
            let settled = changes.wait_for(|state| !matches!(state, State::Dialling));
            match timeout_at(until, settled).await {
                Ok(_) if Instant::now() < until => {}
                _ => return Err("is being connected, which takes longer than the request may".to_owned()),
            }
        }
    }

    fn look(&self) -> Found {
        let now = Instant::now();
        let mut found = Found::Wait;
        self.state.send_if_modified(|state| {
            found = match state {
                State::Dialling => Found::Wait,
                State::Open(connection) if !connection.send.is_closed() => Found::Open(connection.clone()),
                // It was hardly open: a peer that closes each connection is not dialled in a loop.
                State::Open(connection) if now < connection.since + REDIAL_MAX => {
                    let reason = "closed the connection at once".to_owned();
                    let last = Some((reason.clone(), connection.since + REDIAL_MAX));
                    *state = State::Idle { failures: 0, last };
                    Found::Failed(reason)
                }
                State::Open(_) => Found::Dial(0),
                State::Idle { last: Some((reason, not_before)), .. } if now < *not_before => {
                    Found::Failed(reason.clone())
                }
                State::Idle { failures, .. } => Found::Dial(*failures),
            };
            let dials = matches!(found, Found::Dial(_));
            if dials {
                *state = State::Dialling;
            }
            dials
        });
        found
    }

    async fn dial<D: Dial>(self: Arc<Self>, way: D, credentials: Credentials, failures: u32) {
        let live = credentials.live();
        self.state.send_replace(match dial(&way, &self.address, &live).await {
            Ok(connection) => {
                credentials.note(connection.peer.router, connection.dates);
                State::Open(connection)
            }
            Err(reason) => {
                let failures = failures.saturating_add(1);
                State::Idle { failures, last: Some((reason, Instant::now() + backoff(failures))) }
            }
        });
    }
}
