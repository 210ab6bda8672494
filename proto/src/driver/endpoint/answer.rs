//! The way of an answer from the hub to its caller.

use tokio::sync::{mpsc, oneshot};

use crate::envelope::Envelope;

/// Frames of one answer that may wait for their reader; over it the call fails, since its member must not be stalled (P13).
const FRAMES_WAITING: usize = 65_536;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The peer's error. The text may hold what a connector put there, so only the class is displayed (P9).
    #[error("{class}")]
    Peer {
        /// Java class name.
        class: String,
        /// The text.
        message: String,
    },
    /// It was not run: there is no connection, or it broke before the request was out.
    #[error("the call was not sent: there is no connection")]
    NotSent,
    /// It may have been run: the connection broke, or the peer forgot it.
    #[error("the connection was lost while the call was running")]
    ConnectionLost,
    /// The answer makes no sense.
    #[error("the peer's answer does not fit the call")]
    Garbled,
    /// The answer's reader fell too far behind.
    #[error("more than {FRAMES_WAITING} frames of the answer were waiting to be read")]
    TooSlow,
    /// The answer was larger than a message may be.
    #[error("the answer of {bytes} bytes is over the limit for one message")]
    Oversize {
        /// Its size.
        bytes: u64,
    },
}

/// A frame of an answer, or why there is no more of it.
pub(super) type Answer = Result<Box<Envelope>, RemoteError>;

/// Where the hub puts an answer.
pub(super) enum Sink {
    One(Option<oneshot::Sender<Answer>>),
    Many(mpsc::Sender<Answer>),
}

/// Where its caller takes it from.
#[derive(Debug)]
pub(super) enum Source {
    One(oneshot::Receiver<Answer>),
    Many(mpsc::Receiver<Answer>),
    Over,
}

/// Both ends for an answer of one frame.
pub(super) fn one() -> (Sink, Source) {
    let (sink, source) = oneshot::channel();
    (Sink::One(Some(sink)), Source::One(source))
}

/// Both ends for an answer of any number of frames.
pub(super) fn many() -> (Sink, Source) {
    let (sink, source) = mpsc::channel(FRAMES_WAITING);
    (Sink::Many(sink), Source::Many(source))
}

impl Sink {
    pub(super) fn push(&mut self, envelope: Envelope) -> Result<(), RemoteError> {
        let answer = Ok(Box::new(envelope));
        match self {
            Self::One(one) => {
                if let Some(one) = one.take() {
                    // The caller may have lost interest.
                    let _ = one.send(answer);
                }
                Ok(())
            }
            Self::Many(many) => match many.try_send(answer) {
                Err(mpsc::error::TrySendError::Full(_)) => Err(RemoteError::TooSlow),
                // A stream without its reader is cancelled by its drop.
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            },
        }
    }

    pub(super) fn fail(self, error: RemoteError) {
        match self {
            Self::One(Some(one)) => {
                // The caller may have lost interest.
                let _ = one.send(Err(error));
            }
            Self::One(None) => {}
            Self::Many(many) => {
                if let Err(mpsc::error::TrySendError::Full(error)) = many.try_send(Err(error)) {
                    // The reader gets the error behind everything that waits for it.
                    tokio::spawn(async move { many.send(error).await });
                }
            }
        }
    }
}

impl Source {
    /// The next frame, or the error that ends the answer. None behind the last one.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        match self {
            Self::One(one) => {
                let answer = one.await.unwrap_or(Err(RemoteError::ConnectionLost));
                *self = Self::Over;
                Some(answer)
            }
            Self::Many(many) => many.recv().await,
            Self::Over => None,
        }
    }

    /// Whether the hub may still put something in.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::One(_) => true,
            // The hub drops its end behind the last frame.
            Self::Many(many) => !many.is_closed(),
            Self::Over => false,
        }
    }
}
