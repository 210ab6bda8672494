//! A log of a cluster for the random test. Proposals wait, overtake each other and get lost; what the log has comes in one order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::*;
use crate::agreed::sets::{Content, SetsChange};
use crate::agreed::{Author, Change};
use crate::engine::*;

/// What happens in the log.
#[derive(Clone, Debug)]
pub(super) enum LogStep {
    /// The log has the proposal of the router that waits at this place.
    Take(usize),
    /// The proposal at this place is lost, which an operator is told.
    Lose(usize),
    /// Nobody knows in time whether the proposal at this place is agreed: an operator is told that, and the log has the proposal all the same.
    TakeLate(usize),
    /// The log has a proposal of another router.
    TakeOther(SetsChange),
    /// The router was away for so long that it gets a snapshot. The snapshot has its proposals.
    Restore,
}

pub(super) fn log_step() -> impl Strategy<Value = LogStep> {
    let set = prop_oneof![Just(super::bundles::set("1.0")), Just(super::bundles::set("1.1"))];
    let other = prop_oneof![
        3 => set.clone().prop_map(|set| SetsChange::AcceptFirst { set, content: Content::Some }),
        1 => set.clone().prop_map(|set| SetsChange::Propose { set, stand_ins: None }),
        1 => Just(SetsChange::Commit),
        1 => Just(SetsChange::Abort),
        1 => set.prop_map(|set| SetsChange::Pin { set }),
    ];
    prop_oneof![
        8 => (0..8usize).prop_map(LogStep::Take),
        2 => (0..8usize).prop_map(LogStep::Lose),
        1 => (0..8usize).prop_map(LogStep::TakeLate),
        2 => other.prop_map(LogStep::TakeOther),
        1 => Just(LogStep::Restore),
    ]
}

impl World {
    /// Something happens in the log.
    pub(super) fn log(&mut self, step: LogStep) {
        match step {
            LogStep::Take(nth) => {
                if let Some(proposal) = self.waiting_at(nth) {
                    self.log_takes(proposal);
                }
            }
            LogStep::Lose(nth) => {
                let lost = self.waiting_at(nth).and_then(|proposal| proposal.ticket);
                lost.into_iter().for_each(|ticket| self.not_agreed(ticket));
            }
            LogStep::TakeLate(nth) => {
                let Some(proposal) = self.waiting_at(nth) else { return };
                proposal.ticket.into_iter().for_each(|ticket| self.not_agreed(ticket));
                self.log_takes(proposal);
            }
            LogStep::TakeOther(change) => {
                let change = Change::Sets { group: "g".into(), change };
                self.log_takes(Proposal { ticket: None, change, author: Author::Router });
            }
            LogStep::Restore => {
                let (mut agreed, at) = (self.engine.agreed().clone(), self.at());
                for Proposal { ticket, change, author } in std::mem::take(&mut self.io.proposals) {
                    // What is refused changes nothing, here as in the log.
                    let _ = agreed.apply(change, author, at);
                    ticket.into_iter().for_each(|ticket| self.not_agreed(ticket));
                }
                self.apply(Event::Restored(Box::new(agreed)));
            }
        }
    }

    fn waiting_at(&mut self, nth: usize) -> Option<Proposal> {
        let waiting = self.io.proposals.len();
        (waiting > 0).then(|| self.io.proposals.remove(nth % waiting))
    }

    fn not_agreed(&mut self, ticket: Ticket) {
        self.apply(Event::NotAgreed {
            ticket,
            reason: "the cluster has no leader: repeat the command later".into(),
        });
    }

    /// Each of these tickets was answered once.
    pub(super) fn assert_answered_once(&self, tickets: u64) {
        let mut answers: BTreeMap<Ticket, usize> = BTreeMap::new();
        for (ticket, _) in &self.io.answers {
            *answers.entry(*ticket).or_default() += 1;
        }
        let expected: BTreeMap<Ticket, usize> = (1..=tickets).map(|ticket| (Ticket(ticket), 1)).collect();
        assert_eq!(answers, expected);
    }
}
