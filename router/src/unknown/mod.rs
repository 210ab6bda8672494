//! The work list of unknown outcomes: calls that may have changed something, where nobody can say whether they ran. Each entry is kept
//! until an operator acknowledges it: in a file of the data directory if there is one, else in memory.
//!
//! A thread of its own keeps the list and writes the file. The owner hands an outcome over to a bounded queue and never waits. Outcomes
//! that find no room, or that the file cannot store, are counted. No entry has a payload or the text of a connector's error (P9).

mod file;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rcs_core::engine::Note;
use serde::{Deserialize, Serialize};

pub use self::file::DataDirError;
use self::file::Kept;
use crate::clock::rfc3339;
use crate::limits::{UNKNOWN_FLUSH_MAX, UNKNOWN_OUTCOMES_MAX, UNKNOWN_PLACE_AGAIN, UNKNOWN_QUEUE_MAX};
use crate::names::Names;

/// One call with an unknown outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The id of the call. Numbers begin again with each start of the router, so `at` is needed as well to name the call.
    pub(crate) id: String,
    /// When the call came (RFC 3339).
    pub(crate) at: String,
    /// The operation.
    pub(crate) op: String,
    pub(crate) group: String,
    /// The member that had the call last.
    pub(crate) member: Option<String>,
    /// The principal of the caller.
    pub(crate) caller: Option<String>,
    pub(crate) connector: Option<String>,
    pub(crate) object_class: Option<String>,
    /// The class of the exception that the caller got.
    pub(crate) exception: Option<String>,
    /// The router's sentence in that exception.
    pub(crate) sentence: Option<String>,
}

/// Which entries an operator acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All of them.
    All,
    /// The call with this id. `at` is needed if several calls have the id.
    Call {
        /// The id.
        id: String,
        /// When the call came.
        at: Option<String>,
    },
}

/// Why nothing was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAcknowledged {
    #[error("no unknown outcome of call {0} is kept: see `rcs-router call list --outcome unknown`")]
    NotThere(String),
    #[error(
        "{count} calls have the id {id}, from before and after a restart of the router: add the time of the call, as in --at {at}"
    )]
    Several { id: String, count: usize, at: String },
}

/// The entry for a note; `None` if the note is about something else.
pub(crate) fn entry(note: &Note<'_>, names: &Names) -> Option<Entry> {
    let Note::OutcomeUnknown {
        call,
        at,
        group,
        member,
        operation,
        caller,
        connector,
        object_class,
        class,
        sentence,
    } = *note
    else {
        return None;
    };
    let text = |text: Option<&str>| text.map(str::to_owned);
    Some(Entry {
        id: call.to_string(),
        at: rfc3339(at),
        op: operation.label().to_owned(),
        group: names.group(group).to_string(),
        member: member.map(|member| names.member(member).to_string()),
        caller: text(caller),
        connector: text(connector),
        object_class: text(object_class),
        exception: text(class),
        sentence: text(sentence),
    })
}

/// The list, shared by the owner, the admin address and the thread that keeps the list.
#[derive(Clone, Debug)]
pub(crate) struct Unknowns {
    shared: Arc<Shared>,
    queue: SyncSender<Message>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The entries, the oldest first. The owner never takes this lock.
    open: Mutex<VecDeque<Entry>>,
    /// The number of entries that found no room.
    lost: AtomicU64,
    /// Whether the file has to be written anew.
    is_stale: AtomicBool,
}

enum Message {
    Record(Box<Entry>),
    /// Check whether the file has to be written anew.
    Wake,
    /// Report when all entries that were handed over before are written.
    Flush(SyncSender<()>),
    /// Close the file: a later process uses the directory.
    Lend(SyncSender<()>),
    /// Use this directory again.
    TakeBack(PathBuf),
    /// Report the entries that came since the file was closed.
    SinceLent(SyncSender<Vec<Entry>>),
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unknowns {
    /// A list in this directory, with the entries that an earlier process left there. Without a directory, a list in memory.
    ///
    /// # Errors
    /// [`DataDirError`] if the directory or its file cannot be used.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self, DataDirError> {
        let (kept, before) = directory.map(Kept::open).transpose()?.unzip();
        let shared = Arc::new(Shared { open: Mutex::new(before.unwrap_or_default()), ..Shared::default() });
        let (queue, messages) = sync_channel(UNKNOWN_QUEUE_MAX);
        let keeper =
            Keeper { shared: Arc::clone(&shared), kept, has_failed: false, since_lent: None, wanted: None };
        thread::Builder::new()
            .name("unknown".to_owned())
            .spawn(move || keeper.run(&messages))
            .map_err(DataDirError::Thread)?;
        Ok(Self { shared, queue })
    }

