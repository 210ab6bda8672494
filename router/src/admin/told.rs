//! What the log says about tokens that were refused. Nobody repeats a line at will: the guard logs each kind once a second.

use std::net::IpAddr;

use super::gate::Denied;

/// A token that was refused, as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refused {
    /// No token has this text.
    Wrong,
    /// The token of this name may only read.
    ReadOnly(String),
    /// The token of this name may not change tokens and routers.
    NotAdmin(String),
}

impl Refused {
    /// The token that a refusal is about, if it showed one.
    pub(super) fn of(denied: &Denied) -> Option<Self> {
        match denied {
            Denied::WrongToken => Some(Self::Wrong),
            Denied::ReadOnly { name } => Some(Self::ReadOnly(name.clone())),
            Denied::NotAdmin { name } => Some(Self::NotAdmin(name.clone())),
            Denied::NoToken | Denied::NoViewer | Denied::NoLooking(_) | Denied::NoChanges => None,
        }
    }

    /// Logs the first one of a second.
    pub(super) fn tell_first(&self, peer: IpAddr) {
        match self {
            Self::Wrong => tracing::warn!(
                "a request with a wrong API token was refused, from {peer}. If you did not send it, somebody tries tokens"
            ),
            Self::ReadOnly(name) => tracing::warn!(
                "a change was refused, from {peer}: the API token {name:?} has the role viewer, which only reads. If nobody of yours sent \
                 the change, revoke the token: rcs-router token revoke NAME"
            ),
            Self::NotAdmin(name) => tracing::warn!(
                "a change of tokens or routers was refused, from {peer}: the API token {name:?} has the role operator. If nobody of yours \
                 sent the change, revoke the token: rcs-router token revoke NAME"
            ),
        }
    }

    /// Logs how many came after the first one.
    pub(super) fn tell_more(&self, count: usize, peer: IpAddr) {
        match self {
            Self::Wrong => {
                tracing::warn!("{count} more requests with a wrong API token in the last second from {peer}");
            }
            Self::ReadOnly(name) => {
                tracing::warn!(
                    "{count} more changes with the viewer token {name:?} in the last second from {peer}"
                );
            }
            Self::NotAdmin(name) => {
                tracing::warn!(
                    "{count} more changes of tokens or routers with the operator token {name:?} in the last second from {peer}"
                );
            }
        }
    }
}
