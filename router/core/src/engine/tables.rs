//! Everything the engine knows, a table for each subject. Each table keeps its fields private. What concerns two tables is done in
//! the rooms `way`, `upkeep` and `settle`, and in `steps`, which these three share. This file has no methods.

use std::sync::Arc;

use super::asked::Asked;
use super::callers::Callers;
use super::calls::Calls;
use super::clock::Clock;
use super::event::{Deciding, Phase};
use super::groups::Groups;
use super::identity::Identities;
use super::members::Members;
use super::sockets::Sockets;
use crate::agreed::{Agreed, At};
use crate::ids::NameBook;
use crate::view::View;

/// The router's live state.
#[derive(Debug)]
pub(super) struct Tables {
    /// What operators decided.
    pub(super) agreed: Agreed,
    /// The view that follows from `agreed`, with this process's ids.
    pub(super) view: Arc<View>,
    /// Names by id and ids by name, for the life of the process.
    pub(super) book: NameBook,
    pub(super) phase: Phase,
    pub(super) identities: Identities,
    /// What the operators' clock showed when the process's clock began.
    pub(super) epoch: At,
    /// Who decides changes of `agreed`.
    pub(super) deciding: Deciding,
    /// Operators' changes that wait for the routers of the cluster.
    pub(super) asked: Asked,
    /// The open sockets.
    pub(super) sockets: Sockets,
    /// The sessions of callers.
    pub(super) callers: Callers,
    /// The members and their sessions.
    pub(super) members: Members,
    /// How calls are spread.
    pub(super) groups: Groups,
    /// The calls in flight.
    pub(super) calls: Calls,
    /// The timers.
    pub(super) clock: Clock,
}
