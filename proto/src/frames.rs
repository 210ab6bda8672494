//! Builds whole frames: the writing half of [`crate::envelope`].

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::icf::exceptions;
use crate::messages::{
    CancelOpRequest, ControlRequest, ControlResponse, ExceptionMessage, HandshakeMessage, OperationRequest,
    OperationResponse, control_request::InfoLevel, handshake_message::ServerType,
};
use crate::wire::{put_varint, varint_len};

/// Who one end of the protocol says it is (WIRE 4.1). Compared as text by the peer; the key is used for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Unique text: the peer files all sockets with the same one under one session.
    pub session_id: String,
    /// Any bytes.
    pub public_key: Bytes,
}

/// Whether a control request asks for the peer's connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Only the session check.
    Check,
    /// The connectors as well.
    ConnectorInfo,
}

const REQUEST: u8 = 0x12;
const RESPONSE: u8 = 0x1a;

/// A dialler's first frame.
pub fn handshake_request(identity: &Identity) -> Bytes {
    frame(0, REQUEST, 1, &handshake(identity))
}

/// An acceptor's answer to it.
pub fn handshake_response(identity: &Identity) -> Bytes {
    frame(0, RESPONSE, 1, &handshake(identity))
}

/// A session check (WIRE 4.4): `local` are the calls that we execute for the peer, `remote` those we have open there.
pub fn control_request(id: i64, ask: Ask, local: &[i64], remote: &[i64]) -> Bytes {
    let info_level = match ask {
        Ask::Check => Vec::new(),
        Ask::ConnectorInfo => vec![InfoLevel::ConnectorInfo as i32],
    };
    let body =
        ControlRequest { info_level, local_request_id: local.to_vec(), remote_request_id: remote.to_vec() };
    frame(id, REQUEST, 2, &body)
}

/// The answer to a control request, with the legacy `List` of `ConnectorInfo` if it was asked for.
pub fn control_response(id: i64, connector_infos: Option<Bytes>) -> Bytes {
    let body = ControlResponse { connector_infos: connector_infos.unwrap_or_default(), ..Default::default() };
    frame(id, RESPONSE, 2, &body)
}

/// A call.
pub fn operation(id: i64, request: &OperationRequest) -> Bytes {
    frame(id, REQUEST, 3, request)
}

/// The cancel of a call.
pub fn cancel(id: i64) -> Bytes {
    frame(id, REQUEST, 4, &CancelOpRequest {})
}

/// A frame of a call's answer.
pub fn answer(id: i64, response: &OperationResponse) -> Bytes {
    frame(id, RESPONSE, 3, response)
}

/// An error that ends a call. `class` is the Java class name that IDM looks at (WIRE 5.1); no stack trace is sent.
pub fn error(id: i64, class: &str, message: &str) -> Bytes {
    let body = ExceptionMessage {
        exception_class: class.to_owned(),
        message: message.to_owned(),
        inner_cause: None,
        stack_trace: String::new(),
    };
    frame(id, RESPONSE, 4, &body)
}

/// What one of our servers answers to a call that comes while it shuts down. No member of the published kind says such a thing;
/// to an IDM that calls directly it is an error that may be repeated.
pub fn shutting_down(id: i64) -> Bytes {
    error(id, exceptions::CONNECTION_FAILED, &shutting_down_text(id))
}

/// Whether the error to the call with this id is [`shutting_down`]. The id is a part of the text, so that no text of a script or of a
/// resource is taken for it.
pub fn is_shutting_down(class: &str, message: &str, id: i64) -> bool {
    class == exceptions::CONNECTION_FAILED && message == shutting_down_text(id)
}

/// What a router answers to a call that another router forwarded, if the call certainly did not reach its member. To an IDM the error is one
/// that may be repeated.
pub fn not_forwarded(id: i64) -> Bytes {
    error(id, exceptions::CONNECTION_FAILED, &not_forwarded_text(id))
}

/// Whether the error to the call with this id is [`not_forwarded`].
pub fn is_not_forwarded(class: &str, message: &str, id: i64) -> bool {
    class == exceptions::CONNECTION_FAILED && message == not_forwarded_text(id)
}

fn not_forwarded_text(id: i64) -> String {
    format!("The router does not reach the member now: call {id} was not run")
}

/// What a router answers to a call that another router forwarded, if the call may have reached its member, and its answer will not come.
pub fn lost_beyond(id: i64) -> Bytes {
    error(id, exceptions::CONNECTOR, &lost_beyond_text(id))
}

/// Whether the error to the call with this id is [`lost_beyond`].
pub fn is_lost_beyond(class: &str, message: &str, id: i64) -> bool {
    class == exceptions::CONNECTOR && message == lost_beyond_text(id)
}

fn lost_beyond_text(id: i64) -> String {
    format!("The router lost the member of call {id} after the call was sent")
}

fn shutting_down_text(id: i64) -> String {
    format!("The connector server is shutting down: call {id} was not run")
}

fn handshake(identity: &Identity) -> HandshakeMessage {
    HandshakeMessage {
        session_id: identity.session_id.clone(),
        // What IDMs know: nothing depends on it, and UNKNOWN was never seen on the wire.
        server_type: ServerType::Java as i32,
        public_key: identity.public_key.clone(),
    }
}

/// `RemoteMessage { id, side { kind { body } } }` in one allocation.
fn frame(id: i64, side: u8, kind: u8, body: &impl Message) -> Bytes {
    let body_len = body.encoded_len();
    let inner_len = 1 + varint_len(body_len as u64) + body_len;
    let id_len = if id == 0 { 0 } else { 1 + varint_len(id as u64) };
    let mut out = BytesMut::with_capacity(id_len + 1 + varint_len(inner_len as u64) + inner_len);
    if id != 0 {
        out.put_u8(0x08);
        put_varint(&mut out, id as u64);
    }
    out.put_u8(side);
    put_varint(&mut out, inner_len as u64);
    out.put_u8(kind << 3 | 2);
    put_varint(&mut out, body_len as u64);
    body.encode_raw(&mut out);
    out.freeze()
}
