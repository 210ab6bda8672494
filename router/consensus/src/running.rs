//! One run of openraft: from the opening of the store to its end, or to a failure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::Fatal;
use openraft::raft::SnapshotResponse;
use openraft::storage::RaftLogStorage;
use openraft::{
    AsyncRuntime, Config, Raft, RaftMetrics, ServerState, Snapshot, SnapshotPolicy, StorageError, Vote,
};

use crate::limits::{
    APPEND_ENTRIES_MAX, KEPT_ENTRIES, LEADER_LEFT, SNAPSHOT_ENTRIES, SNAPSHOT_LOG_BYTES, SNAPSHOT_REQUEST,
};
use crate::machine::{Machine, Unreadable};
use crate::network::{Me, Network};
use crate::proposer::Proposer;
use crate::rpc::Transport;
use crate::status::{Role, Status};
use crate::store::{Disk, LogStore, StateMachine, Store};
use crate::types::{Address, RouterId, Types};

/// When routers take each other for dead, and when the log is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time between two heartbeats of the leader.
    pub heartbeat: Duration,
    /// Bounds of the time without a leader after which a router stands for election.
    pub election: (Duration, Duration),
    /// Entries after which a snapshot is made.
    pub snapshot_after: u64,
    /// Entries that are kept behind a snapshot.
    pub kept: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: crate::limits::HEARTBEAT,
            election: crate::limits::ELECTION,
            snapshot_after: SNAPSHOT_ENTRIES,
            kept: KEPT_ENTRIES,
        }
    }
}

/// Why the consensus part does not start.
#[derive(Debug, thiserror::Error)]
pub enum NotRunning {
    /// What is stored cannot be understood.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// openraft refused to start.
    #[error("the consensus part cannot start: {0}")]
    Refused(String),
}

/// A run.
pub(crate) struct Running<R: AsyncRuntime, M: Machine> {
    pub(crate) raft: Raft<Types<R>>,
    pub(crate) proposer: Proposer,
    pub(crate) machine: StateMachine<R, M>,
    log: LogStore<R>,
    disk: Arc<Disk>,
    begun: Begun,
    /// Held while a snapshot of another router is taken over.
    installing: Arc<tokio::sync::Mutex<()>>,
}

/// What the store held when a run began.
#[derive(Clone, Copy)]
struct Begun {
    term: u64,
    last_log: u64,
}

impl<R: AsyncRuntime, M: Machine> Clone for Running<R, M> {
    fn clone(&self) -> Self {
        Self {
            raft: self.raft.clone(),
            proposer: self.proposer.clone(),
            machine: self.machine.clone(),
            log: self.log.clone(),
            disk: Arc::clone(&self.disk),
            begun: self.begun,
            installing: Arc::clone(&self.installing),
        }
    }
}

impl<R: AsyncRuntime, M: Machine> Running<R, M> {
    pub(crate) async fn start<T: Transport>(
        store: Store<R>,
        machine: M,
        me: Me,
        transport: T,
        timing: Timing,
    ) -> Result<Self, NotRunning> {
        let disk = store.disk();
        let (log, machine) = store.split(machine)?;
        let begun = begun(log.clone()).await.map_err(|error| NotRunning::Refused(error.to_string()))?;
        let config = config(timing)?;
        let id = me.id;
        let network = Network::<R, T>::new(me, transport);
        let started = Raft::new(id, Arc::new(config), network, log.clone(), machine.clone()).await;
        let raft = started.map_err(|error| NotRunning::Refused(error.to_string()))?;
        let proposer = Proposer::start(raft.clone());
        Ok(Self { raft, proposer, machine, log, disk, begun, installing: Arc::default() })
    }

    /// Takes over the snapshot of another router.
    pub(crate) async fn install(
        &self,
        vote: Vote<RouterId>,
        snapshot: Snapshot<Types<R>>,
    ) -> Result<SnapshotResponse<RouterId>, Fatal<RouterId>> {
        let _alone = self.installing.lock().await;
        let _coming = self.log.coming(snapshot.meta.last_log_id.map_or(0, |at| at.index));
        self.raft.install_full_snapshot(vote, snapshot).await
    }

    /// The least index that a linearizable read at this router, the leader, must have seen. A leader that died and is back in time
    /// goes on in its old term, and openraft then takes for decided what was noted as decided: the note comes after the
    /// acknowledgement, and may be lost. What is decided cannot be behind the log that the run began with.
    pub(crate) fn read_floor(&self) -> u64 {
        let is_same_term = self.raft.metrics().borrow().current_term == self.begun.term;
        if is_same_term { self.begun.last_log } else { 0 }
    }

    /// Whether a sync of the disk failed: then the store must not be opened again in this process.
    pub(crate) fn sync_failed(&self) -> bool {
        self.disk.sync_failed()
    }

    /// Why the store writes no more, if a commit failed.
    pub(crate) fn write_failure(&self) -> Option<String> {
        self.log.write_failure().map(|failure| failure.to_string())
    }

