//! Strangers that reach the callers' port and have no key.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rcs_rig::scripted::{basic, upgrade_request};

use super::wire::connect;
use super::{Attack, Target};

/// Silent connections at a time.
const SILENT: usize = 1_000;
/// Upgrade requests that trickle, at a time.
const SLOW: usize = 100;
/// Time between two bytes of a request that trickles.
const TRICKLE_EVERY: Duration = Duration::from_millis(500);
/// Time between two connections with a wrong key.
const WRONG_KEY_EVERY: Duration = Duration::from_millis(5);

/// Connects and sends nothing. When the router closes the connection, connects again.
pub(super) fn silent(target: &Target, attack: &Attack) {
    let mut open: Vec<TcpStream> = Vec::new();
    while attack.goes_on() {
        while open.len() < SILENT && attack.goes_on() {
            let Ok(stream) = connect(target.listen) else { break };
            open.push(stream);
            attack.count();
        }
        open.retain(is_open);
        attack.rest(Duration::from_millis(200));
    }
}

/// Sends an upgrade request byte by byte.
pub(super) fn slow_upgrades(target: &Target, attack: &Attack) {
    let request = upgrade_request("/openicf", Some(&basic("anonymous", "guess")), None);
    let mut open: Vec<(TcpStream, usize)> = Vec::new();
    while attack.goes_on() {
        while open.len() < SLOW && attack.goes_on() {
            let Ok(stream) = connect(target.listen) else { break };
            open.push((stream, 0));
            attack.count();
        }
        open.retain_mut(|(stream, at)| {
            let byte = request.as_bytes()[*at];
            *at = (*at + 1) % request.len();
            stream.write_all(&[byte]).is_ok()
        });
        attack.rest(TRICKLE_EVERY);
    }
}

/// Tries wrong keys.
pub(super) fn wrong_keys(target: &Target, attack: &Attack) {
    let request = upgrade_request("/openicf", Some(&basic("anonymous", "guess")), None);
    while attack.goes_on() {
        if let Ok(mut stream) = connect(target.listen)
            && stream.write_all(request.as_bytes()).is_ok()
        {
            let _ = stream.read(&mut [0; 512]);
            attack.count();
        }
        attack.rest(WRONG_KEY_EVERY);
    }
}

/// Whether the connection is still open at the other end, as far as this end can see without waiting.
fn is_open(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let seen = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    !matches!(seen, Ok(0)) && !matches!(seen, Err(error) if error.kind() != std::io::ErrorKind::WouldBlock)
}
