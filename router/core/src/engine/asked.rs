//! Operators' changes that wait for the routers of the cluster. Each ticket is answered once.

use std::collections::BTreeMap;

use super::event::{Answer, Ticket};
use crate::agreed::Refusal;
use crate::agreed::marks::MarkRefusal;
use crate::agreed::sets::BundleRefusal;
use crate::limits::CHANGES_ASKED_MAX;
use crate::view::NotListed;

/// What an operator wants to change, which decides the form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// The mark of a member.
    Mark,
    /// The bundle sets of a group.
    Sets,
}

impl Subject {
    /// The answer to the operator, once it is known what became of the change.
    pub(super) fn answer(self, outcome: Result<(), Refusal>) -> Answer {
        match self {
            Self::Mark => Answer::Marked(outcome.map_err(MarkRefusal::Refused)),
            Self::Sets => Answer::Bundles(outcome.map_err(|refusal| match refusal {
                Refusal::Sets(refused) => refused.into(),
                // The document has moved on, and the view has not followed yet, or could not.
                Refusal::NoGroup(group) => NotListed::NoGroup(group).into(),
                other => BundleRefusal::NotAgreed(other.to_string()),
            })),
        }
    }

    /// The answer to the operator if the change was not agreed.
    fn not_agreed(self, reason: String) -> Answer {
        match self {
            Self::Mark => Answer::Marked(Err(MarkRefusal::NotAgreed(reason))),
            Self::Sets => Answer::Bundles(Err(BundleRefusal::NotAgreed(reason))),
        }
    }
}

/// The tickets of operators who wait for an answer, with what each wants to change.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeMap<Ticket, Subject>);

impl Asked {
    /// An operator waits from now on. If too many wait already, returns the answer to the operator instead.
    pub(super) fn begins(&mut self, ticket: Ticket, subject: Subject) -> Option<Answer> {
        if self.0.len() >= CHANGES_ASKED_MAX {
            let reason = "too many changes wait for the routers of the cluster. Repeat the command later";
            return Some(subject.not_agreed(reason.to_owned()));
        }
        self.0.insert(ticket, subject);
        None
    }

    /// It is known what became of a change: returns the answer, if an operator still waits for it.
    pub(super) fn ends(
        &mut self,
        ticket: Option<Ticket>,
        outcome: Result<(), Refusal>,
    ) -> Option<(Ticket, Answer)> {
        let ticket = ticket?;
        let subject = self.0.remove(&ticket)?;
        Some((ticket, subject.answer(outcome)))
    }

    /// A change was not agreed: returns the answer, if an operator still waits for it.
    pub(super) fn not_agreed(&mut self, ticket: Ticket, reason: String) -> Option<(Ticket, Answer)> {
        let subject = self.0.remove(&ticket)?;
        Some((ticket, subject.not_agreed(reason)))
    }
}
