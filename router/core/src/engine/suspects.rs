//! Calls that two members were lost with: poison, or there when a network lost both. Whether the members' processes live tells
//! the one from the other (DESIGN 4, P3).
//!
//! A process has one session id for as long as it lives (WIRE 4.1), so a member that comes back under the id that it had was not
//! ended by anything that it ran. For a moment the call is held back, without a member, and asked about on each tick.

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
    pub(super) fn suspect(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        self.close_route(key);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.take_back();
        self.suspects.push(Suspect { call: key, until: now + limits::POISON_PROOF_WAIT });
        self.look_after_suspects(now, io);
    }

    /// Lets those go on whose members live, and fails those of whose members nothing was heard in time.
    pub(super) fn look_after_suspects(&mut self, now: Moment, io: &mut impl Io) {
        for suspect in std::mem::take(&mut self.suspects) {
            let key = suspect.call;
            let is_cleared = self.clear(key);
            let verdict = if self.calls.get(key).is_none() {
                // Its caller or its deadline ended it.
                Verdict::Nothing
            } else if is_cleared && (self.has_untried_member(key) || now >= suspect.until) {
                Verdict::RetryElsewhere
            } else if now >= suspect.until {
                Verdict::Answer(ErrorKind::Poison)
            } else {
                Verdict::HoldBack
            };
            match verdict {
                Verdict::HoldBack => self.suspects.push(suspect),
                Verdict::RetryElsewhere => {
                    self.explain(key, Fault::MemberLost, verdict, now);
                    self.retry_elsewhere(key, Fault::MemberLost, now, io);
                }
                Verdict::Answer(kind) => {
                    self.explain(key, Fault::MemberLost, verdict, now);
                    self.answer_error(key, kind, now, io);
                }
                _ => {}
            }
        }
    }

    /// Strikes off the losses of processes that live; answers whether the call is no longer taken for poison.
    fn clear(&mut self, key: CallKey) -> bool {
        let Some(call) = self.calls.get_mut(key) else { return false };
        let upstreams = &self.upstreams;
        let lives = |loss: &Loss| {
            upstreams.iter().any(|(_, upstream)| {
                (upstream.member, &upstream.remote) == (loss.member, &loss.remote)
                    && upstream.session.sockets().next().is_some()
            })
        };
        let (tried, attempts) = (&mut call.tried, &mut call.attempts);
        call.losses.retain(|loss| {
            let lives = lives(loss);
            if lives {
                attempts.losses = attempts.losses.saturating_sub(1);
                tried.remove(loss.member);
            }
            !lives
        });
        attempts.losses < limits::POISON_LOSSES_MAX
    }
}
