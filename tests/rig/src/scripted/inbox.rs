//! What scripted peers have received, in order, with a way to wait for the frame that matters.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use rcs_proto::messages::{
    ExceptionMessage, HandshakeMessage, OperationRequest, OperationResponse, RemoteMessage,
};

use super::socket::Socket;

/// Default bound for a frame to arrive.
const BOUND: Duration = Duration::from_secs(10);

/// One received frame.
#[derive(Clone)]
pub struct Frame {
    /// The socket it came on.
    pub socket: Arc<Socket>,
    /// When it was read.
    pub at: Instant,
    /// The frame as it came.
    pub bytes: Bytes,
    /// The frame decoded.
    pub message: RemoteMessage,
}

impl Frame {
    /// Decodes a frame; fails the test if the sender wrote no RemoteMessage.
    pub(super) fn new(socket: &Arc<Socket>, bytes: Bytes) -> Self {
        let message =
            RemoteMessage::decode(bytes.clone()).unwrap_or_else(|e| panic!("an undecodable frame came: {e}"));
        Self { socket: Arc::clone(socket), at: Instant::now(), bytes, message }
    }

    /// The message id.
    pub fn id(&self) -> i64 {
        self.message.message_id
    }

    /// The operation, if it is one.
    pub fn operation(&self) -> Option<&OperationRequest> {
        self.message.request.as_ref()?.operation.as_ref()
    }

    /// The answer to an operation, if it is one.
    pub fn answer(&self) -> Option<&OperationResponse> {
        self.message.response.as_ref()?.operation.as_ref()
    }

    /// The error, if it is one.
    pub fn error(&self) -> Option<&ExceptionMessage> {
        self.message.response.as_ref()?.error.as_ref()
    }

    /// The handshake, asked or answered, if it is one.
    pub fn handshake(&self) -> Option<&HandshakeMessage> {
        let request = self.message.request.as_ref().and_then(|r| r.handshake.as_ref());
        request.or_else(|| self.message.response.as_ref()?.handshake.as_ref())
    }

    /// True for a control request.
    pub fn is_control_request(&self) -> bool {
        self.message.request.as_ref().is_some_and(|r| r.control.is_some())
    }

    /// The connector list of a control response; empty if it has none.
    pub fn connector_infos(&self) -> Option<&Bytes> {
        Some(&self.message.response.as_ref()?.control.as_ref()?.connector_infos)
    }

    /// True for a cancel.
    pub fn is_cancel(&self) -> bool {
        self.message.request.as_ref().is_some_and(|r| r.cancel.is_some())
    }

    /// True for an answer or an error of call `id`.
    pub fn answers(&self, id: i64) -> bool {
        self.id() == id && (self.answer().is_some() || self.error().is_some())
    }
}

/// Shows kind and id, which is what a failed test needs to see.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            _ if self.operation().is_some() => "operation".to_owned(),
            _ if self.answer().is_some() => "answer".to_owned(),
            _ if self.handshake().is_some() => "handshake".to_owned(),
            _ if self.is_cancel() => "cancel".to_owned(),
            _ if self.is_control_request() => "control request".to_owned(),
            _ if self.connector_infos().is_some() => "control response".to_owned(),
            _ => self
                .error()
                .map_or("unknown".to_owned(), |e| format!("error {}: {}", e.exception_class, e.message)),
        };
        write!(f, "{kind} {} on socket {} ({} bytes)", self.id(), self.socket.number(), self.bytes.len())
    }
}

/// Frames of all sockets of one peer.
pub struct Inbox {
    sender: Sender<Frame>,
    receiver: Receiver<Frame>,
    passed_over: VecDeque<Frame>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver, passed_over: VecDeque::new() }
    }

    pub(super) fn sender(&self) -> Sender<Frame> {
        self.sender.clone()
    }

    /// The first frame that `fits`, among those passed over before and those that come; the others are kept for later.
    #[track_caller]
    pub fn next(&mut self, reason: &str, fits: impl Fn(&Frame) -> bool) -> Frame {
        self.next_within(reason, BOUND, fits)
    }

    /// [`Inbox::next`] with a bound of its own.
    #[track_caller]
    pub fn next_within(&mut self, reason: &str, bound: Duration, fits: impl Fn(&Frame) -> bool) -> Frame {
        match self.find(bound, fits) {
            Some(frame) => frame,
            None => panic!("no frame in {bound:?}: {reason}; others came: {:?}", self.passed_over),
        }
    }

    /// The first frame that `fits` within `bound`, if there is one.
    pub fn find(&mut self, bound: Duration, fits: impl Fn(&Frame) -> bool) -> Option<Frame> {
        if let Some(at) = self.passed_over.iter().position(&fits) {
            return self.passed_over.remove(at);
        }
        let end = Instant::now() + bound;
        loop {
            match self.receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(frame) if fits(&frame) => return Some(frame),
                Ok(frame) => self.passed_over.push_back(frame),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Fails the test if a frame that `fits` is there or comes within `time`.
    #[track_caller]
    pub fn expect_none(&mut self, reason: &str, time: Duration, fits: impl Fn(&Frame) -> bool) {
        if let Some(frame) = self.find(time, fits) {
            panic!("{frame:?} came: {reason}");
        }
    }

    /// The next operation.
    #[track_caller]
    pub fn operation(&mut self, reason: &str) -> Frame {
        self.next(reason, |f| f.operation().is_some())
    }
}
