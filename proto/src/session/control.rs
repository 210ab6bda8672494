//! Session checks: the ControlRequest each end sends now and then, and what the lists in it say about calls (WIRE 4.4).

use std::collections::HashMap;
use std::time::Duration;

use super::{Tracked, keys_by_id};
use crate::frames::Ask;
use crate::limits;
use crate::messages::{ControlRequest, control_request::InfoLevel};
use crate::time::Moment;

/// What a peer's session check says.
#[derive(Debug)]
pub struct Checked<K> {
    /// The id to answer under.
    pub id: i64,
    /// Whether the peer asks for our connectors.
    pub wants_connector_infos: bool,
    /// Calls of ours that the peer no longer has: they will not be answered.
    pub vanished: Vec<K>,
    /// Calls of the peer that it no longer waits for.
    pub abandoned: Vec<K>,
    /// Ids under which the peer waits for an answer and has no call here, in ascending order, without this check's own and those that were
    /// answered a moment ago; none if the lists were not compared. At most [`limits::CHECK_NOT_HELD_MAX`]. The id may be that of an
    /// earlier check.
    pub not_held: Option<Vec<i64>>,
}

/// When to send checks, and whether the peer's connectors are known.
#[derive(Debug)]
pub(super) struct Control {
    every: Duration,
    /// When the next check is due; none before the first socket.
    due_at: Option<Moment>,
    /// Whether the owner wants the peer's connectors and has not got them.
    wants_infos: bool,
    /// Whether it never got them, so that a question without an answer is repeated soon.
    lacks_infos: bool,
    /// The last question that is not answered.
    asked: Option<i64>,
    /// When the lists of a session check of the peer were compared last.
    compared_at: Option<Moment>,
}

impl Control {
    pub(super) fn every(every: Duration) -> Self {
        Self { every, due_at: None, wants_infos: false, lacks_infos: false, asked: None, compared_at: None }
    }

    pub(super) fn socket_joined(&mut self, now: Moment) {
        self.due_at.get_or_insert(now + self.every);
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn want_infos(&mut self, now: Moment) {
        (self.wants_infos, self.lacks_infos) = (true, true);
        self.due_at = Some(now);
    }

    pub(super) fn recheck_infos(&mut self) {
        self.wants_infos = true;
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.due_at
    }

    pub(super) fn due(&self, now: Moment) -> Option<Ask> {
        self.due_at.filter(|due_at| *due_at <= now)?;
        Some(if self.wants_infos { Ask::ConnectorInfo } else { Ask::Check })
    }

    pub(super) fn asked(&mut self, id: i64, now: Moment) {
        self.asked = Some(id);
        // Java asks again only at its next check, 4 minutes later (WIRE 7.7); a lost list is asked for again at once.
        self.due_at = Some(now + if self.lacks_infos { limits::INFOS_AGAIN } else { self.every });
    }

    pub(super) fn answered(&mut self, id: i64, with_infos: bool) {
        if self.asked == Some(id) {
            self.asked = None;
        }
        self.wants_infos &= !with_infos;
        self.lacks_infos &= !with_infos;
    }

    /// Whether a refused request was a check of ours.
    pub(super) fn refused(&mut self, id: i64) -> bool {
        self.asked == Some(id)
    }

    pub(super) fn check<K: Copy>(
        &mut self,
        id: i64,
        request: &ControlRequest,
        open: &mut HashMap<i64, Tracked<K>>,
        executing: &mut HashMap<i64, Tracked<K>>,
        now: Moment,
    ) -> Checked<K> {
        let mut checked = Checked {
            id,
            wants_connector_infos: request.info_level.contains(&(InfoLevel::ConnectorInfo as i32)),
            vanished: Vec::new(),
            abandoned: Vec::new(),
            not_held: None,
        };
        // A comparison costs as much as there are calls, and a peer may check as often as it likes.
        let is_due = self.compared_at.is_none_or(|at| now.since(at) >= limits::CHECK_LISTS_EVERY);
        if is_due {
            self.compared_at = Some(now);
            let is_not_held = |listed: &&i64| **listed != id && !executing.contains_key(*listed);
            let not_held = request.remote_request_id.iter().filter(is_not_held);
            checked.not_held = Some(not_held.take(limits::CHECK_NOT_HELD_MAX).copied().collect());
            checked.vanished = misses(open, &request.local_request_id, now);
            checked.abandoned = misses(executing, &request.remote_request_id, now);
        }
        checked
    }
}

/// Counts each call that the peer did not list. Returns the keys of calls that the peer left out too often, in the order of their ids.
/// `listed` is in ascending order ([`crate::envelope::Kind::ControlRequest`]), so no set of it has to be built.
fn misses<K: Copy>(calls: &mut HashMap<i64, Tracked<K>>, listed: &[i64], now: Moment) -> Vec<K> {
    let mut gone = Vec::new();
    for (id, call) in calls {
        // A frame that crosses the check on its way is not missed yet.
        if listed.binary_search(id).is_ok() || now.since(call.since) < limits::CHECK_CROSSING {
            continue;
        }
        call.misses += 1;
        if call.misses >= limits::CHECK_MISSES_MAX {
            gone.push((*id, call.key));
        }
    }
    keys_by_id(gone.into_iter())
}
