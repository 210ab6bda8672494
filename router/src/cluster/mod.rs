//! This router's part in its cluster: what the routers agree on is kept, proposed and followed here, on a runtime of its own, so that
//! calls never wait for it. A router that stands alone and has a data directory is a cluster of one.

mod feed;
mod files;
mod join;
mod options;
mod presence;
mod rebuild;
mod renew;
mod replica;
mod service;
mod tokens;

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rcs_consensus::pki::Dates;
use rcs_consensus::rpc::{Peer, Request as Question, Response, Transport, Unanswered};
use rcs_consensus::store::{Owner, Pacing, Store};
use rcs_consensus::transport::{Arriving, Credentials, Refused, Serving, TonicTransport};
use rcs_consensus::{Consensus, NotApplied, RoutersChange, StartError, Status, Timing, TokioRuntime};
use rcs_core::agreed::ClusterState;
use rcs_core::agreed::{Action, Command, RequestId};
use rcs_core::agreed::{Author, Change};
use rcs_core::agreed::{CommandResult, Outcome};
use rcs_core::engine::{Proposal, Ticket};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use self::feed::{Feed, Tickets};
pub(crate) use self::files::Offered;
pub use self::options::{ClusterOptions, Peers, PeersError};
use self::presence::{Door, Presence};
pub(crate) use self::rebuild::{Rebuild, RebuildError, rebuild};
use self::replica::Replica;
pub use self::service::{PeersOption, Service, ServiceError};
pub(crate) use self::tokens::ApiTokens;
use crate::clock::wall;
use crate::control::{Configuration, Control, Origin, Request};
use crate::limits::{PROPOSE_AGAIN, PROPOSE_FOR};
use crate::sightings::Sightings;

/// The cluster address of a router that stands alone, where nobody reaches it.
pub(crate) const NOWHERE: &str = "localhost:0";

/// The way to other routers.
#[derive(Clone, Debug)]
enum Way {
    Network(TonicTransport),
    /// A cluster of one.
    Nowhere,
}

impl Transport for Way {
    async fn ask(&self, to: &Peer, request: Question, within: Duration) -> Result<Response, Unanswered> {
        match self {
            Self::Network(transport) => transport.ask(to, request, within).await,
            Self::Nowhere => Err(Unanswered::Unreachable(
                "this router has no cluster address: start it with --cluster and --peers".to_owned(),
            )),
        }
    }
}

type Part = Consensus<TokioRuntime, Way, Replica>;

/// The router's part in its cluster; clones are the same part.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Inner>);

struct Inner {
    part: Part,
    tickets: Arc<Tickets>,
    tokens: ApiTokens,
    control: Control,
    runtime: tokio::runtime::Handle,
    /// The address by which other routers know this one; its number, if it has none.
    from: String,
    configuration: watch::Sender<Option<Arc<Offered>>>,
    /// None for a cluster of one.
    credentials: Option<Credentials>,
    /// Which members are connected to which router.
    presence: Arc<Presence>,
    /// Connections of other routers that are to become WebSockets, until somebody takes them.
    arriving: Mutex<Option<mpsc::Receiver<Arriving>>>,
    /// What answers other routers; none for a cluster of one.
    serving: Mutex<Option<Serving>>,
    /// What other routers are answered with again after a handover that failed; none for a cluster of one.
    reception: Mutex<Option<Reception>>,
}

/// What it takes to answer other routers.
struct Reception {
    listener: TcpListener,
    credentials: Credentials,
    arrivals: mpsc::Sender<Arriving>,
}

impl Reception {
    /// Answers other routers from now on. To be called within the cluster's runtime.
    fn open(&self, part: &Part, presence: &Arc<Presence>) -> io::Result<Serving> {
        let door = Door { part: part.clone(), presence: Arc::clone(presence) };
        let (listener, credentials) = (self.listener.try_clone()?, self.credentials.clone());
        rcs_consensus::transport::serve(listener, credentials, door, Some(self.arrivals.clone()))
    }
}

/// What keeps the cluster's runtime alive; ended by [`Running::end`].
pub(crate) struct Running {
    runtime: tokio::runtime::Runtime,
}

