//! How the dialled IDMs are, for readers: `GET /v1/status`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use rcs_core::agreed::At;
use rcs_oauth::dial::Who;
use rcs_proto::driver::keeper::Kept;
use serde::{Serialize, Serializer};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Key, NAMES};
use crate::clock::{rfc3339, wall};

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
    Kept {
        /// How they are.
        kept: watch::Receiver<Kept>,
        /// What the router shows the IDM.
        who: Who,
    },
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
    /// Why no new access token comes from the token endpoint, and what to do; null if one came, or none is needed.
    pub(crate) token_failure: Option<String>,
    /// When the access token ends that new connections are opened with (RFC 3339); null without such a token, or if the authorization server
    /// does not say.
    #[serde(serialize_with = "as_text")]
    pub(crate) token_ends: Option<At>,
}

impl IdmRow {
    pub(super) fn new(key: Key, wanted: usize, state: Shown) -> Self {
        Self { key, wanted, state }
    }

    fn now(&self) -> IdmState {
        let (kept, token_failure, token_ends) = match &self.state {
            Shown::Kept { kept, who } => (kept.borrow().clone(), who.failure(&NAMES), who.token_ends()),
            Shown::NotDialled(why) => (Kept { connections: 0, failure: Some(why.clone()) }, None, None),
        };
        let (idm, url, group) = self.key.clone();
        IdmState {
            idm,
            url,
            group,
            connections: kept.connections,
            wanted: self.wanted,
            failure: kept.failure,
            token_failure,
            token_ends: token_ends.map(on_the_wall),
        }
    }
}

/// When a moment of the process is on the operators' clock.
fn on_the_wall(moment: Instant) -> At {
    let (now, wall) = (Instant::now(), wall());
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match moment.checked_duration_since(now) {
        Some(left) => At(wall.0.saturating_add(millis(left))),
        None => At(wall.0.saturating_sub(millis(now - moment))),
    }
}

fn as_text<S: Serializer>(at: &Option<At>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

impl IdmState {
    /// A sentence for an operator, without full stop, if the IDM cannot call over this URL, or soon may not.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self { idm, url, connections, failure, token_failure, .. } = self;
        match (connections, failure, token_failure) {
            (0, Some(why), _) | (0, None, Some(why)) => {
                Some(format!("the IDM {idm:?} at {url} is not connected: {why}"))
            }
            (1.., _, Some(why)) => Some(format!(
                "the IDM {idm:?} at {url} is connected, and further connections need an access token: {why}"
            )),
            _ => None,
        }
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
