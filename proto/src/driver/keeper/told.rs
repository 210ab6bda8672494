//! What the log and readers are told of one URL: a line for each change, and none for a repetition.

use tokio::sync::watch;

use super::Peer;
use super::fault::{Fault, Names};
use crate::driver::socket::CloseReason;
use crate::session::SocketId;

/// How the sockets of one URL are kept at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Sockets that take calls.
    pub connections: usize,
    /// Why the last attempt failed or the last socket ended, and what to do, without a full stop; `None` once a later attempt succeeded.
    pub failure: Option<String>,
}

/// What was told of one URL.
pub(super) struct Told {
    url: String,
    principal: String,
    names: &'static Names,
    state: State,
    kept: watch::Sender<Kept>,
}

/// What was told last.
#[derive(Debug, PartialEq, Eq)]
enum State {
    New,
    /// Calls can come.
    Connected,
    /// No socket is left.
    Lost,
    /// Dials fail, for this reason.
    Failing(String),
}

impl Told {
    pub(super) fn new(peer: &Peer, names: &'static Names, kept: watch::Sender<Kept>) -> Self {
        let url = peer.url.to_string();
        Self { url, principal: peer.target.credentials.principal.clone(), names, state: State::New, kept }
    }

    /// The URL is dialled in another way from now on.
    pub(super) fn follow(&mut self, peer: &Peer) {
        self.principal.clone_from(&peer.target.credentials.principal);
    }

    pub(super) fn opened(&mut self, serving: usize, wanted: usize) {
        match self.state {
            State::Connected => {
                tracing::debug!(url = self.url, connections = serving, wanted, "a connection was opened");
            }
            _ => tracing::info!(url = self.url, connections = serving, wanted, "connected"),
        }
        self.state = State::Connected;
        self.kept.send_replace(Kept { connections: serving, failure: None });
    }

    pub(super) fn failed(&mut self, fault: &Fault, serving: usize) {
        let words = fault.in_words(&self.principal, self.names);
        let is_news = !matches!(&self.state, State::Failing(told) if *told == words);
        match (is_news, serving) {
            (false, _) => tracing::debug!(url = self.url, "still no connection: {words}"),
            (true, 0) => tracing::warn!(url = self.url, "no connection: {words}; retrying"),
            (true, connections) => {
                tracing::warn!(url = self.url, connections, "no further connection: {words}; retrying");
            }
        }
        self.kept.send_replace(Kept { connections: serving, failure: Some(words.clone()) });
        self.state = State::Failing(words);
    }

    pub(super) fn retires(&self, socket: SocketId, serving: usize) {
        tracing::debug!(url = self.url, %socket, "a connection is replaced");
        self.kept.send_modify(|kept| kept.connections = serving);
    }

    pub(super) fn ended(&mut self, reason: Option<CloseReason>, serving: usize) {
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        self.kept.send_modify(|kept| kept.connections = serving);
        if serving > 0 {
            tracing::debug!(url = self.url, connections = serving, "a connection has ended{reason}");
        } else if !matches!(self.state, State::Failing(_)) {
            tracing::warn!(url = self.url, "the last connection has ended{reason}; dialling again");
            self.state = State::Lost;
            let failure = format!("the last connection has ended{reason}");
            self.kept.send_modify(|kept| kept.failure = Some(failure));
        }
    }
}
