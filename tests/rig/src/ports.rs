//! Free ports on the loopback.

use std::net::TcpListener;

/// A port that was free a moment ago. Peers that can should bind port 0 and say what they got; this is for those that must be
/// named before they run (a member in a provider document that is started later).
pub fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    probe.local_addr().expect("a bound socket has an address").port()
}