    /// Adds an entry. Never waits.
    pub(crate) fn record(&self, entry: Entry) {
        if self.queue.try_send(Message::Record(Box::new(entry))).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The entries that the filter selects, the oldest first.
    pub(crate) fn list(&self, fits: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.shared.open().iter().filter(|entry| fits(entry)).cloned().collect()
    }

    /// The number of entries, and the number of lost ones.
    pub(crate) fn counts(&self) -> (usize, u64) {
        (self.shared.open().len(), self.shared.lost.load(Ordering::Relaxed))
    }

    /// Removes entries from the list. Returns how many.
    ///
    /// # Errors
    /// [`NotAcknowledged`]
    pub(crate) fn acknowledge(&self, which: &Which) -> Result<usize, NotAcknowledged> {
        let mut open = self.shared.open();
        let before = open.len();
        match which {
            Which::All => open.clear(),
            Which::Call { id, at } => {
                let is_it = |entry: &Entry| entry.id == *id && at.as_ref().is_none_or(|at| entry.at == *at);
                let found: Vec<&Entry> = open.iter().filter(|entry| is_it(entry)).collect();
                match (found.first(), found.len(), at) {
                    (None, ..) => return Err(NotAcknowledged::NotThere(id.clone())),
                    (Some(first), count @ 2.., None) => {
                        let at = first.at.clone();
                        return Err(NotAcknowledged::Several { id: id.clone(), count, at });
                    }
                    (Some(_), ..) => open.retain(|entry| !is_it(entry)),
                }
            }
        }
        let gone = before - open.len();
        drop(open);
        self.shared.is_stale.store(true, Ordering::Release);
        // If the queue is full, the thread checks the file after its next message anyway.
        let _ = self.queue.try_send(Message::Wake);
        Ok(gone)
    }

    /// Closes the file, so that a later process can use the directory. From now on entries are kept in memory.
    pub(crate) fn lend(&self) {
        self.ask(Message::Lend);
    }

    /// Uses the directory again, with the entries that came meanwhile.
    pub(crate) fn take_back(&self, directory: &Path) {
        // If the queue is full, the thread has failed.
        let _ = self.queue.send(Message::TakeBack(directory.to_owned()));
    }

    /// The entries that came since [`Unknowns::lend`].
    pub(crate) fn since_lent(&self) -> Vec<Entry> {
        self.ask(Message::SinceLent).unwrap_or_default()
    }

    /// Waits for the thread's answer, for [`UNKNOWN_FLUSH_MAX`] at most.
    fn ask<T>(&self, message: impl FnOnce(SyncSender<T>) -> Message) -> Option<T> {
        let (done, waits) = sync_channel(1);
        self.queue.send(message(done)).ok()?;
        waits.recv_timeout(UNKNOWN_FLUSH_MAX).ok()
    }

    /// Waits until all recorded entries are written, for [`UNKNOWN_FLUSH_MAX`] at most. Called at the end of the process.
    pub(crate) fn flush(&self) {
        let (done, waits) = sync_channel(1);
        let mut message = Message::Flush(done);
        let until = std::time::Instant::now() + UNKNOWN_FLUSH_MAX;
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if std::time::Instant::now() >= until {
                return;
            }
            message = back;
            thread::yield_now();
        }
        let _ = waits.recv_timeout(until.saturating_duration_since(std::time::Instant::now()));
    }
}

