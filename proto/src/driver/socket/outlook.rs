//! What may end a socket besides its stream: the owner's wish, or the end of the writing task.

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};

use super::{CloseReason, Stop};
use crate::driver::limits;
use crate::driver::writer::{EndCause, WriterEnd};

/// What may end a socket besides its stream.
pub(super) struct Outlook {
    pub(super) writer: JoinHandle<WriterEnd>,
    /// How writing ended, if it has.
    pub(super) ended: Option<WriterEnd>,
    /// The owner's wishes.
    pub(super) stopped: watch::Receiver<Stop>,
    /// Whether the owner still exists.
    pub(super) listening: bool,
    /// Whether the owner wants the socket to stand still.
    pub(super) is_frozen: bool,
    /// Once the end is decided: the reason, and the moment until which bytes that the peer had sent are still read.
    pub(super) ending: Option<(CloseReason, Instant)>,
}

impl Outlook {
    /// Takes note of what has happened. Returns the reason if the socket ends now.
    pub(super) async fn look(&mut self) -> Option<CloseReason> {
        if self.ended.is_none() && self.writer.is_finished() {
            let end = writer_end((&mut self.writer).await);
            self.writer_ended(end);
        }
        if self.listening && self.stopped.has_changed().unwrap_or(true) {
            // If the sender is gone, the owner's last handle is gone.
            self.listening = self.stopped.has_changed().is_ok();
            let stop = *self.stopped.borrow_and_update();
            self.is_frozen = stop == Stop::Frozen && self.listening;
            match stop {
                Stop::Abort => return Some(CloseReason::Owner),
                Stop::No | Stop::Frozen if self.listening => {}
                Stop::No | Stop::Frozen | Stop::Close => {
                    self.ending.get_or_insert((CloseReason::Owner, Instant::now() + limits::CLOSE_DEADLINE));
                }
            }
        }
        self.ending.filter(|(_, deadline)| Instant::now() >= *deadline).map(|(reason, _)| reason)
    }

    /// Waits until [`Outlook::look`] has something to see.
    pub(super) async fn changed(&mut self) {
        let deadline = async {
            match self.ending {
                Some((_, deadline)) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = &mut self.writer, if self.ended.is_none() => self.writer_ended(writer_end(end)),
            wish = self.stopped.changed(), if self.listening => {
                if wish.is_ok() {
                    // The change was noticed here, but [`Outlook::look`] still has to see it.
                    self.stopped.mark_changed();
                }
            }
            () = deadline => {}
        }
    }

    fn writer_ended(&mut self, end: WriterEnd) {
        let (reason, patience) = match end.cause {
            EndCause::Finished => (CloseReason::Owner, limits::CLOSE_DEADLINE),
            EndCause::Failed | EndCause::Halted => (CloseReason::WriteFailed, limits::LAST_WORDS),
        };
        self.ending.get_or_insert((reason, Instant::now() + patience));
        self.ended = Some(end);
    }

    pub(super) fn reason_or(&self, reason: CloseReason) -> CloseReason {
        self.ending.map_or(reason, |(decided, _)| decided)
    }
}

pub(super) fn writer_end(joined: Result<WriterEnd, JoinError>) -> WriterEnd {
    joined.unwrap_or(WriterEnd { cause: EndCause::Failed, unsent: Vec::new(), clean: None })
}
