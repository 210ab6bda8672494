//! Where the sockets of dialled IDMs live: with the owner of the engine.

use std::sync::Arc;

use rcs_proto::driver::WebSocket;
use rcs_proto::driver::endpoint::Adopted;
use rcs_proto::driver::keeper::Home;
use rcs_proto::session::SocketId;
use tokio::sync::oneshot;

use crate::control::{Control, Request};

/// Hands sockets to the owner.
pub(super) struct OwnersHome {
    control: Control,
    /// The name under which the IDM is configured.
    idm: Arc<str>,
    /// The group that the IDM's calls go to; none: the connector of each call decides.
    group: Option<Arc<str>>,
}

impl OwnersHome {
    pub(super) fn new(control: Control, idm: &str, group: Option<&str>) -> Self {
        Self { control, idm: idm.into(), group: group.map(Arc::from) }
    }
}

impl Home for OwnersHome {
    async fn adopt(&self, socket: WebSocket) -> Adopted {
        let (joined, join) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let (idm, group) = (Arc::clone(&self.idm), self.group.clone());
        self.control.send(Request::Reached { socket, idm, group, joined, ended }).await;
        Adopted { joined: join, ended: end }
    }

    async fn retire(&self, socket: SocketId) {
        self.control.send(Request::Retire(socket)).await;
    }
}