/// The thread that keeps the list.
struct Keeper {
    shared: Arc<Shared>,
    kept: Option<Kept>,
    /// Whether the file could not be written last time.
    has_failed: bool,
    /// The entries that came since the file was closed for a later process.
    since_lent: Option<Vec<Entry>>,
    /// The directory that is to be used again, as soon as the later process has left it.
    wanted: Option<PathBuf>,
}

impl Keeper {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let first = match &self.wanted {
                None => messages.recv().ok(),
                Some(_) => match messages.recv_timeout(UNKNOWN_PLACE_AGAIN) {
                    Err(RecvTimeoutError::Timeout) => Some(Message::Wake),
                    first => first.ok(),
                },
            };
            let Some(first) = first else { return };
            self.use_wanted();
            let mut fresh = Vec::new();
            let (mut flushed, mut after) = (Vec::new(), Vec::new());
            for message in std::iter::once(first).chain(messages.try_iter().take(UNKNOWN_QUEUE_MAX)) {
                match message {
                    Message::Record(entry) => fresh.push(*entry),
                    Message::Wake => {}
                    Message::Flush(done) => flushed.push(done),
                    other => after.push(other),
                }
            }
            self.take(fresh);
            for done in flushed {
                let _ = done.try_send(());
            }
            after.into_iter().for_each(|message| self.change_place(message));
        }
    }

    /// A later process begins or ceases to use the directory.
    fn change_place(&mut self, message: Message) {
        match message {
            Message::Lend(done) => {
                self.kept = None;
                self.wanted = None;
                self.since_lent = Some(Vec::new());
                let _ = done.try_send(());
            }
            Message::TakeBack(directory) => {
                self.wanted = Some(directory);
                if let Some(error) = self.use_wanted() {
                    tracing::error!(
                        "unknown outcomes are kept in memory until the directory can be used again: {error}"
                    );
                }
            }
            Message::SinceLent(done) => {
                let _ = done.try_send(self.since_lent.clone().unwrap_or_default());
            }
            Message::Record(_) | Message::Wake | Message::Flush(_) => {}
        }
    }

    /// Uses the directory that is wanted, if there is one. Returns why it cannot be used yet: a later process that hangs may still have it.
    fn use_wanted(&mut self) -> Option<DataDirError> {
        match Kept::open(self.wanted.as_deref()?) {
            Ok((kept, _)) => {
                self.kept = Some(kept);
                (self.wanted, self.since_lent) = (None, None);
                // The list in memory has all that is in the file, but what was acknowledged meanwhile.
                self.shared.is_stale.store(true, Ordering::Release);
                self.take(Vec::new());
                None
            }
            Err(error) => Some(error),
        }
    }

    fn take(&mut self, fresh: Vec<Entry>) {
        {
            let mut open = self.shared.open();
            open.extend(fresh.iter().cloned());
            while open.len() > UNKNOWN_OUTCOMES_MAX {
                open.pop_front();
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(since_lent) = &mut self.since_lent {
            let room = UNKNOWN_OUTCOMES_MAX.saturating_sub(since_lent.len());
            since_lent.extend(fresh.iter().take(room).cloned());
        }
        let Some(kept) = &mut self.kept else { return };
        let is_stale = self.shared.is_stale.swap(false, Ordering::AcqRel);
        let written = if is_stale || self.has_failed || kept.is_long() {
            let all: Vec<Entry> = self.shared.open().iter().cloned().collect();
            kept.write(&all)
        } else if fresh.is_empty() {
            return;
        } else {
            kept.append(&fresh)
        };
        match (written, self.has_failed) {
            (Ok(()), true) => {
                tracing::info!("the list of unknown outcomes can be written again, and is complete on disk");
                self.has_failed = false;
            }
            (Err(error), false) => {
                tracing::warn!(
                    file = %kept.path().display(),
                    %error,
                    "the list of unknown outcomes cannot be written, so a restart of the router would lose it: free disk space, or correct \
                     the permissions of the directory (--data-dir). The router tries again with the next unknown outcome"
                );
                self.has_failed = true;
            }
            (Ok(()), false) | (Err(_), true) => {}
        }
    }
}

#[cfg(test)]
mod tests;