/// Why the cluster's part cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The store of the cluster's log.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The certificates.
    #[error(transparent)]
    Certificates(#[from] rcs_consensus::pki::PkiError),
    /// The operating system refused something basic.
    #[error("cannot {what}: {source}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Cluster {
    /// Opens what is stored and takes part in the cluster; other routers are answered on the listener. Returns once the stored state is
    /// read, without waiting for other routers.
    ///
    /// # Errors
    /// [`ClusterError`]
    pub(crate) fn start(
        options: &ClusterOptions,
        listener: Option<TcpListener>,
        control: Control,
        sightings: Sightings,
    ) -> Result<(Self, Running), ClusterError> {
        let system = |what| move |source| ClusterError::System { what, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .thread_name("cluster")
            .build()
            .map_err(system("start the cluster's runtime"))?;
        let credentials = match &options.certificates {
            Some(files) => Some(Credentials::load(files.clone(), options.number)?),
            None => None,
        };
        let owner = Owner {
            number: options.number,
            incarnation: fastrand::u32(1..),
            cluster: credentials.as_ref().map(|credentials| credentials.name().cluster),
        };
        let known = credentials.clone();
        let way = credentials.clone().map_or(Way::Nowhere, |own| Way::Network(TonicTransport::new(own)));
        let (tickets, feed) = (Arc::new(Tickets::default()), Arc::new(Feed::default()));
        let tokens = ApiTokens::default();
        let open = {
            let (directory, tickets, feed) =
                (options.directory.clone(), Arc::clone(&tickets), Arc::clone(&feed));
            let (tokens, sightings) = (tokens.clone(), sightings.clone());
            move || {
                let store = Store::open(&directory, &owner, Pacing::Thread)?;
                let replica =
                    Replica::new(Arc::clone(&tickets), Arc::clone(&feed), tokens.clone(), sightings.clone());
                Ok((store, replica))
            }
        };
        let part = runtime.block_on(Part::start(way, Timing::default(), Box::new(open)))?;
        let presence = Arc::new(Presence::new());
        let (arrivals, arriving) = mpsc::channel(rcs_consensus::limits::ARRIVING_MAX);
        let reception = listener.zip(credentials).map(|(listener, credentials)| Reception {
            listener,
            credentials,
            arrivals,
        });
        let serving = match &reception {
            Some(reception) => {
                let _inside = runtime.enter();
                let credentials = &reception.credentials;
                credentials.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
                runtime.spawn(renew::renew(credentials.clone()));
                Some(reception.open(&part, &presence).map_err(system("listen for other routers"))?)
            }
            None => None,
        };
        let from = options.own_address().unwrap_or_else(|| format!("router {}", options.number));
        let cluster = Self(Arc::new(Inner {
            part: part.clone(),
            tickets,
            tokens,
            control: control.clone(),
            runtime: runtime.handle().clone(),
            from,
            configuration: watch::Sender::new(None),
            credentials: known,
            presence,
            arriving: Mutex::new(Some(arriving)),
            serving: Mutex::new(serving),
            reception: Mutex::new(reception),
        }));
        let whole = move |least| {
            let copy = |replica: &Replica| {
                let (revision, state) = (replica.state().revision(), replica.state());
                (revision >= least).then(|| (revision, state.agreed().clone()))
            };
            part.look(copy).flatten()
        };
        runtime.spawn(presence::run(cluster.clone(), control.clone()));
        runtime.spawn(feed::pump(feed, whole, control));
        runtime.spawn(join::tell_changes(cluster.clone(), sightings));
        runtime.spawn(join::join(cluster.clone(), options.clone()));
        runtime.spawn(files::offer(cluster.clone(), options.directory.clone(), options.authority));
        Ok((cluster, Running { runtime }))
    }

    /// This router's number.
    pub(crate) fn number(&self) -> u32 {
        self.0.part.id().number
    }

    /// The number in the ids of calls.
    pub(crate) fn number_in_ids(&self) -> u16 {
        u16::try_from(self.number()).unwrap_or(u16::MAX)
    }

    /// What the identities that callers are shown are hashed from: the same at every router of the cluster.
    pub(crate) fn seed(&self) -> [u64; 2] {
        let agreed = self.look(|state| state.seed().map(<[u64; 2]>::from)).flatten();
        agreed.unwrap_or_else(|| self.own_seed())
    }

    /// The seed of a cluster that has none yet, from its id: so routers that start together need not wait for each other.
    fn own_seed(&self) -> [u64; 2] {
        let status = self.status().borrow().clone();
        let id = status.cluster.unwrap_or_else(|| status.id.to_string());
        let hashed =
            rcs_proto::manifest::Digest::of(format!("rcs-router session identities {id}").as_bytes());
        let half = |bytes: &[u8]| bytes.iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        let (high, low) = hashed.bytes().split_at(8);
        [half(high), half(low.get(..8).unwrap_or_default())]
    }

    /// This router as the author of a change.
    pub(crate) fn origin(&self) -> Origin {
        Origin { who: format!("router {}", self.number()), from: self.0.from.clone() }
    }

    /// Waits until the cluster has members or groups, or has said that it has none.
    pub(crate) async fn is_configured(&self) {
        let mut status = self.status();
        loop {
            let is_configured = self.look(|state| {
                let document = state.agreed().document();
                state.files().is_some() || !document.members.is_empty() || !document.groups.is_empty()
            });
            if is_configured == Some(true) || status.changed().await.is_err() {
                return;
            }
        }
    }

    /// The state as this router knows it now; none while the consensus part is down.
    pub(crate) fn look<V>(&self, at: impl FnOnce(&ClusterState) -> V) -> Option<V> {
        self.0.part.look(|replica| at(replica.state()))
    }

    /// The API tokens of the cluster, as this router knew them last.
    pub(crate) fn api_tokens(&self) -> ApiTokens {
        self.0.tokens.clone()
    }

    /// What is known of the routers.
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.0.part.status()
    }

    /// Waits until this router knows all that was acknowledged anywhere before this call.
    ///
    /// # Errors
    /// [`NotApplied`]
    pub(crate) async fn read_barrier(&self) -> Result<u64, NotApplied> {
        self.0.part.read_barrier().await
    }

    /// What was refused at the cluster address so far; none without such an address.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.serving().as_ref().map(Serving::refused)
    }

    /// The dates of the routers' cluster certificates, by number, as far as this router has seen them; none without certificates.
    pub(crate) fn certificates(&self) -> BTreeMap<u32, Dates> {
        self.0.credentials.as_ref().map(Credentials::dates).unwrap_or_default()
    }

    fn serving(&self) -> MutexGuard<'_, Option<Serving>> {
        self.0.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is stored, and answers other routers no more, so that a later process of this router can take its place. What was decided
    /// stays in force here.
    pub(crate) fn lend(&self) {
        let serving = self.serving().take();
        self.0.runtime.block_on(async {
            self.0.part.lend().await;
            if let Some(serving) = serving {
                serving.shut_down().await;
            }
        });
    }

    /// Takes part in the cluster again: no later process has this router's place.
    pub(crate) fn take_back(&self) {
        self.0.part.take_back();
        let reception = self.reception();
        let Some(reception) = reception.as_ref() else { return };
        let _inside = self.0.runtime.enter();
        match reception.open(&self.0.part, &self.0.presence) {
            Ok(serving) => *self.serving() = Some(serving),
            Err(error) => {
                tracing::error!(%error, "other routers are not answered any more; calls go on. Restart the router");
            }
        }
    }

    /// The socket at which other routers are answered, once more; none for a cluster of one.
    pub(crate) fn listener(&self) -> io::Result<Option<TcpListener>> {
        self.reception().as_ref().map(|reception| reception.listener.try_clone()).transpose()
    }

    fn reception(&self) -> MutexGuard<'_, Option<Reception>> {
        self.0.reception.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the cluster's routers.
    ///
    /// # Errors
    /// [`NotApplied`]
    pub(crate) async fn change_routers(&self, change: RoutersChange) -> Result<(), NotApplied> {
        self.0.part.change_routers(change).await
    }

    /// Who the router at an address is; none if it does not say.
    pub(crate) async fn hello(&self, address: &str) -> Option<rcs_consensus::messages::HelloResponse> {
        self.0.part.hello(address).await
    }

    /// Has a change agreed. Returns once this router has followed it.
    ///
    /// # Errors
    /// [`NotApplied`]; only after [`NotApplied::Unknown`] may the change have been made.
    pub(crate) async fn change(
        &self,
        request: RequestId,
        expected_revision: Option<u64>,
        author: Author,
        origin: &Origin,
        action: Action,
    ) -> Result<Outcome, NotApplied> {
        let command = Command {
            request,
            expected_revision,
            author,
            who: clip(&origin.who, rcs_core::agreed::limits::WHO_BYTES_MAX).to_owned(),
            from: clip(&origin.from, rcs_core::agreed::limits::FROM_BYTES_MAX).to_owned(),
            at: wall(),
            action,
        };
        let bytes = command.encode().map_err(|error| NotApplied::Refused(error.to_string()))?;
        let applied = self.propose(Bytes::from(bytes)).await?;
        self.0.part.applied(applied.index).await;
        Outcome::decode(&applied.outcome).map_err(|error| NotApplied::Refused(error.to_string()))
    }

    /// Proposes until the outcome is known, for [`PROPOSE_FOR`]: a command with one request id is applied once.
    async fn propose(&self, command: Bytes) -> Result<rcs_consensus::Applied, NotApplied> {
        let until = Instant::now() + PROPOSE_FOR;
        loop {
            match self.0.part.propose(command.clone()).await {
                Err(NotApplied::Unknown) if Instant::now() < until => sleep(PROPOSE_AGAIN).await,
                outcome => return outcome,
            }
        }
    }

    /// Has proposed what the engine wants, without waiting. If it fails, the engine is told.
    pub(crate) fn submit(&self, proposal: Proposal, origin: Origin) {
        let cluster = self.clone();
        drop(self.0.runtime.spawn(async move { cluster.carry(proposal, origin).await }));
    }

    async fn carry(&self, proposal: Proposal, origin: Origin) {
        let request = new_request();
        let action = match proposal.change {
            Change::Mark { member, mark } => Action::Mark { member, mark },
            Change::Sets { group, change } => Action::Sets { group, change },
            Change::Configured { .. } => {
                tracing::error!("the engine proposed a document, which files alone do: please report this");
                return;
            }
        };
        if let Some(ticket) = proposal.ticket {
            self.0.tickets.add(request, ticket);
        }
        let outcome = self.change(request, None, proposal.author, &origin, action).await;
        match (outcome, self.0.tickets.take(request)) {
            // The router proposes again what it still wants.
            (Err(error), None) => tracing::debug!(%error, "a proposal of this router was not agreed"),
            (Ok(_), None) => {}
            (Err(error), Some(ticket)) => self.refuse(ticket, error.to_string()).await,
            // The decision came to this router with a snapshot, which the engine follows as a whole.
            (Ok(Outcome { result: CommandResult::Refused { sentence, .. }, .. }), Some(ticket)) => {
                self.refuse(ticket, sentence).await;
            }
            (Ok(_), Some(ticket)) => self.0.control.send(Request::Included(ticket)).await,
        }
    }

    async fn refuse(&self, ticket: Ticket, reason: String) {
        self.0.control.send(Request::NotAgreed { ticket, reason }).await;
    }

    /// The files of this router say this from now on.
    pub(crate) fn offer(&self, configuration: &Configuration) {
        let settings = configuration.settings.as_deref();
        match serde_json::to_vec(&(configuration.document.as_ref(), settings)) {
            Ok(bytes) => {
                let digest = rcs_proto::manifest::Digest::of(&bytes);
                let offered = Offered { configuration: configuration.clone(), digest };
                self.0.configuration.send_replace(Some(Arc::new(offered)));
            }
            Err(error) => {
                tracing::error!(%error, "the files cannot be offered to the cluster; please report this")
            }
        }
    }

    /// Ends this router's part in order; a leader hands over first.
    async fn stop(&self) {
        self.0.part.stop().await;
    }
}

impl Running {
    /// Ends the router's part in the cluster: another router is elected if this one leads, and what is stored is closed.
    pub(crate) fn end(self, cluster: &Cluster) {
        let Self { runtime } = self;
        let serving = cluster.serving().take();
        // Nobody may wait for an answer that does not come.
        drop(cluster.reception().take());
        runtime.block_on(async {
            cluster.stop().await;
            if let Some(serving) = serving {
                serving.shut_down().await;
            }
        });
        runtime.shutdown_background();
    }
}

/// An id that no other request has.
pub(crate) fn new_request() -> RequestId {
    RequestId(fastrand::u128(..))
}

/// The beginning of a text, at most so many bytes.
fn clip(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cluster").field(&self.number()).finish()
    }
}
