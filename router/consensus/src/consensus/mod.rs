//! The consensus part of a router: it runs openraft, starts it again after a failure, and carries proposals, reads and changes of the
//! cluster's routers to the leader, wherever that is.

mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{CheckIsLeaderError, ClientWriteError, InitializeError, RaftError};
use openraft::{AsyncRuntime, ChangeMembers, Instant as _};
use tokio::sync::watch;

use crate::leader::{Answer, Question, RoutersChange, read_answer};
use crate::limits::{
    CHANGE_ROUTERS, HAND_OVER, PROMOTE_LAG_MAX, PROPOSAL, QUORUM_SILENT, RAFT_REQUEST, ROUTERS_MAX, bulk_time,
};
use crate::machine::Machine;
use crate::messages as pb;
use crate::network::Me;
use crate::proposer::{Applied, NotApplied};
use crate::rpc::{Peer, Request, Transport, Unanswered};
use crate::running::{NotRunning, Running, Timing};
use crate::status::{Role, Status};
use crate::store::{Store, StoreError};
use crate::types::{Address, RouterId};
use crate::wire;

/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Opens what a run needs: the store, and a machine in its first state. Called for each run, so again after a failure.
pub type Open<R, M> = Box<dyn Fn() -> Result<(Store<R>, M), StoreError> + Send + Sync>;

/// Why the consensus part of a router does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in the store, or openraft.
    #[error(transparent)]
    Run(#[from] NotRunning),
}

pub(crate) struct Shared<R: AsyncRuntime, T, M: Machine> {
    pub(crate) me: Me,
    transport: T,
    timing: Timing,
    open: Open<R, M>,
    running: Mutex<Option<Running<R, M>>>,
    status: watch::Sender<Status>,
    /// While this router waits to make a cluster: the routers of that cluster.
    forming: Mutex<String>,
    /// One change of the routers at a time.
    changing: tokio::sync::Mutex<()>,
    /// Set while another process has the store.
    lent: watch::Sender<bool>,
    /// Set when the router ends.
    stopping: watch::Sender<bool>,
}

/// The consensus part of a router; clones are the same part.
pub struct Consensus<R: AsyncRuntime, T, M: Machine> {
    pub(crate) shared: Arc<Shared<R, T, M>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: AsyncRuntime, T, M: Machine> Clone for Consensus<R, T, M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), runtime: PhantomData }
    }
}

