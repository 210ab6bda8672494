//! Callers as messages, and messages as callers.

use std::os::fd::OwnedFd;

use rcs_core::engine::{Allowed, MovedCaller, MovedSession};
use rcs_proto::driver::framing::FrameMeter;
use rcs_proto::messages::handover as message;

/// A socket as the later process gets it.
#[derive(Debug)]
pub(crate) struct MovedSocket {
    /// The number that the earlier process gave to the socket.
    pub(crate) number: u64,
    /// The connection.
    pub(crate) connection: OwnedFd,
    /// The way to the earlier process.
    pub(crate) back: OwnedFd,
    /// Bytes that were read from the caller, and not handed out.
    pub(crate) unread: bytes::Bytes,
    /// How far the frame is that is on its way to the caller.
    pub(crate) under_way: FrameMeter,
}

pub(super) fn to_message(caller: &MovedCaller, sockets: Vec<message::Socket>) -> message::Caller {
    let session = caller.session.as_ref().map(|session| message::Session {
        id: session.id.clone(),
        open: session.open.clone(),
        infos_wanted: session.infos_wanted.clone(),
        pages: session
            .pages
            .iter()
            .map(|(cookie, member)| message::Page { cookie: *cookie, member: member.clone() })
            .collect(),
    });
    let allowed = match &caller.allowed {
        Allowed::All => None,
        Allowed::Only(names) => Some(message::Groups { names: names.iter().cloned().collect() }),
    };
    message::Caller {
        group: caller.group.clone(),
        principal: caller.principal.clone(),
        allowed,
        session,
        sockets,
    }
}

/// The caller that a message stands for, and its sockets; `descriptors` has two for each socket.
pub(super) fn of_message(
    caller: message::Caller,
    descriptors: &mut impl Iterator<Item = OwnedFd>,
) -> Option<(MovedCaller, Vec<MovedSocket>)> {
    let sockets = caller.sockets.into_iter().map(|socket| {
        Some(MovedSocket {
            number: socket.number,
            connection: descriptors.next()?,
            back: descriptors.next()?,
            unread: socket.unread,
            under_way: FrameMeter::resumed(socket.header.to_vec(), socket.left),
        })
    });
    let sockets = sockets.collect::<Option<Vec<_>>>()?;
    let session = caller.session.map(|session| MovedSession {
        id: session.id,
        open: session.open,
        infos_wanted: session.infos_wanted,
        pages: session.pages.into_iter().map(|page| (page.cookie, page.member)).collect(),
    });
    let allowed = match caller.allowed {
        None => Allowed::All,
        Some(groups) => Allowed::only(groups.names.iter().map(String::as_str)),
    };
    let moved = MovedCaller {
        group: caller.group,
        principal: caller.principal,
        allowed,
        session,
        sockets: Vec::new(),
    };
    Some((moved, sockets))
}
