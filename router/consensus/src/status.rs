//! What a router knows of its cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::RouterId;

/// What a router is in its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The cluster is not made yet, or this router is not added to it yet.
    Waiting,
    /// It follows the log without a vote.
    Learner,
    /// It follows a leader.
    Follower,
    /// It wants to lead: it hears of no leader, or led and no majority follows it any more.
    Candidate,
    /// It decides the order of the log.
    Leader,
    /// It was removed from the cluster.
    Removed,
    /// The consensus part does not run; routing goes on.
    Down {
        /// Why, and what to do.
        reason: String,
    },
}

impl Role {
    /// Every word that [`Role::label`] gives.
    pub const LABELS: [&'static str; 7] =
        ["waiting", "learner", "follower", "candidate", "leader", "removed", "down"];

    /// The word for status, metrics and logs.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Learner => "learner",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Removed => "removed",
            Self::Down { .. } => "down",
        }
    }
}

/// What a router knows of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This router.
    pub id: RouterId,
    /// The cluster's id, if the router belongs to one.
    pub cluster: Option<String>,
    /// What this router is.
    pub role: Role,
    /// The leader that this router follows.
    pub leader: Option<RouterId>,
    /// The term of the latest vote.
    pub term: u64,
    /// The routers that vote.
    pub voters: Vec<RouterId>,
    /// The routers that follow without a vote.
    pub learners: Vec<RouterId>,
    /// Whether the last change of the routers is half made: majorities of the routers before it and of those after it are needed, until the
    /// leader has had the second half decided.
    pub is_changing: bool,
    /// The cluster address of each of them.
    pub addresses: BTreeMap<RouterId, String>,
    /// The index of the last entry in this router's log.
    pub last_log: u64,
    /// The index of the last entry that this router applied.
    pub applied: u64,
    /// The index of the last entry in the stored snapshot.
    pub snapshot: u64,
    /// At the leader: time since a majority was last heard of; none at other routers.
    pub quorum_heard: Option<Duration>,
    /// At the leader: the last entry that each router is known to have.
    pub replicated: BTreeMap<RouterId, u64>,
    /// How long a sync of the disk takes, at the 99th percentile; none without a disk.
    pub sync_time: Option<Duration>,
    /// How often the consensus part was started again after a failure.
    pub restarts: u64,
}

impl Status {
    /// Of a router that has just started.
    pub(crate) fn starting(id: RouterId, cluster: Option<String>) -> Self {
        Self {
            id,
            cluster,
            role: Role::Waiting,
            leader: None,
            term: 0,
            voters: Vec::new(),
            learners: Vec::new(),
            is_changing: false,
            addresses: BTreeMap::new(),
            last_log: 0,
            applied: 0,
            snapshot: 0,
            quorum_heard: None,
            replicated: BTreeMap::new(),
            sync_time: None,
            restarts: 0,
        }
    }

    /// Whether the cluster can decide something, as far as this router knows.
    pub fn has_leader(&self) -> bool {
        self.leader.is_some()
    }
}