impl<R: AsyncRuntime, T: Transport, M: Machine> Consensus<R, T, M> {
    /// Opens the store and starts to follow the log.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(transport: T, timing: Timing, open: Open<R, M>) -> Result<Self, StartError> {
        let (store, machine) = open()?;
        let me = Me { id: store.id(), cluster: store.cluster().map(str::to_owned) };
        let first = Status::starting(me.id, me.cluster.clone());
        let running = Running::start(store, machine, me.clone(), transport.clone(), timing).await?;
        let status = running.status(&first);
        let shared = Arc::new(Shared {
            me,
            transport,
            timing,
            open,
            running: Mutex::new(Some(running)),
            status: watch::Sender::new(status),
            forming: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            lent: watch::Sender::new(false),
            stopping: watch::Sender::new(false),
        });
        let part = Self { shared, runtime: PhantomData };
        drop(R::spawn(upkeep::watch_over(part.clone())));
        Ok(part)
    }

    /// What is known of the cluster, now and whenever it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// This router.
    pub fn id(&self) -> RouterId {
        self.shared.me.id
    }

    /// Looks at the machine; none while the consensus part is down.
    pub fn look<V>(&self, at: impl FnOnce(&M) -> V) -> Option<V> {
        self.running().map(|running| running.machine.look(at))
    }

    /// Makes a cluster of these routers, this router among them, without asking the others ([`Consensus::form`] asks). Does nothing if
    /// this router has a log already. The caller must be sure that no other router makes a cluster of other routers.
    ///
    /// # Errors
    /// A sentence, if the consensus part does not run.
    pub async fn found(&self, routers: BTreeMap<RouterId, String>) -> Result<(), String> {
        let Some(running) = self.running() else { return Err(self.why_down()) };
        let routers: BTreeMap<RouterId, Address> =
            routers.into_iter().map(|(id, cluster)| (id, Address { cluster })).collect();
        match running.raft.initialize(routers).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Has a command applied, by the leader if this router is not. Waits for [`PROPOSAL`] at most, and longer for a large command
    /// ([`bulk_time`]). A command that may have been applied ([`NotApplied::Unknown`]) can be proposed again if the machine applies each
    /// command once.
    ///
    /// # Errors
    /// [`NotApplied`]
    pub async fn propose(&self, command: Bytes) -> Result<Applied, NotApplied> {
        // A large command travels twice: to the leader, and from there to the others.
        let within = PROPOSAL + 2 * bulk_time(command.len());
        match self.ask_leader(Question::Propose(command), within).await? {
            Answer::Applied(applied) => Ok(applied),
            Answer::Index(_) | Answer::Changed => Err(NotApplied::Unknown),
        }
    }

    /// Waits until this router has applied everything that was acknowledged anywhere before this call: what is read from the machine
    /// afterwards is linearizable. Returns the index up to which that is.
    ///
    /// # Errors
    /// [`NotApplied`]; the read may be tried again.
    pub async fn read_barrier(&self) -> Result<u64, NotApplied> {
        let index = self.read_index().await?;
        match R::timeout(PROPOSAL, self.applied(index)).await {
            Ok(()) => Ok(index),
            Err(_) => Err(NotApplied::NoQuorum(format!(
                "This router has not applied entry {index} of the log yet: read from the leader, or later"
            ))),
        }
    }

    async fn read_index(&self) -> Result<u64, NotApplied> {
        match self.ask_leader(Question::ReadIndex, PROPOSAL).await? {
            Answer::Index(index) => Ok(index),
            Answer::Applied(_) | Answer::Changed => Err(NotApplied::Unknown),
        }
    }

    /// Returns once this router has applied the entry of this index.
    pub async fn applied(&self, index: u64) {
        let mut status = self.shared.status.subscribe();
        loop {
            let running = self.running();
            let applied = running
                .map_or(0, |running| running.raft.metrics().borrow().last_applied.map_or(0, |at| at.index));
            if applied >= index {
                return;
            }
            // The status follows the metrics every moment, and at once when they change.
            let waited = R::timeout(LOOK_EVERY, status.changed()).await;
            if matches!(waited, Ok(Err(_))) {
                return;
            }
        }
    }

    /// Changes the cluster's routers. A learner is promoted once it is close to the leader.
    ///
    /// # Errors
    /// [`NotApplied`]
    pub async fn change_routers(&self, change: RoutersChange) -> Result<(), NotApplied> {
        self.ask_leader(Question::Change(change), CHANGE_ROUTERS).await.map(drop)
    }

    pub(crate) async fn change_routers_here(
        &self,
        running: &Running<R, M>,
        change: RoutersChange,
    ) -> Result<(), NotApplied> {
        let Ok(_alone) = self.shared.changing.try_lock() else {
            return Err(NotApplied::Overloaded);
        };
        let mut status = running.status(&self.shared.status.borrow());
        if status.is_changing {
            self.finish(running).await?;
            status = running.status(&status);
        }
        let refused = |why: String| Err(NotApplied::Refused(why));
        let (changes, id) = match change {
            RoutersChange::AddLearner(id, cluster) => {
                if let Some((old, _)) =
                    status.addresses.iter().find(|(old, _)| old.number == id.number && **old != id)
                {
                    return refused(format!(
                        "the cluster has a router {}: {old}. Remove it first, or use `rcs-router cluster replace`",
                        id.number
                    ));
                }
                if status.addresses.contains_key(&id) {
                    return self.is_so(running).await;
                }
                if status.addresses.len() >= ROUTERS_MAX {
                    return refused(format!(
                        "the cluster has {ROUTERS_MAX} routers, and takes no further one: remove a router first"
                    ));
                }
                (ChangeMembers::AddNodes(BTreeMap::from([(id, Address { cluster })])), id)
            }
            RoutersChange::Move(id, cluster) => match status.addresses.get(&id) {
                None => return refused(format!("the cluster has no router {id}: add it first")),
                Some(known) if *known == cluster => return self.is_so(running).await,
                Some(_) => (ChangeMembers::SetNodes(BTreeMap::from([(id, Address { cluster })])), id),
            },
            RoutersChange::Promote(id) => {
                if status.voters.contains(&id) {
                    return self.is_so(running).await;
                }
                if !status.learners.contains(&id) {
                    return refused(format!("the cluster has no router {id}: add it first"));
                }
                let has = status.replicated.get(&id).copied().unwrap_or_default();
                if has.saturating_add(PROMOTE_LAG_MAX) < status.last_log {
                    return refused(format!(
                        "router {id} has {has} of {} entries of the log: promote it once it has caught up",
                        status.last_log
                    ));
                }
                (ChangeMembers::AddVoterIds(BTreeSet::from([id])), id)
            }
            RoutersChange::Remove(id) => {
                if status.voters == [id] {
                    return refused(format!(
                        "router {id} is the only one with a vote: add and promote another router first"
                    ));
                }
                match (status.voters.contains(&id), status.addresses.contains_key(&id)) {
                    (true, _) => (ChangeMembers::RemoveVoters(BTreeSet::from([id])), id),
                    (false, true) => (ChangeMembers::RemoveNodes(BTreeSet::from([id])), id),
                    (false, false) => return self.is_so(running).await,
                }
            }
        };
        self.decide(running, changes).await.map_err(|error| match error {
            NotApplied::Refused(why) => NotApplied::Refused(format!("router {id}: {why}")),
            error => error,
        })
    }

    async fn decide(
        &self,
        running: &Running<R, M>,
        changes: ChangeMembers<RouterId, Address>,
    ) -> Result<(), NotApplied> {
        match R::timeout(CHANGE_ROUTERS, running.raft.change_membership(changes, false)).await {
            Ok(Ok(_)) => Ok(()),
            // Whoever leads now is asked again: half of the change may be made.
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => Err(NotApplied::NotLeader),
            Ok(Err(RaftError::APIError(error))) => Err(NotApplied::Refused(error.to_string())),
            Ok(Err(RaftError::Fatal(_))) | Err(_) => Err(NotApplied::Unknown),
        }
    }

    /// Has the second half of a change decided.
    async fn finish(&self, running: &Running<R, M>) -> Result<(), NotApplied> {
        self.decide(running, ChangeMembers::AddVoterIds(BTreeSet::new())).await
    }

    /// The leader that made the first half of a change may be lost before the second half. The next leader finishes the change at once:
    /// until then the cluster needs two majorities, and one more lost router may be one too many.
    async fn finish_change(self) {
        let Ok(_alone) = self.shared.changing.try_lock() else { return };
        let Some(running) = self.running() else { return };
        if let Err(error) = self.finish(&running).await {
            tracing::debug!(%error, "the change of the cluster's routers is not finished yet");
        }
    }

    /// Nothing is to be done, if the list of routers that this router goes by is decided: a leader goes by a list from the moment on in
    /// which it is proposed, and a list that is not decided may be taken back.
    async fn is_so(&self, running: &Running<R, M>) -> Result<(), NotApplied> {
        let goes_by = || *running.raft.metrics().borrow().membership_config.log_id();
        let list = goes_by();
        read_index_here(running).await?;
        match R::timeout(PROPOSAL, self.applied(list.map_or(0, |at| at.index))).await {
            Ok(()) if goes_by() == list => Ok(()),
            Ok(()) | Err(_) => Err(NotApplied::Unknown),
        }
    }

    /// Ends the consensus part in order. A leader first has another router elected; writes pause meanwhile, for less time than when a
    /// leader dies.
    pub async fn stop(&self) {
        if let Some(running) = self.running() {
            self.hand_over(&running).await;
        }
        self.shared.stopping.send_replace(true);
        let running = self.shared.running().take();
        if let Some(running) = running {
            running.stop().await;
        }
        self.shared.set(|status| {
            status.role = Role::Down { reason: "the router ends".to_owned() };
            status.leader = None;
        });
    }

    /// Closes the store, so that another process of this router can open it. A leader first has another router elected. Until
    /// [`Consensus::take_back`] the consensus part is down.
    pub async fn lend(&self) {
        if let Some(running) = self.running() {
            self.hand_over(&running).await;
        }
        self.shared.lent.send_replace(true);
        let running = self.shared.running().take();
        if let Some(running) = running {
            running.stop().await;
        }
        self.shared.set(|status| {
            status.role = Role::Down { reason: "another process of this router takes over".to_owned() };
            status.leader = None;
        });
    }

    /// Opens the store again soon: the other process does not have it any more.
    pub fn take_back(&self) {
        self.shared.lent.send_replace(false);
    }

    /// openraft 0.9 has no transfer of the leadership. Other routers grant no vote while they believe in the leader, so the leader first
    /// falls silent for as long as they do.
    async fn hand_over(&self, running: &Running<R, M>) {
        let status = running.status(&self.shared.status.borrow());
        if status.role != Role::Leader {
            return;
        }
        let others = status.voters.iter().filter(|id| **id != status.id);
        let nearest = others.max_by_key(|id| status.replicated.get(id).copied().unwrap_or_default());
        let Some(next) = nearest.copied() else { return };
        let Some(address) = status.addresses.get(&next).cloned() else { return };
        let switch = running.raft.runtime_config();
        switch.heartbeat(false);
        switch.elect(false);
        R::sleep(self.shared.timing.election.1).await;
        let request = pb::TakeOverRequest { sender: Some(self.shared.me.sender(Some(next))) };
        let to = Peer { id: Some(next), address };
        let asked = self.shared.transport.ask(&to, Request::TakeOver(request), RAFT_REQUEST).await;
        if asked.is_err() {
            return;
        }
        let mut metrics = running.raft.metrics();
        let is_led = async {
            let other =
                metrics.wait_for(|now| now.current_leader.is_some_and(|leader| leader != now.id)).await;
            drop(other);
        };
        // Without an answer the others elect a leader by themselves, a little later.
        let _ = R::timeout(HAND_OVER, is_led).await;
    }

    // --- where the leader is ---

    pub(crate) fn running(&self) -> Option<Running<R, M>> {
        self.shared.running().clone()
    }

    fn why_down(&self) -> String {
        match &self.shared.status.borrow().role {
            Role::Down { reason } => reason.clone(),
            _ => "it is being started again".to_owned(),
        }
    }

    /// Asks the leader. While no leader is known, or the router that was asked is no leader, waits for one; for `within` in all.
    async fn ask_leader(&self, question: Question, within: Duration) -> Result<Answer, NotApplied> {
        let until = R::Instant::now() + within;
        let mut status = self.shared.status.subscribe();
        loop {
            let now = R::Instant::now();
            if now >= until {
                return Err(self.no_quorum());
            }
            let left = until - now;
            status.borrow_and_update();
            let outcome = match self.leader() {
                Some(leader) => match R::timeout(left, self.ask(leader, &question, left)).await {
                    Ok(outcome) => outcome,
                    Err(_) => return Err(NotApplied::Unknown),
                },
                None if self.running().is_none() => return Err(NotApplied::Down(self.why_down())),
                None => Err(NotApplied::NotLeader),
            };
            match outcome {
                Err(NotApplied::NotLeader) => {}
                outcome => return outcome,
            }
            // Until something changes; and if nothing does, the same again after a moment.
            let _ = R::timeout(LOOK_EVERY.min(left), status.changed()).await;
        }
    }

    async fn ask(
        &self,
        leader: Leader<R, M>,
        question: &Question,
        within: Duration,
    ) -> Result<Answer, NotApplied> {
        match (leader, question) {
            (Leader::Here(running), Question::Propose(command)) => {
                running.proposer.propose(command.clone()).await.map(Answer::Applied)
            }
            (Leader::Here(running), Question::ReadIndex) => {
                read_index_here(&running).await.map(Answer::Index)
            }
            (Leader::Here(running), Question::Change(change)) => {
                self.change_routers_here(&running, change.clone()).await.map(|()| Answer::Changed)
            }
            (Leader::There(peer), question) => {
                let request = question.request(self.shared.me.sender(peer.id));
                match self.shared.transport.ask(&peer, request, within).await {
                    Ok(response) => read_answer(response),
                    Err(Unanswered::Unreachable(_) | Unanswered::Refused(_)) => Err(NotApplied::NotLeader),
                    // A read changes nothing, so it may be asked again.
                    Err(Unanswered::Lost(_)) if matches!(question, Question::ReadIndex) => {
                        Err(NotApplied::NotLeader)
                    }
                    Err(Unanswered::Lost(_)) => Err(NotApplied::Unknown),
                }
            }
        }
    }

    /// The leader, if it is known and seems to lead.
    fn leader(&self) -> Option<Leader<R, M>> {
        let running = self.running()?;
        let status = running.status(&self.shared.status.borrow());
        let leader = status.leader?;
        if leader == status.id {
            let is_heard =
                status.voters.len() == 1 || status.quorum_heard.is_none_or(|ago| ago < QUORUM_SILENT);
            return (status.role == Role::Leader && is_heard).then_some(Leader::Here(running));
        }
        let address = status.addresses.get(&leader)?.clone();
        Some(Leader::There(Peer { id: Some(leader), address }))
    }

    /// Whether another router knows a later list of the cluster's routers, without this one.
    async fn was_removed(&self, running: &Running<R, M>, status: &Status) -> bool {
        let own = *running.raft.metrics().borrow().membership_config.log_id();
        for (_, address) in status.addresses.iter().filter(|(id, _)| **id != status.id) {
            let Some(answer) = self.hello(address).await else { continue };
            let Ok(theirs) = wire::read_stored_membership(answer.routers.as_ref()) else { continue };
            let is_in = theirs.membership().get_node(&status.id).is_some();
            // A list that is only proposed may be taken back: the router that answers must have a leader.
            if *theirs.log_id() > own && !is_in && answer.leader.is_some() {
                return true;
            }
        }
        false
    }

    fn no_quorum(&self) -> NotApplied {
        let status = self.shared.status.borrow();
        let names: Vec<String> = status.voters.iter().map(|id| id.number.to_string()).collect();
        NotApplied::NoQuorum(match names.len() {
            0 => "This router belongs to no cluster yet: wait for the others, or add it with `rcs-router cluster add`".to_owned(),
            _ => format!("Start the routers that are down, or mend the network between routers {}", names.join(", ")),
        })
    }
}

/// Where the leader is.
enum Leader<R: AsyncRuntime, M: Machine> {
    Here(Running<R, M>),
    There(Peer),
}

pub(crate) async fn read_index_here<R: AsyncRuntime, M: Machine>(
    running: &Running<R, M>,
) -> Result<u64, NotApplied> {
    let floor = running.read_floor();
    match running.raft.get_read_log_id().await {
        Ok((index, _)) => Ok(index.map_or(0, |index| index.index).max(floor)),
        Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_))) => Err(NotApplied::NotLeader),
        Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => Err(NotApplied::NotLeader),
        Err(RaftError::Fatal(error)) => Err(NotApplied::Down(error.to_string())),
    }
}

impl<R: AsyncRuntime, T, M: Machine> Shared<R, T, M> {
    fn running(&self) -> MutexGuard<'_, Option<Running<R, M>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn transport(&self) -> &T {
        &self.transport
    }

    /// The routers of the cluster that this router waits to make.
    pub(crate) fn forming(&self) -> String {
        self.forming.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_forming(&self, routers: String) {
        *self.forming.lock().unwrap_or_else(PoisonError::into_inner) = routers;
    }

    fn set(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
    }
}
