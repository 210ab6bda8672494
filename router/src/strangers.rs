//! What peers are told that were let in, and then showed that they are neither a caller nor a member; and what the log says of them.

use std::net::SocketAddr;
use std::sync::Arc;

use rcs_core::engine::TurnedAway;
use rcs_core::limits::GREETING_DEADLINE;
use rcs_proto::driver::tally::Tally;
use rcs_proto::manifest::Shown;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::limits::{STRANGER_NAME_CHARS, STRANGERS_WAITING_MAX};

/// The code of a Close frame that refuses what the peer is (RFC 6455, section 7.4.1).
const POLICY_VIOLATION: u16 = 1008;
/// The same for what is not the protocol.
const PROTOCOL_ERROR: u16 = 1002;

/// What a connection presented when it was let in. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    /// Where it comes from.
    pub(crate) peer: SocketAddr,
    /// The path of its request.
    pub(crate) path: Arc<str>,
    /// What its credential made of it.
    pub(crate) as_what: AsWhat,
}

/// What a credential makes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AsWhat {
    /// A caller of this principal.
    Caller(Arc<str>),
    /// The member of this name.
    Member(Arc<str>),
}

/// A Close frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Goodbye {
    pub(crate) code: u16,
    /// At most 123 bytes, so that none are cut.
    pub(crate) reason: String,
}

impl Presented {
    /// What the peer is told in its Close frame, which has room for a short line.
    pub(crate) fn goodbye(&self, why: TurnedAway) -> Goodbye {
        let (what, name) = match &self.as_what {
            AsWhat::Caller(principal) => ("caller", cut(principal)),
            AsWhat::Member(name) => ("server", cut(name)),
        };
        let path = cut(&self.path);
        let seconds = GREETING_DEADLINE.as_secs();
        let (code, reason) = match why {
            TurnedAway::Silent | TurnedAway::NoHandshake => (
                POLICY_VIOLATION,
                format!(
                    "no OpenICF handshake in {seconds} s from {what} {name} at {path}: send it first, or see the router's log"
                ),
            ),
            TurnedAway::Handshake(_) => (
                PROTOCOL_ERROR,
                format!("unusable handshake from {what} {name} at {path}: see the router's log"),
            ),
            TurnedAway::ServerAmongCallers => (
                POLICY_VIOLATION,
                format!("you are a server, but {name} at {path} is a caller: you need a [member.NAME] entry"),
            ),
            TurnedAway::CallerAmongMembers => (
                POLICY_VIOLATION,
                format!("you call, but {name} at {path} is a server: use a caller's credential"),
            ),
        };
        Goodbye { code, reason }
    }

    /// The line of the log.
    fn line(&self, why: TurnedAway) -> String {
        let path = Shown::new(&self.path);
        let who = match &self.as_what {
            AsWhat::Caller(principal) => format!("a caller (user name \"{}\")", Shown::new(principal)),
            AsWhat::Member(name) => format!("the server \"{}\" in client mode", Shown::new(name)),
        };
        let seconds = GREETING_DEADLINE.as_secs();
        let why = match why {
            TurnedAway::Silent => format!(
                "nothing came within {seconds} s. An IDM or a connector server sends a handshake first: look which program dials here with these \
                 credentials"
            ),
            TurnedAway::NoHandshake => format!(
                "messages came, but no handshake within {seconds} s: look which program dials here with these credentials"
            ),
            TurnedAway::Handshake(error) => format!("{error}: look which program dials here with these credentials"),
            TurnedAway::ServerAmongCallers => {
                "it is a connector server of .NET, and servers get no calls with a caller's credential: give the server an entry [member.NAME] in \
                 the file of credentials, with its connectorServerName as NAME"
                    .to_owned()
            }
            TurnedAway::CallerAmongMembers => {
                "it sent a call, and connector servers send none: give the IDM an entry [caller.NAME] in the file of credentials, or the callers' \
                 shared key"
                    .to_owned()
            }
        };
        format!("a connection was closed: it dialled {path} and was let in as {who}, but {why}")
    }
}

/// The first characters of a name, in visible ASCII.
fn cut(name: &str) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let mut cut: String = name.chars().take(STRANGER_NAME_CHARS).map(plain).collect();
    if name.chars().nth(STRANGER_NAME_CHARS).is_some() {
        cut.push_str("..");
    }
    cut
}

/// Logs peers that were turned away: one line a second for each reason, however many there are.
#[derive(Clone, Debug)]
pub(crate) struct Strangers(mpsc::Sender<(Presented, TurnedAway)>);

impl Strangers {
    /// Starts the task that writes the lines. The task ends with the last clone of this value.
    pub(crate) fn start() -> Self {
        let (strangers, turned_away) = mpsc::channel(STRANGERS_WAITING_MAX);
        tokio::spawn(log(turned_away));
        Self(strangers)
    }

    /// A peer was turned away. Nobody waits for the log: if too many wait, this one is counted by the metric alone.
    pub(crate) fn note(&self, presented: Presented, why: TurnedAway) {
        let _ = self.0.try_send((presented, why));
    }
}

async fn log(mut turned_away: mpsc::Receiver<(Presented, TurnedAway)>) {
    let mut told: Tally<&'static str, SocketAddr> = Tally::default();
    loop {
        let due = told.next();
        let count_is_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            stranger = turned_away.recv() => {
                let Some((presented, why)) = stranger else { return };
                if told.note(why.label(), presented.peer, Instant::now()) {
                    tracing::warn!(peer = %presented.peer, reason = why.label(), "{}", presented.line(why));
                }
            }
            () = count_is_due => {
                for again in told.due(Instant::now()) {
                    let (count, reason, peer) = (again.count, again.kind, again.last);
                    tracing::warn!(
                        "closed {count} more connections of neither callers nor servers in the last second: {reason} (last from {peer})"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rcs_proto::session::HandshakeError;

    use super::*;

    #[test]
    fn a_goodbye_fits_into_a_close_frame_whatever_the_names_are() {
        let long = "\u{20ac}".repeat(300);
        for as_what in [AsWhat::Caller(long.as_str().into()), AsWhat::Member("x".repeat(300).into())] {
            let presented = Presented {
                peer: ([10, 0, 0, 1], 1).into(),
                path: "/openicf/a-group-with-a-name".into(),
                as_what,
            };
            for why in [
                TurnedAway::Silent,
                TurnedAway::NoHandshake,
                TurnedAway::Handshake(HandshakeError::Deadline),
                TurnedAway::ServerAmongCallers,
                TurnedAway::CallerAmongMembers,
            ] {
                let Goodbye { reason, .. } = presented.goodbye(why);
                assert!(reason.len() <= 123 && reason.is_ascii(), "{}: {reason}", reason.len());
                assert!(!presented.line(why).is_empty() && TurnedAway::LABELS.contains(&why.label()));
            }
        }
    }
}
