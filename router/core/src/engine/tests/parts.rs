//! Parts for tests of single tables.

use std::sync::Arc;
use std::time::Duration;

use rcs_proto::envelope::Envelope;
use rcs_proto::frames;
use rcs_proto::icf::Secret;
use rcs_proto::messages::handshake_message::ServerType;
use rcs_proto::messages::{GetOpRequest, OperationRequest};
use rcs_proto::session::Remote;
use rcs_proto::time::Moment;

use crate::arena::{Arena, Key};
use crate::engine::{DialOrigin, DialledBy};
use crate::ids::{MemberId, NameBook};
use crate::view::*;

/// So many seconds after the start.
pub(in crate::engine) fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

/// Keys of a table without the table.
pub(in crate::engine) fn keys<K>(count: usize) -> Vec<Key<K>> {
    let mut arena = Arena::<K, ()>::default();
    (0..count).map(|_| arena.insert(())).collect()
}

/// A request for one object.
pub(in crate::engine) fn request(id: i64) -> Envelope {
    let get = Some(GetOpRequest::default());
    Envelope::parse(frames::operation(id, &OperationRequest { get, ..Default::default() })).unwrap()
}

/// What a process shows when it shakes hands.
pub(in crate::engine) fn process(session_id: &str) -> Remote {
    Remote { session_id: session_id.into(), server_type: ServerType::Java }
}

/// A server of this name that is dialled for two sockets and not pinged.
pub(crate) fn member(name: &str) -> MemberSpec {
    MemberSpec {
        name: name.to_owned(),
        link: Link::Dial(Endpoint {
            host: "127.0.0.1".into(),
            port: 8759,
            path: "/openicf".into(),
            transport: Transport::Plain,
            principal: "anonymous".into(),
            key: Secret::new("key".into()),
        }),
        sockets: 2,
        ping_interval: None,
        admin: AdminState::Enabled,
    }
}

/// A view of one group `g` with so many members, `n0` and so on.
pub(in crate::engine) fn view(members: usize) -> View {
    let members: Vec<MemberSpec> = (0..members).map(|number| member(&format!("n{number}"))).collect();
    let names = members.iter().map(|member| member.name.clone()).collect();
    let group = GroupSpec { name: "g".into(), policy: crate::balance::Policy::RoundRobin, members: names };
    View::build(&mut NameBook::new(), members, vec![group]).unwrap()
}

/// The first member of a view.
pub(in crate::engine) const FIRST: MemberId = MemberId(0);

/// How a socket comes about that a member in client mode opens.
pub(in crate::engine) fn by_member() -> DialledBy {
    DialledBy::Member(Arc::new(DialOrigin { address: "10.0.0.7".into() }))
}
