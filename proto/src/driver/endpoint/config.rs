//! What an endpoint is and allows, and what it has.

use std::time::Duration;

use bytes::Bytes;

use crate::driver::limits;
use crate::driver::socket::{Reading, SocketConfig};
use crate::frames::Identity;
use crate::limits::CHECK_EVERY;

/// What an endpoint is and allows.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Who we are towards every peer.
    pub identity: Identity,
    /// Limits of each socket.
    pub socket: SocketConfig,
    /// Streams pause while more than this is queued on their socket, bytes.
    pub pause_backlog_bytes: usize,
    /// Most calls of one peer at a time; over it they are refused.
    pub calls_max: usize,
    /// How long a peer without sockets is remembered, with its calls running on (WIRE 4.2).
    pub keep_lost: Duration,
    /// Rhythm of pings, if any; a socket that is silent for three of them is dead. An executor had better not: a 1.8.0 dialler
    /// whose socket is closed never comes back (WIRE 7.5), and TCP's own keep-alive finds dead hosts.
    pub ping_every: Option<Duration>,
    /// Rhythm of session checks (WIRE 4.4): each asks the peer for a sign of life, and finds calls that only one end knows.
    pub check_every: Duration,
}

impl EndpointConfig {
    /// The defaults of an executor.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            socket: SocketConfig {
                reading: Reading::Patient,
                greeting_bytes: limits::GREETING_BYTES,
                ..SocketConfig::default()
            },
            pause_backlog_bytes: 4 << 20,
            calls_max: 65_536,
            keep_lost: Duration::from_secs(60),
            ping_every: None,
            check_every: CHECK_EVERY,
        }
    }

    /// An identity as Java makes it: 40 upper-case hex digits at random (WIRE 4.1). The key is used by nobody.
    pub fn random_identity() -> Identity {
        let session_id = format!("{:032X}{:08X}", fastrand::u128(..), fastrand::u32(..));
        Identity { session_id, public_key: Bytes::from_static(b"unused") }
    }
}

/// What an endpoint has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of peers that are executed here.
    pub executing: usize,
    /// Peers, those included that have lost their sockets.
    pub sessions: usize,
    /// Open sockets.
    pub sockets: usize,
}