    /// Ends the run in order.
    pub(crate) async fn stop(&self) {
        // A panic of the core is told where its failure was seen.
        let _ = self.raft.shutdown().await;
        if let Err(error) = self.log.close().await {
            tracing::warn!(%error, "the cluster's log was not closed in order; nothing that was acknowledged is lost");
        }
    }

    /// Notes on the disk how far the log is decided. (Such notes cost no sync of their own otherwise: they wait for the next entry.)
    pub(crate) async fn note_decided(&self) {
        if let Err(error) = self.log.flush().await {
            tracing::debug!(%error, "it could not be noted how far the log is decided");
        }
    }

    /// Makes a snapshot if the log has become large. (openraft itself counts entries alone.)
    pub(crate) async fn trim(&self, status: &Status) {
        if self.log.bytes() <= SNAPSHOT_LOG_BYTES {
            return;
        }
        // Fails only if the core has ended, which is seen elsewhere.
        let _ = match status.snapshot < status.applied {
            true => self.raft.trigger().snapshot().await,
            false => self.raft.trigger().purge_log(status.snapshot).await,
        };
    }

    /// Whether anything was ever written to the log.
    pub(crate) async fn has_log(&self) -> bool {
        let mut log = self.log.clone();
        let (state, vote) = (log.get_log_state().await, log.read_vote().await);
        state.is_ok_and(|state| state.last_log_id.is_some()) || vote.is_ok_and(|vote| vote.is_some())
    }

    /// What is known now.
    pub(crate) fn status(&self, before: &Status) -> Status {
        let metrics = self.raft.metrics().borrow().clone();
        let members = metrics.membership_config.membership();
        let voters: Vec<RouterId> = members.voter_ids().collect();
        let quorum_heard = metrics.millis_since_quorum_ack.map(Duration::from_millis);
        // openraft's leader calls itself the leader even when nobody follows it any more.
        let is_left = metrics.state == ServerState::Leader
            && voters.len() > 1
            && quorum_heard.is_some_and(|ago| ago > LEADER_LEFT);
        Status {
            id: before.id,
            cluster: before.cluster.clone(),
            role: if is_left { Role::Candidate } else { role(&metrics, &voters) },
            leader: metrics.current_leader.filter(|_| !is_left),
            term: metrics.current_term,
            learners: members.learner_ids().collect(),
            is_changing: members.get_joint_config().len() > 1,
            addresses: members.nodes().map(|(id, address)| (*id, address.cluster.clone())).collect(),
            voters,
            last_log: metrics.last_log_index.unwrap_or_default(),
            applied: metrics.last_applied.map_or(0, |at| at.index),
            snapshot: metrics.snapshot.map_or(0, |at| at.index),
            quorum_heard,
            replicated: replicated(&metrics),
            sync_time: self.disk.sync_time(),
            restarts: before.restarts,
        }
    }
}

async fn begun<R: AsyncRuntime>(mut log: LogStore<R>) -> Result<Begun, StorageError<RouterId>> {
    let (state, vote) = (log.get_log_state().await?, log.read_vote().await?);
    Ok(Begun {
        term: vote.map_or(0, |vote| vote.leader_id().term),
        last_log: state.last_log_id.map_or(0, |at| at.index),
    })
}

fn replicated(metrics: &RaftMetrics<RouterId, Address>) -> BTreeMap<RouterId, u64> {
    let all = metrics.replication.iter().flatten();
    all.map(|(id, upto)| (*id, upto.as_ref().map_or(0, |upto| upto.index))).collect()
}

fn role(metrics: &RaftMetrics<RouterId, Address>, voters: &[RouterId]) -> Role {
    match metrics.state {
        ServerState::Leader => Role::Leader,
        ServerState::Candidate => Role::Candidate,
        // openraft says so of a router too whose core has not told anything yet. A follower knows who votes.
        ServerState::Follower if voters.is_empty() => Role::Waiting,
        ServerState::Follower => Role::Follower,
        ServerState::Learner if metrics.membership_config.membership().get_node(&metrics.id).is_some() => {
            Role::Learner
        }
        // A membership that was agreed, and has others in it.
        ServerState::Learner if !voters.is_empty() => Role::Removed,
        ServerState::Learner => Role::Waiting,
        ServerState::Shutdown => Role::Down { reason: "it has stopped".to_owned() },
    }
}

fn config(timing: Timing) -> Result<Config, NotRunning> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "rcs-router".to_owned(),
        heartbeat_interval: millis(timing.heartbeat),
        election_timeout_min: millis(timing.election.0),
        election_timeout_max: millis(timing.election.1),
        install_snapshot_timeout: millis(SNAPSHOT_REQUEST),
        max_payload_entries: APPEND_ENTRIES_MAX,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(timing.snapshot_after),
        max_in_snapshot_log_to_keep: timing.kept,
        ..Config::default()
    };
    config.validate().map_err(|error| NotRunning::Refused(error.to_string()))
}
