//! Messages and descriptors on the Unix socket between two processes of one router.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use prost::Message as _;
use rcs_proto::messages::handover::message::Kind;
use rcs_proto::messages::handover::{Message, Refused};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::limits::{
    HANDOVER_DESCRIPTORS_AT_ONCE, HANDOVER_DESCRIPTORS_MAX, HANDOVER_END_WAIT, HANDOVER_MESSAGE_BYTES_MAX,
};

/// Why a handover did not happen.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The Unix socket failed.
    #[error("the handover failed: {0}")]
    Io(#[from] io::Error),
    /// The other process sent something that makes no sense here.
    #[error(
        "the other router process sent {0} where another message belongs: do both run a release of rcs-router?"
    )]
    Unexpected(String),
    /// The other process refused.
    #[error("the running router refused the handover: {0}")]
    Refused(String),
    /// The other process needs something that this one does not know.
    #[error(
        "the other router process needs {0:?}, which this release does not know: upgrade step by step, or drain the running router and start anew"
    )]
    Unknown(String),
    /// The other process belongs to somebody else.
    #[error(
        "the other router process runs as user {theirs}, and this one as user {own}: both must run as the same user"
    )]
    OtherUser {
        /// The user of the other process.
        theirs: u32,
        /// The user of this process.
        own: u32,
    },
    /// This process was told to end.
    #[error("a signal ended this process before it had the callers: the running router goes on")]
    Ended,
    /// The state is damaged.
    #[error("the state of the running router arrived damaged; nothing was taken over")]
    Damaged,
}

/// One end of the conversation.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
}

impl Channel {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream }
    }

    /// Messages of the other process are waited for so long; none: for ever.
    pub(super) fn wait_at_most(&self, time: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(time)?;
        self.stream.set_write_timeout(time)
    }

    /// Sends a message, and descriptors beside it.
    pub(super) fn send(&mut self, kind: Kind, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = Message { kind: Some(kind) }.encode_to_vec();
        let too_much = || io::Error::other("too much for one message of a handover");
        let size = u32::try_from(bytes.len()).map_err(|_| too_much())?;
        let count = u32::try_from(descriptors.len()).map_err(|_| too_much())?;
        let mut head = [0; 8];
        head[..4].copy_from_slice(&size.to_be_bytes());
        head[4..].copy_from_slice(&count.to_be_bytes());
        self.stream.write_all(&head)?;
        for some in descriptors.chunks(HANDOVER_DESCRIPTORS_AT_ONCE) {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDOVER_DESCRIPTORS_AT_ONCE))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            if !beside.push(SendAncillaryMessage::ScmRights(some)) {
                return Err(too_much());
            }
            sendmsg(&self.stream, &[IoSlice::new(&[0])], &mut beside, SendFlags::NOSIGNAL)?;
        }
        self.stream.write_all(&bytes)
    }

    /// Waits for the next message. `None` if the other process has closed the socket, or has died.
    pub(super) fn receive(&mut self) -> Result<Option<(Kind, Vec<OwnedFd>)>, HandoverError> {
        let mut head = [0; 8];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let [a, b, c, d, e, f, g, h] = head;
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        let count = u32::from_be_bytes([e, f, g, h]) as usize;
        if size > HANDOVER_MESSAGE_BYTES_MAX || count > HANDOVER_DESCRIPTORS_MAX {
            return Err(HandoverError::Unexpected(format!("{size} bytes with {count} descriptors")));
        }
        let descriptors = self.receive_descriptors(count)?;
        let mut bytes = vec![0; size];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        match Message::decode(bytes.as_slice()) {
            Ok(Message { kind: Some(kind) }) => Ok(Some((kind, descriptors))),
            _ => Err(HandoverError::Unexpected("something unknown".to_owned())),
        }
    }

    fn receive_descriptors(&mut self, count: usize) -> Result<Vec<OwnedFd>, HandoverError> {
        let mut found = Vec::new();
        while found.len() < count {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDOVER_DESCRIPTORS_AT_ONCE))];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let got = recvmsg(
                &self.stream,
                &mut [IoSliceMut::new(&mut byte)],
                &mut beside,
                RecvFlags::CMSG_CLOEXEC,
            )
            .map_err(io::Error::from)?;
            let before = found.len();
            for message in beside.drain() {
                if let RecvAncillaryMessage::ScmRights(some) = message {
                    found.extend(some);
                }
            }
            if got.bytes == 0 || found.len() == before {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(found)
    }

    /// Waits until the other process has ended, or has closed its end, for a while.
    pub(super) fn await_end(&mut self) {
        if self.wait_at_most(Some(HANDOVER_END_WAIT)).is_ok() {
            while let Ok(Some(_)) = self.receive() {}
        }
    }

    /// Tells the other process that nothing is handed over. If it has gone, it needs no telling.
    pub(super) fn refuse(&mut self, reason: &str) {
        drop(self.send(Kind::Refused(Refused { reason: reason.to_owned() }), &[]));
    }

    /// What the other process sends from now on fails there. What it has sent can still be received here.
    pub(super) fn hear_no_more(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Read)
    }

    /// Whether the other process runs as the same user. Whoever else waits at the path, or connects to it, is neither told nor believed
    /// anything. Root's later process is no exception: it would serve as root from then on.
    pub(super) fn check_user(&self) -> Result<(), HandoverError> {
        let credentials =
            rustix::net::sockopt::socket_peercred(self.stream.as_fd()).map_err(io::Error::from)?;
        same_user(credentials.uid.as_raw(), rustix::process::geteuid().as_raw())
    }
}

