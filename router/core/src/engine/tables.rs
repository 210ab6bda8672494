//! Everything the engine knows, a table for each subject. The fields of a table are its own; what concerns two tables is done in
//! `way`, `upkeep` and `settle`, by the steps that they share (`steps`). No method stands here.

use std::sync::Arc;

use super::callers::Callers;
use super::calls::Calls;
use super::clock::Clock;
use super::event::Phase;
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
    /// What follows from that, with this process's ids in it.
    pub(super) view: Arc<View>,
    /// Names by id and ids by name, for the life of the process.
    pub(super) book: NameBook,
    pub(super) phase: Phase,
    pub(super) identities: Identities,
    /// What the operators' clock showed when the process's clock began.
    pub(super) epoch: At,
    /// What is open.
    pub(super) sockets: Sockets,
    /// Who calls.
    pub(super) callers: Callers,
    /// Who answers.
    pub(super) members: Members,
    /// How calls are spread.
    pub(super) groups: Groups,
    /// What is in flight.
    pub(super) calls: Calls,
    /// What is to be done at which moment.
    pub(super) clock: Clock,
}
