//! Calls that an earlier process has: it handed the caller's sockets over and answers, through this process, what it had begun.

use std::collections::BTreeSet;

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::session::SocketId;
use rcs_proto::time::Moment;

use super::Callers;
use crate::engine::io::Io;
use crate::engine::keys::CallerKey;
use crate::ids::MemberId;
use crate::verdict::CallError;

impl Callers {
    /// How many calls an earlier process has.
    pub(in crate::engine) fn with_earlier(&self) -> usize {
        self.earlier
    }

    /// Whether an earlier process has a call of this caller.
    pub(in crate::engine) fn is_with_earlier(&self, key: CallerKey, id: i64) -> bool {
        self.earlier > 0 && self.sessions.get(key).is_some_and(|caller| caller.earlier.contains(&id))
    }

    /// The calls of this caller that an earlier process has: these and no others.
    pub(in crate::engine) fn earlier_has(&mut self, key: CallerKey, ids: impl IntoIterator<Item = i64>) {
        let Some(caller) = self.sessions.get_mut(key) else { return };
        let before = std::mem::replace(&mut caller.earlier, ids.into_iter().collect::<BTreeSet<i64>>());
        self.earlier = self.earlier - before.len() + caller.earlier.len();
    }

    /// Which member gave which page, as an earlier process knew it.
    pub(in crate::engine) fn earlier_pages(
        &mut self,
        key: CallerKey,
        pages: impl Iterator<Item = (u64, MemberId)>,
    ) {
        if let Some(caller) = self.sessions.get_mut(key) {
            pages.for_each(|(page, member)| caller.pages.remember(page, member));
        }
    }

    /// Hands a message about a call to the earlier process that has the call, through this socket or another one of the caller.
    pub(in crate::engine) fn hand_back(
        &self,
        key: CallerKey,
        socket: SocketId,
        message: &Bytes,
        io: &mut impl Io,
    ) {
        let Some(caller) = self.sessions.get(key) else { return };
        let others = caller.session.sockets().filter(|other| *other != socket);
        for socket in [socket].into_iter().chain(others) {
            if io.hand_back(socket, message) {
                return;
            }
        }
    }

    /// The earlier process has answered all of its calls.
    pub(in crate::engine) fn earlier_is_done(&mut self) {
        let keys: Vec<CallerKey> = self.sessions.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.earlier_has(key, []));
    }

    /// The earlier process is gone: calls that it had and did not answer end with an error. Returns their number.
    pub(in crate::engine) fn earlier_is_gone(&mut self, now: Moment, io: &mut impl Io) -> usize {
        let keys: Vec<CallerKey> = self
            .sessions
            .iter()
            .filter(|(_, caller)| !caller.earlier.is_empty())
            .map(|(key, _)| key)
            .collect();
        let error = CallError::of_ended_process();
        let mut calls = 0;
        for key in keys {
            let Some(caller) = self.sessions.get_mut(key) else { continue };
            let ids = std::mem::take(&mut caller.earlier);
            calls += ids.len();
            for id in ids {
                self.tell(key, frames::error(id, error.class, &error.message), now, io);
            }
        }
        self.earlier -= calls;
        calls
    }
}
