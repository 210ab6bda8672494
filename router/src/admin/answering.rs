//! A connection whose client must take its answers in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::limits::ADMIN_ANSWER_DEADLINE;

/// Fails when the client has not read an answer within [`ADMIN_ANSWER_DEADLINE`], even if the client reads on slowly.
#[derive(Debug)]
pub(super) struct Answering<S> {
    stream: S,
    /// Runs while bytes wait for the client to read.
    waits: Option<Pin<Box<Sleep>>>,
}

impl<S> Answering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, waits: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Answering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Answering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write(cx, data);
        if let Some(waits) = &mut this.waits {
            if waits.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if written.is_pending() {
            let mut waits = Box::pin(sleep(ADMIN_ANSWER_DEADLINE));
            let _ = waits.as_mut().poll(cx);
            this.waits = Some(waits);
        }
        written
    }

    /// Called after everything was written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waits = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
