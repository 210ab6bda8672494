//! The leader's queue of commands. All that waits becomes one entry of the log, and one entry is under way at a time: openraft 0.9 syncs
//! the disk once for each entry, and its core waits meanwhile, heartbeats included.

use std::sync::Arc;

use bytes::Bytes;
use openraft::error::{ClientWriteError, RaftError};
use openraft::{AsyncRuntime, Raft};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::limits::{
    COMMAND_BYTES_MAX, ENTRY_BYTES_MAX, ENTRY_COMMANDS_MAX, PROPOSAL, WAITING_BYTES_MAX,
    WAITING_COMMANDS_MAX, bulk_time,
};
use crate::types::{Address, Commands, RouterId, Types};

/// A command that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The index of its entry.
    pub index: u64,
    /// What the machine answered.
    pub outcome: Vec<u8>,
}

/// Why a command was not applied, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// This router is not the leader; nothing was done.
    #[error("this router is not the leader of the cluster")]
    NotLeader,
    /// The cluster has no leader that a majority follows; nothing was done.
    #[error(
        "no majority of the cluster's routers can be reached, so nothing can be changed; calls go on. {0}"
    )]
    NoQuorum(
        /// What to look at.
        String,
    ),
    /// The change cannot be made; nothing was done.
    #[error("{0}")]
    Refused(
        /// Why, and what to do.
        String,
    ),
    /// Too much waits; nothing was done.
    #[error("too many changes wait to be agreed: repeat the change later")]
    Overloaded,
    /// The command is too large; nothing was done.
    #[error(
        "the change takes {0} bytes, and at most {COMMAND_BYTES_MAX} are allowed: make several smaller changes"
    )]
    TooLarge(
        /// Its size, bytes.
        usize,
    ),
    /// The leader was lost, or no majority answered in time: the command may have been applied, or may be applied later.
    #[error(
        "the change was not confirmed in time, and may have been made all the same: look at the state, and repeat the change if the \
         state lacks it"
    )]
    Unknown,
    /// The consensus part of this router does not run; nothing was done.
    #[error("the consensus part of this router does not run: {0}")]
    Down(
        /// Why.
        String,
    ),
}

struct Waiting {
    command: Bytes,
    done: oneshot::Sender<Result<Applied, NotApplied>>,
    /// The bytes that the command takes of what may wait.
    _room: OwnedSemaphorePermit,
}

/// The queue; clones are the same queue.
#[derive(Clone)]
pub(crate) struct Proposer {
    waiting: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

impl Proposer {
    /// Starts the queue of a running raft.
    pub(crate) fn start<R: AsyncRuntime>(raft: Raft<Types<R>>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_COMMANDS_MAX);
        drop(R::spawn(run(raft, receiver)));
        Self { waiting: sender, room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)) }
    }

    /// Puts a command into the queue and waits for its outcome; for [`PROPOSAL`] at most once its turn has come, and longer for a large
    /// command ([`bulk_time`]).
    pub(crate) async fn propose(&self, command: Bytes) -> Result<Applied, NotApplied> {
        if command.len() > COMMAND_BYTES_MAX {
            return Err(NotApplied::TooLarge(command.len()));
        }
        let bytes = u32::try_from(command.len()).unwrap_or(u32::MAX);
        let room =
            Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| NotApplied::Overloaded)?;
        let (done, is_done) = oneshot::channel();
        self.waiting.try_send(Waiting { command, done, _room: room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotApplied::Overloaded,
            mpsc::error::TrySendError::Closed(_) => NotApplied::Down("it has stopped".to_owned()),
        })?;
        is_done.await.unwrap_or(Err(NotApplied::Unknown))
    }
}

async fn run<R: AsyncRuntime>(raft: Raft<Types<R>>, mut waiting: mpsc::Receiver<Waiting>) {
    let mut left = None;
    loop {
        let first = match left.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let batch = batch(first, &mut waiting, &mut left);
        if batch.is_empty() {
            continue;
        }
        let commands = Commands(batch.iter().map(|waiting| waiting.command.clone()).collect());
        let bytes = batch.iter().map(|waiting| waiting.command.len()).sum();
        let outcome = R::timeout(PROPOSAL + bulk_time(bytes), raft.client_write(commands)).await;
        match outcome {
            Ok(Ok(written)) => {
                let index = written.log_id.index;
                let mut outcomes = written.data.0.into_iter();
                for waiting in batch {
                    let outcome = outcomes.next().ok_or(NotApplied::Unknown);
                    drop(waiting.done.send(outcome.map(|outcome| Applied { index, outcome })));
                }
            }
            Ok(Err(error)) => tell(batch, &why(error)),
            Err(_) => tell(batch, &NotApplied::Unknown),
        }
    }
}

/// The first command and those that wait behind it, up to the bounds of an entry. What does not fit is left for the next entry.
fn batch(first: Waiting, waiting: &mut mpsc::Receiver<Waiting>, left: &mut Option<Waiting>) -> Vec<Waiting> {
    let mut bytes = first.command.len();
    let mut batch = vec![first];
    while batch.len() < ENTRY_COMMANDS_MAX {
        let Ok(next) = waiting.try_recv() else { break };
        if bytes + next.command.len() > ENTRY_BYTES_MAX {
            *left = Some(next);
            break;
        }
        bytes += next.command.len();
        batch.push(next);
    }
    // Nobody waits for these any more, and they were not begun.
    batch.retain(|waiting| !waiting.done.is_closed());
    batch
}

fn tell(batch: Vec<Waiting>, why: &NotApplied) {
    for waiting in batch {
        drop(waiting.done.send(Err(why.clone())));
    }
}

fn why(error: RaftError<RouterId, ClientWriteError<RouterId, Address>>) -> NotApplied {
    match error {
        // Not "nothing was done": openraft says the same of an entry that it appended and had to cut off again when another router
        // became leader, and a third router may still have that entry and lead later.
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => NotApplied::Unknown,
        // Such an error is of changes of the routers alone.
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            NotApplied::Refused(error.to_string())
        }
        // The entry may be in the log of this router, and of others.
        RaftError::Fatal(_) => NotApplied::Unknown,
    }
}
