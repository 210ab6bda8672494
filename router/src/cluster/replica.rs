//! This router's copy of what the cluster has agreed on, as the machine that the log is applied to.

use std::sync::Arc;

use rcs_consensus::{Machine, Unreadable};
use rcs_core::agreed::Change;
use rcs_core::agreed::ClusterState;
use rcs_core::agreed::CommandResult;
use rcs_core::agreed::{Action, Command};

use super::feed::{Decided, Feed, Tickets};

/// The copy.
pub(super) struct Replica {
    state: ClusterState,
    tickets: Arc<Tickets>,
    feed: Arc<Feed>,
}

impl Replica {
    /// An empty state.
    pub(super) fn new(tickets: Arc<Tickets>, feed: Arc<Feed>) -> Self {
        Self { state: ClusterState::default(), tickets, feed }
    }

    /// The state.
    pub(super) fn state(&self) -> &ClusterState {
        &self.state
    }

    /// What the engine has to follow of a command: document and settings as a whole, marks and sets as they are.
    fn change(&self, action: Action) -> Option<Change> {
        match action {
            Action::Configure { .. } | Action::Edit(_) => Some(Change::Configured {
                document: Some(self.state.agreed().document().clone()),
                settings: Some(Box::new(self.state.agreed().settings().clone())),
            }),
            Action::Mark { member, mark } => Some(Change::Mark { member, mark }),
            Action::Sets { group, change } => Some(Change::Sets { group, change }),
            Action::Seed(_)
            | Action::Authority(_)
            | Action::GrantApi { .. }
            | Action::RevokeApi { .. }
            | Action::GrantCaller { .. }
            | Action::RevokeCaller { .. }
            | Action::Acknowledge(_) => None,
        }
    }
}

impl Machine for Replica {
    fn apply(&mut self, index: u64, command: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let unreadable = |error: &dyn std::fmt::Display| Unreadable(error.to_string());
        let outcome = self.state.apply_stored(index, command).map_err(|error| unreadable(&error))?;
        let bytes = outcome.encode().map_err(|error| unreadable(&error))?;
        // What cannot be read is refused, and has no effect.
        let Ok(Command { request, author, at, action, .. }) = Command::decode(command) else {
            return Ok(bytes);
        };
        let ticket = self.tickets.take(request);
        let has_changed = outcome.result == CommandResult::Changed;
        if (has_changed || ticket.is_some())
            && let Some(change) = self.change(action)
        {
            self.feed.push(Decided { change, author, at, ticket, revision: outcome.revision });
        }
        Ok(bytes)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.state.encode().unwrap_or_else(|error| {
            // Nothing that was agreed is over its bound: each command is checked.
            tracing::error!(%error, "the cluster's state cannot be written; please report this");
            Vec::new()
        })
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Unreadable> {
        self.state = ClusterState::decode(snapshot).map_err(|error| Unreadable(error.to_string()))?;
        self.feed.restored();
        Ok(())
    }
}
