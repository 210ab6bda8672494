//! Which group the calls of a connection are for: the path decides, else the principal, else the connector key of each call.

use crate::ids::{GroupId, NameBook};
use crate::view::{PathTarget, View};

/// What a connection chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// All calls of the connection are for one group.
    Group(GroupId),
    /// The connector key of each call decides.
    ByConnectorKey,
}

impl Selector {
    /// The name of the group, if the connection chose one.
    pub(super) fn group_name(self, book: &NameBook) -> Option<&str> {
        match self {
            Self::Group(group) => Some(book.group_name(group)),
            Self::ByConnectorKey => None,
        }
    }
}

/// Why an upgrade request gets no session, with the HTTP status of the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 404
    #[error("no OpenICF endpoint here: use /openicf/GROUP, or /openicf where the connector decides")]
    NoEndpoint,
    /// 404
    #[error("there is no group or server named {0:?} here: check the last part of the path")]
    NoGroup(String),
}

impl Refusal {
    /// The HTTP status of the response.
    pub fn status(&self) -> u16 {
        404
    }
}

/// Chooses the way in by the target of the upgrade request and the principal of its credentials.
pub fn select(view: &View, target: &str, principal: &str) -> Result<Selector, Refusal> {
    match view.path_target(target) {
        PathTarget::Group(group) => Ok(Selector::Group(group)),
        PathTarget::AnyGroup => Ok(match view.group_by_principal(principal) {
            Some(group) => Selector::Group(group.id),
            None => Selector::ByConnectorKey,
        }),
        PathTarget::UnknownGroup(name) => Err(Refusal::NoGroup(name)),
        PathTarget::NotOpenIcf => Err(Refusal::NoEndpoint),
    }
}
