//! The callers as another process takes them over.

use rcs_proto::session::{Side, SocketId};

use crate::engine::callers::Caller;
use crate::engine::moved::{MovedCaller, MovedSession};
use crate::engine::peer::Peer;
use crate::engine::selector::Selector;
use crate::engine::sockets::Belongs;
use crate::engine::tables::Tables;

impl Tables {
    /// The callers that dialled this router, with their sockets. Other routers are none of them.
    pub(in crate::engine) fn moved_callers(&self) -> Vec<MovedCaller> {
        let group = |selector: &Selector| selector.group_name(&self.book).map(str::to_owned);
        let of_session = |caller: &Caller| MovedCaller {
            group: group(&caller.id.selector),
            principal: caller.id.principal.to_string(),
            allowed: caller.allowed.clone(),
            session: Some(MovedSession {
                id: caller.id.remote.clone(),
                open: caller.open_ids(),
                infos_wanted: caller.wanted_infos(),
                pages: caller
                    .pages()
                    .map(|(page, member)| (page, self.book.member_name(member).to_owned()))
                    .collect(),
            }),
            sockets: caller.sockets().collect(),
        };
        let dialled_us =
            |caller: &&Caller| caller.id.side == Side::Accepted && caller.id.selector.forwards_to().is_none();
        let known = self.callers.iter().map(|(_, caller)| caller).filter(dialled_us).map(of_session);
        let arriving = self.sockets.iter().filter_map(|(socket, belongs)| match belongs {
            Belongs::Greeting(handshake, Peer::Caller { selector, principal, allowed })
                if handshake.side() == Side::Accepted && selector.forwards_to().is_none() =>
            {
                Some(MovedCaller {
                    group: group(selector),
                    principal: principal.to_string(),
                    allowed: allowed.clone(),
                    session: None,
                    sockets: vec![socket],
                })
            }
            _ => None,
        });
        known.chain(arriving).filter(|caller| !caller.sockets.is_empty()).collect()
    }

    /// The calls without an answer of the callers that dialled this router, by each socket of each caller: a later process need not have all
    /// of them.
    pub(in crate::engine) fn calls_of_sockets(&self) -> Vec<(SocketId, Vec<i64>)> {
        let callers = self.callers.iter().map(|(_, caller)| (caller, caller.open_ids()));
        let of_caller = |(caller, open): (&Caller, Vec<i64>)| {
            let sockets: Vec<SocketId> = caller.sockets().collect();
            sockets.into_iter().map(move |socket| (socket, open.clone()))
        };
        callers.flat_map(of_caller).collect()
    }
}
