//! This router's copy of what the cluster has agreed on, as the machine that the log is applied to.

use std::sync::Arc;

use rcs_consensus::{Machine, Unreadable};
use rcs_core::agreed::Change;
use rcs_core::agreed::ClusterState;
use rcs_core::agreed::CommandResult;
use rcs_core::agreed::{Action, Command};

use super::feed::{Feed, Tickets};
use super::tokens::ApiTokens;
use crate::control::Decided;
use crate::sightings::Sightings;

/// The copy.
pub(super) struct Replica {
    state: ClusterState,
    tickets: Arc<Tickets>,
    feed: Arc<Feed>,
    tokens: ApiTokens,
    /// Wakes the event streams, which read changes from the audit log.
    sightings: Sightings,
}

impl Replica {
    /// An empty state.
    pub(super) fn new(
        tickets: Arc<Tickets>,
        feed: Arc<Feed>,
        tokens: ApiTokens,
        sightings: Sightings,
    ) -> Self {
        Self { state: ClusterState::default(), tickets, feed, tokens, sightings }
    }

    /// The state.
    pub(super) fn state(&self) -> &ClusterState {
        &self.state
    }
}

/// What the engine has to follow of a command, one by one. Another document, or other settings, have the engine follow the whole state:
/// documents are large, so that they must not wait one behind the other.
fn followed(action: Action) -> Option<Change> {
    match action {
        Action::Mark { member, mark } => Some(Change::Mark { member, mark }),
        Action::Sets { group, change } => Some(Change::Sets { group, change }),
        Action::Configure { .. }
        | Action::Edit(_)
        | Action::Seed(_)
        | Action::Authority(_)
        | Action::GrantApi { .. }
        | Action::RevokeApi { .. }
        | Action::GrantCaller { .. }
        | Action::RevokeCaller { .. }
        | Action::Acknowledge(_) => None,
    }
}

impl Machine for Replica {
    fn apply(&mut self, index: u64, command: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let unreadable = |error: &dyn std::fmt::Display| Unreadable(error.to_string());
        let read = Command::decode(command);
        let was_applied = read.as_ref().is_ok_and(|read| self.state.outcome(read.request).is_some());
        let outcome = self.state.apply_stored(index, command).map_err(|error| unreadable(&error))?;
        let bytes = outcome.encode().map_err(|error| unreadable(&error))?;
        // What cannot be read is refused, and has no effect. A retry has no effect either, whatever was decided meanwhile.
        let Ok(Command { request, author, at, action, .. }) = read else { return Ok(bytes) };
        let ticket = self.tickets.take(request);
        let has_changed = outcome.result == CommandResult::Changed && !was_applied;
        if has_changed && matches!(action, Action::GrantApi { .. } | Action::RevokeApi { .. }) {
            self.tokens.publish(self.state.revision(), self.state.credentials());
        }
        if has_changed {
            self.sightings.wake();
        }
        if has_changed && matches!(action, Action::Configure { .. } | Action::Edit(_)) {
            self.feed.whole();
        } else if (has_changed || ticket.is_some())
            && let Some(change) = followed(action)
        {
            let revision = outcome.revision;
            let refusal = match outcome.result {
                CommandResult::Refused { sentence, .. } => Some(sentence),
                CommandResult::Changed | CommandResult::Unchanged => None,
            };
            self.feed.push(Decided { change, author, at, ticket, revision, refusal });
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
        self.tokens.publish(self.state.revision(), self.state.credentials());
        self.feed.whole();
        self.sightings.wake();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rcs_core::agreed::credentials::{ApiToken, Role, Salted};
    use rcs_core::agreed::{At, Author, Document, RequestId};
    use rcs_core::view::{AdminState, Link, Mark, MemberSpec};
    use rcs_proto::manifest::Digest;

    use super::*;

    fn command(request: u128, action: Action) -> Vec<u8> {
        let (who, from) = ("test".to_owned(), String::new());
        let command = Command {
            request: RequestId(request),
            expected_revision: None,
            author: Author::Files,
            who,
            from,
            at: At(request as u64),
            action,
        };
        command.encode().unwrap()
    }

    fn mark(request: u128, mark: Mark) -> Vec<u8> {
        command(request, Action::Mark { member: "n1".to_owned(), mark })
    }

    /// A retry that comes after a later change must not bring the former one back at the engine.
    #[test]
    fn a_retry_is_not_handed_to_the_engine_again() {
        let feed = Arc::new(Feed::default());
        let mut replica =
            Replica::new(Arc::default(), Arc::clone(&feed), ApiTokens::default(), Sightings::new());
        let member = MemberSpec {
            name: "n1".to_owned(),
            link: Link::Accept,
            sockets: 2,
            ping_interval: None,
            admin: AdminState::Enabled,
        };
        let document = Document { members: vec![member], groups: Vec::new() };
        let digest = Digest::of(b"text");
        let configure = Action::Configure { document: Some(document), settings: None, digest };
        let drain = mark(2, Mark::Draining);
        for (index, command) in
            [&command(1, configure), &drain, &mark(3, Mark::Enabled), &drain].into_iter().enumerate()
        {
            replica.apply(index as u64, command).unwrap();
        }
        let marks: Vec<Change> = feed.take().into_iter().map(|decided| decided.change).collect();
        let expected =
            [Mark::Draining, Mark::Enabled].map(|mark| Change::Mark { member: "n1".to_owned(), mark });
        assert_eq!(marks, expected);
        assert_eq!(replica.state().agreed().marks().of("n1"), Mark::Enabled);
    }

    /// A consensus part that is started again begins with an empty state and reads the log from its last snapshot on. Meanwhile what was
    /// known counts: nobody is locked out, and no revoked token is valid.
    #[test]
    fn tokens_stay_as_they_were_known_while_the_log_is_read_again() {
        let tokens = ApiTokens::default();
        let new = || Replica::new(Arc::default(), Arc::default(), tokens.clone(), Sightings::new());
        let grant = |request, name: &str, secret: &str| {
            let token = ApiToken { role: Role::Viewer, hash: Salted::new(request, secret) };
            command(request, Action::GrantApi { name: name.to_owned(), token })
        };
        let revoke = command(3, Action::RevokeApi { name: "old".to_owned() });
        let log = [grant(1, "old", "one"), grant(2, "new", "two"), revoke];
        let known = || ["one", "two"].map(|secret| tokens.find(secret).map(|(name, _)| name));
        let mut replica = new();
        let mut seen = Vec::new();
        for (index, command) in log.iter().enumerate() {
            replica.apply(index as u64, command).unwrap();
            seen.push(known());
        }
        let (old, new_one) = (Some("old".to_owned()), Some("new".to_owned()));
        assert_eq!(seen, [[old.clone(), None], [old, new_one.clone()], [None, new_one.clone()]]);
        drop(replica);
        let mut again = new();
        for (index, command) in log.iter().enumerate() {
            assert_eq!(known(), [None, new_one.clone()], "before entry {index}");
            again.apply(index as u64, command).unwrap();
        }
        assert_eq!(known(), [None, new_one.clone()]);
        let mut later = new();
        later.restore(&again.snapshot()).unwrap();
        assert_eq!(known(), [None, new_one]);
    }
}
