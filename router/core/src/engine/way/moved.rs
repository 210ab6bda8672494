//! Sockets of callers that come from an earlier process: their handshake is done, and the earlier process may still have calls of theirs.

use std::sync::Arc;

use rcs_proto::session::{Side, SocketId};
use rcs_proto::time::Moment;

use crate::engine::callers::CallerId;
use crate::engine::io::Io;
use crate::engine::keys::CallerKey;
use crate::engine::moved::MovedCaller;
use crate::engine::note::Note;
use crate::engine::peer::Peer;
use crate::engine::selector::Selector;
use crate::engine::sockets::Belongs;
use crate::engine::tables::Tables;

impl Tables {
    /// A caller comes from an earlier process, on these sockets.
    pub(in crate::engine) fn on_moved(
        &mut self,
        caller: &MovedCaller,
        sockets: &[SocketId],
        now: Moment,
        io: &mut impl Io,
    ) {
        let selector = match &caller.group {
            None => Some(Selector::ByConnectorKey),
            Some(name) => self.view.group_named(name).map(|group| Selector::Group(group.id)),
        };
        let Some(selector) = selector else {
            // The document changed in the moment of the handover.
            for socket in sockets {
                io.note(Note::CallerDisconnected { reason: "its group has left the provider document" });
                io.close(*socket);
            }
            return;
        };
        let (principal, allowed) = (Arc::<str>::from(caller.principal.as_str()), caller.allowed.clone());
        let Some(session) = &caller.session else {
            for socket in sockets {
                let (principal, allowed) = (Arc::clone(&principal), allowed.clone());
                let peer = Peer::Caller { selector, principal, allowed };
                self.on_opened(*socket, Side::Accepted, peer, now, io);
            }
            return;
        };
        let id = CallerId { selector, principal, side: Side::Accepted, remote: session.id.clone() };
        for socket in sockets {
            self.join_caller(*socket, id.clone(), allowed.clone(), now, io);
        }
        let Some(key) = self.callers.named(&id) else { return };
        let had = self.callers.get(key).map(|caller| caller.earlier_calls()).unwrap_or_default();
        self.callers.earlier_has(key, had.into_iter().chain(session.open.iter().copied()));
        let pages: Vec<_> = session
            .pages
            .iter()
            .filter_map(|(page, name)| Some((*page, self.view.member_named(name)?.id)))
            .collect();
        self.callers.earlier_pages(key, pages.into_iter());
        if let Some(socket) = sockets.first() {
            for asked in &session.infos_wanted {
                self.answer_control(key, *socket, *asked, true, now, io);
            }
        }
    }

    /// The earlier process still has these calls of the caller of this socket, and no others.
    pub(in crate::engine) fn on_earlier_has(&mut self, socket: SocketId, open: Vec<i64>) {
        if let Some(key) = self.caller_of(socket) {
            self.callers.earlier_has(key, open);
        }
    }

    /// The earlier process is gone.
    pub(in crate::engine) fn on_earlier_gone(&mut self, is_done: bool, now: Moment, io: &mut impl Io) {
        if is_done {
            return self.callers.earlier_is_done();
        }
        let calls = self.callers.earlier_is_gone(now, io);
        if calls > 0 {
            io.note(Note::CallsNotHeld { calls });
        }
    }

    fn caller_of(&self, socket: SocketId) -> Option<CallerKey> {
        match self.sockets.belongs(socket)? {
            Belongs::Caller(key) => Some(*key),
            Belongs::Greeting(..) | Belongs::Member { .. } => None,
        }
    }
}
