//! Calls that two members were lost with: poison, or there when a network lost both. Whether the members' processes live tells
//! the one from the other (P3).
//!
//! A process has one session id for as long as it lives (WIRE 4.1), so a member that comes back under the id that it had was not
//! ended by anything that it ran. For a moment the call is held back, without a member, and asked about on each tick.

use std::collections::HashSet;

use rcs_proto::time::Moment;

use super::{CallKey, Engine, Io, Upstream};
use crate::ids::MemberId;
use crate::limits;
use crate::verdict::{ErrorKind, Fault, Verdict};

/// A member's session that was lost while it had a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The member.
    pub(super) member: MemberId,
    /// Which of its processes.
    remote: String,
}

/// A call that is held back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    call: CallKey,
    /// When nobody waits any longer for a sign of life.
    until: Moment,
}

impl Engine {
    /// Notes that the call's member was lost while it may have run it.
    pub(super) fn note_loss(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.attempts.losses = call.attempts.losses.saturating_add(1);
        let lost = match (call.route, call.touched) {
            (Some(route), _) => self.upstreams.get(route.session),
            // It was on a socket that died before the last one, and had not left for that.
            (None, Some(member)) => {
                let mut all = self.upstreams.iter().map(|(_, upstream)| upstream);
                all.find(|of| of.member == member && of.session.sockets().next().is_none())
            }
            (None, None) => None,
        };
        if let Some(Upstream { member, remote, .. }) = lost {
            call.losses.push(Loss { member: *member, remote: remote.clone() });
        }
    }

    /// Holds a call back that looks like poison.
    pub(super) fn suspect(&mut self, key: CallKey, now: Moment) {
        self.close_route(key);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.take_back();
        self.suspects.push(Suspect { call: key, until: now + limits::POISON_PROOF_WAIT });
    }

    /// Lets those go on whose members live, and fails those of whose members nothing was heard in time. Looked at on each tick: the
    /// loss of a busy member may make thousands of them at once.
    pub(super) fn look_after_suspects(&mut self, now: Moment, io: &mut impl Io) {
        if self.suspects.is_empty() {
            return;
        }
        self.clear_suspects();
        for suspect in std::mem::take(&mut self.suspects) {
            let key = suspect.call;
            // Its caller or its deadline may have ended it.
            let Some(call) = self.calls.get(key) else { continue };
            let is_cleared = call.attempts.losses < limits::POISON_LOSSES_MAX;
            let is_over = now >= suspect.until;
            if is_cleared && (is_over || self.has_untried_member(key)) {
                self.explain(key, Fault::MemberLost, Verdict::RetryElsewhere, now);
                self.retry_elsewhere(key, Fault::MemberLost, now, io);
            } else if is_over {
                self.explain(key, Fault::MemberLost, Verdict::Answer(ErrorKind::Poison), now);
                self.answer_error(key, ErrorKind::Poison, now, io);
            } else {
                self.suspects.push(suspect);
            }
        }
    }

    /// Strikes off the losses of processes that live.
    fn clear_suspects(&mut self) {
        let upstreams = self.upstreams.iter().map(|(_, upstream)| upstream);
        let living: HashSet<(MemberId, &str)> = upstreams
            .filter(|upstream| upstream.session.sockets().next().is_some())
            .map(|upstream| (upstream.member, upstream.remote.as_str()))
            .collect();
        for suspect in &self.suspects {
            let Some(call) = self.calls.get_mut(suspect.call) else { continue };
            let (tried, attempts) = (&mut call.tried, &mut call.attempts);
            call.losses.retain(|loss| {
                let lives = living.contains(&(loss.member, loss.remote.as_str()));
                if lives {
                    attempts.losses = attempts.losses.saturating_sub(1);
                    tried.remove(loss.member);
                }
                !lives
            });
        }
    }
}
