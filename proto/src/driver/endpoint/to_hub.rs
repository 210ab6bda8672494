//! What the handles of an endpoint ask of its hub.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::answer::Sink;
use super::config::Counts;
use crate::driver::WebSocket;
use crate::driver::socket::CloseReason;
use crate::messages::OperationRequest;
use crate::session::SocketId;

/// One message to the hub.
pub(super) enum ToHub {
    /// The owner adds a socket.
    Adopt {
        socket: Box<WebSocket>,
        /// For an owner that wants to know when the handshake is done, and which socket it is.
        joined: Option<oneshot::Sender<SocketId>>,
        ended: oneshot::Sender<CloseReason>,
    },
    /// The owner wants a socket closed once no answer needs it.
    Retire { socket: SocketId },
    /// An executor sends a frame of an answer that is not the last one.
    Item { call: u64, frame: Bytes },
    /// An executor sends the last frame of an answer.
    Final { call: u64, frame: Bytes },
    /// A caller sends a call.
    Call { key: u64, request: Box<OperationRequest>, sink: Sink },
    /// A caller gives a call up.
    Cancel { call: u64 },
    /// A caller wants the peer's connectors.
    Infos { reply: oneshot::Sender<Bytes> },
    /// A caller wants to know when a peer is there.
    AwaitPeer { reply: oneshot::Sender<()> },
    /// The owner wants to know what the endpoint has.
    Count { reply: oneshot::Sender<Counts> },
    /// The owner has the endpoint end.
    ShutDown { limit: Duration, reply: oneshot::Sender<Counts> },
}
