//! Scripted peers on real sockets: a connector server that the router dials ([`FakeMember`]), one in client mode that dials the router
//! ([`FakeClient`]), and an IDM that dials the router ([`FakeIdm`]), driven from the test body frame by frame. Framing is written by hand here, so that a test can send what no
//! decent library would, and so that the router's own WebSocket library is not judged by itself.

mod client;
mod hop;
mod http;
mod idm;
mod inbox;
mod member;
mod socket;

pub use client::FakeClient;
pub use hop::{Proxy, Refuser};
pub use http::{Answer, basic, raw_exchange, upgrade_request};
pub use idm::FakeIdm;
pub use inbox::{Frame, Inbox};
pub use member::FakeMember;
pub use socket::Socket;

use bytes::Bytes;
use rcs_proto::frames::{self, Identity};
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire;
use rcs_proto::messages::{
    ConnectorKey, OperationRequest, OperationResponse, RemoteMessage, RpcRequest, TestOpResponse,
    ValidateOpRequest,
};

/// The connector list of a real Java RCS with the rig connector.
pub const CONNECTOR_INFOS: &[u8] = include_bytes!("../../vectors/connector-infos.bin");

/// The same list, with another version of its bundle.
pub fn connector_infos_at(version: &str) -> Bytes {
    let mut infos = Vec::<ConnectorInfo>::decode(CONNECTOR_INFOS).expect("Java wrote it");
    for info in &mut infos {
        version.clone_into(&mut info.key.bundle_version);
    }
    infos.encode()
}

/// Which answers a scripted peer gives by itself, on the socket that asked and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// Handshakes, control requests and the router's probes (`test`) are answered; the test body sees the rest.
    Polite,
    /// Handshakes and probes are answered; control requests are the test's business.
    OnlyHandshake,
    /// The test body does everything.
    None,
}

impl Manners {
    /// What a peer with these manners answers by itself; `infos` is its connector list.
    fn answer(self, message: &RemoteMessage, identity: &Identity, infos: &[u8]) -> Option<Bytes> {
        let request = message.request.as_ref()?;
        match (request, self) {
            (RpcRequest { handshake: Some(_), .. }, Self::Polite | Self::OnlyHandshake) => {
                Some(frames::handshake_response(identity))
            }
            (RpcRequest { control: Some(control), .. }, Self::Polite) => {
                let asked = control.info_level.contains(&0);
                let list = asked.then(|| Bytes::copy_from_slice(infos));
                Some(frames::control_response(message.message_id, list))
            }
            (RpcRequest { operation: Some(operation), .. }, Self::Polite | Self::OnlyHandshake)
                if operation.test.is_some() =>
            {
                let done =
                    OperationResponse { test: Some(TestOpResponse {}), ..OperationResponse::default() };
                Some(frames::answer(message.message_id, &done))
            }
            _ => None,
        }
    }
}

/// An identity with this session id.
pub fn identity(session_id: &str) -> Identity {
    Identity { session_id: session_id.to_owned(), public_key: Bytes::from_static(b"no key") }
}

/// A request for the rig connector, without its operation.
pub fn request() -> OperationRequest {
    OperationRequest {
        connector_key: Some(ConnectorKey {
            bundle_name: "rig.connector".to_owned(),
            bundle_version: "1.0.0.0".to_owned(),
            connector_name: "rig.RigConnector".to_owned(),
        }),
        connector_facade_key: Bytes::from_static(b"c2NyaXB0ZWQ="),
        ..OperationRequest::default()
    }
}

/// A `validate` of the rig connector: the smallest call. (`test` is what the router probes with.)
pub fn validate_request() -> OperationRequest {
    OperationRequest { validate: Some(ValidateOpRequest {}), ..request() }
}