fn same_user(theirs: u32, own: u32) -> Result<(), HandoverError> {
    if theirs == own { Ok(()) } else { Err(HandoverError::OtherUser { theirs, own }) }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// What this release understands of the words in `needs`.
const KNOWN: [&str; 1] = ["callers-1"];

/// What this release needs the other process to understand.
pub(super) fn needs() -> Vec<String> {
    KNOWN.map(str::to_owned).to_vec()
}

/// Whether this release understands all that the other process needs.
pub(super) fn check_needs(needs: &[String]) -> Result<(), HandoverError> {
    match needs.iter().find(|need| !KNOWN.contains(&need.as_str())) {
        Some(unknown) => Err(HandoverError::Unknown(unknown.clone())),
        None => Ok(()),
    }
}

/// The word for a message, for errors.
pub(super) fn unexpected<T>(received: Option<(Kind, T)>) -> HandoverError {
    match received {
        None => io::Error::new(io::ErrorKind::UnexpectedEof, "the other router process has gone").into(),
        Some((Kind::Refused(Refused { reason }), _)) => HandoverError::Refused(reason),
        Some((kind, _)) => {
            let word = format!("{kind:?}");
            HandoverError::Unexpected(word.split(['(', ' ']).next().unwrap_or_default().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use rcs_proto::messages::handover::{Commit, Hello};

    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Channel::new(one), Channel::new(other));
        let (mut read, write) = std::io::pipe().unwrap();
        let many: Vec<_> = (0..2 * HANDOVER_DESCRIPTORS_AT_ONCE + 1).map(|_| write.as_fd()).collect();
        let hello = Hello { program: "1".repeat(100_000), ..Hello::default() };
        let sending = std::thread::scope(|scope| {
            let sent = scope.spawn(|| one.send(Kind::Hello(hello.clone()), &many));
            let (kind, descriptors) = other.receive().unwrap().unwrap();
            assert_eq!(kind, Kind::Hello(hello.clone()));
            assert_eq!(descriptors.len(), many.len());
            std::fs::File::from(descriptors.into_iter().last().unwrap()).write_all(b"x").unwrap();
            sent.join().unwrap()
        });
        sending.unwrap();
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        one.send(Kind::Commit(Commit {}), &[]).unwrap();
        drop(one);
        assert!(matches!(other.receive(), Ok(Some((Kind::Commit(_), _)))));
        assert!(matches!(other.receive(), Ok(None)));
    }

    #[test]
    fn only_the_same_user_is_spoken_to() {
        let (one, _other) = UnixStream::pair().unwrap();
        Channel::new(one).check_user().unwrap();
        for (theirs, own) in [(1_000, 1_001), (0, 1_000), (1_000, 0)] {
            assert!(matches!(same_user(theirs, own), Err(HandoverError::OtherUser { .. })), "{theirs} {own}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [[255_u8; 9].as_slice(), &[0, 0, 0, 1, 0, 0, 0, 0, 255], &[0, 0, 0, 0, 0, 0, 0, 0]] {
            let (mut one, other) = UnixStream::pair().unwrap();
            one.write_all(bytes).unwrap();
            let error = Channel::new(other).receive().unwrap_err();
            assert!(matches!(error, HandoverError::Unexpected(_)), "{error}");
        }
        let error = check_needs(&["callers-1".to_owned(), "later".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"later\""), "{error}");
    }
}
