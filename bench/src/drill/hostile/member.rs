//! A hostile member of the provider document. The member has a group of its own, so that no caller is sent to it.

use std::time::Duration;

use bytes::Bytes;
use rcs_proto::frames::{self, Ask};
use rcs_rig::scripted::{FakeMember, Manners};

use super::Attack;
use super::wire::PING;

/// Ids in a session check of the member.
const IDS: i64 = 1_000_000;
/// Bytes of a message that is not one of the protocol.
const GARBAGE: usize = 1 << 20;
/// Bytes that an unfinished message announces, and bytes of the message that are sent.
const HALF: (usize, usize) = (64 << 20, 8 << 20);
/// Time between two rounds.
const EVERY: Duration = Duration::from_millis(500);

/// A connector server that answers as it should, so that it stays linked, and sends harmful frames beside.
pub(in crate::drill) struct BadMember(FakeMember);

impl BadMember {
    /// Listens on a free port.
    pub(in crate::drill) fn listen() -> Self {
        Self(FakeMember::listen("hostile", Manners::Polite))
    }

    /// The port.
    pub(in crate::drill) fn port(&self) -> u16 {
        self.0.port()
    }

    /// Sends what no decent member sends, until the attack is over.
    pub(super) fn attack(&self, attack: &Attack) {
        let ids: Vec<i64> = (1..=IDS).collect();
        let check = frames::control_request(1, Ask::Check, &ids, &ids);
        let unasked = frames::answer(4_711, &Default::default());
        let garbage = Bytes::from(vec![0xfe; GARBAGE]);
        let half = vec![0; HALF.0];
        let ping = [0x80 | PING, 0];
        let mut round = 0_u64;
        while attack.goes_on() {
            round += 1;
            let open = self.0.sockets().into_iter().filter(|socket| !socket.is_closed());
            for socket in open {
                match round % 8 {
                    0 => socket.send(&check),
                    1 => socket.send(&garbage),
                    2 => socket.send_raw(&ping.repeat(10_000)),
                    // The rest of the message never comes, so neither end can use this socket any more.
                    7 => socket.send_part(&half, HALF.1),
                    _ => (0..1_000).for_each(|_| socket.send(&unasked)),
                }
                attack.count();
            }
            attack.rest(EVERY);
        }
    }
}
