//! How the dialled IDMs are, for readers: `GET /v1/status`, `/metrics`.

use std::sync::Arc;

use rcs_proto::driver::keeper::Kept;
use serde::Serialize;
use tokio::sync::watch;

use super::Key;

/// Every URL of every dialled IDM. Clones see changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<watch::Sender<Vec<IdmRow>>>);

/// One URL.
#[derive(Clone, Debug)]
pub(crate) struct IdmRow {
    key: Key,
    wanted: usize,
    state: Shown,
}

/// What there is to see of a URL.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// Connections to the URL are kept.
    Kept(watch::Receiver<Kept>),
    /// The URL is not dialled: why, and what to do.
    NotDialled(String),
}

/// One URL at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct IdmState {
    /// The name of the IDM's table.
    pub(crate) idm: String,
    /// The URL.
    pub(crate) url: String,
    /// The group that the IDM's calls go to; null if the connector of each call decides.
    pub(crate) group: Option<String>,
    /// Connections that are open and take calls.
    pub(crate) connections: usize,
    /// Connections that there should be.
    pub(crate) wanted: usize,
    /// Why the last attempt to connect failed, and what to do; null after a successful attempt.
    pub(crate) failure: Option<String>,
}

impl IdmRow {
    pub(super) fn new(key: Key, wanted: usize, state: Shown) -> Self {
        Self { key, wanted, state }
    }

    fn now(&self) -> IdmState {
        let kept = match &self.state {
            Shown::Kept(kept) => kept.borrow().clone(),
            Shown::NotDialled(why) => Kept { connections: 0, failure: Some(why.clone()) },
        };
        let (idm, url, group) = self.key.clone();
        IdmState {
            idm,
            url,
            group,
            connections: kept.connections,
            wanted: self.wanted,
            failure: kept.failure,
        }
    }
}

impl IdmState {
    /// A sentence for an operator, without full stop, if the IDM cannot call over this URL.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self { idm, url, .. } = self;
        let why = self.failure.as_deref()?;
        (self.connections == 0).then(|| format!("the IDM {idm:?} at {url} is not connected: {why}"))
    }
}

impl Board {
    /// The state of each URL.
    pub(crate) fn all(&self) -> Vec<IdmState> {
        self.0.borrow().iter().map(IdmRow::now).collect()
    }

    pub(super) fn show(&self, rows: Vec<IdmRow>) {
        for row in &rows {
            let before = self.0.borrow().iter().any(|shown| shown.is_told(row));
            if let (Shown::NotDialled(why), false) = (&row.state, before) {
                let (idm, url, _) = &row.key;
                tracing::warn!(idm, url, "the IDM is not dialled: {why}");
            }
        }
        self.0.send_replace(rows);
    }
}

impl IdmRow {
    /// Whether this row says of the same URL why it is not dialled, and the same reason.
    fn is_told(&self, other: &Self) -> bool {
        match (&self.state, &other.state) {
            (Shown::NotDialled(told), Shown::NotDialled(why)) => self.key == other.key && told == why,
            _ => false,
        }
    }
}

/// Why an IDM is not dialled whose group is not there.
pub(super) fn no_group((_, _, group): &Key) -> String {
    format!(
        "the provider document has no group or server named {:?}: correct group in [idm.NAME], or add the group to the document",
        group.as_deref().unwrap_or_default()
    )
}
