//! The signals that a router handles. Two end the router, one makes it read its files again, and others that would end a process do
//! nothing.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};

use crate::control::{Control, Request};

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// If the operating system allows no handler.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits until the owner has drained; `None` if a signal ends the process before. A process that drains because it has handed over
/// was not `told` to end yet: the first signal gives it the time of every drain, and the next one ends it.
pub(crate) async fn drained(
    owner: &mut JoinHandle<()>,
    signals: &mut Signals,
    control: &Control,
    mut told: bool,
) -> Option<Result<(), JoinError>> {
    loop {
        tokio::select! {
            ended = &mut *owner => return Some(ended),
            () = signals.next() => {}
        }
        if told {
            tracing::warn!("ended at once by a second signal");
            return None;
        }
        told = true;
        tracing::info!(
            "calls that are left have the time of a drain; another signal ends the router at once"
        );
        control.send(Request::Drain).await;
    }
}

/// From now on SIGHUP no longer ends the process, and SIGUSR1 and SIGUSR2 do nothing. A tool that tells all processes to open their log
/// files again must not cut callers off.
///
/// # Errors
/// If the operating system allows no handler.
pub(crate) fn hangup() -> io::Result<Signal> {
    // A handler stays for the life of the process.
    for ignored in [SignalKind::user_defined1(), SignalKind::user_defined2(), SignalKind::pipe()] {
        drop(signal(ignored)?);
    }
    signal(SignalKind::hangup())
}
