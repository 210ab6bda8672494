//! The composition root: options are checked before anything is bound, then the parts are joined, and taken down in order.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_core::limits::EVENT_QUEUE_MAX;
use rcs_core::view::Transport;
use rcs_proto::driver::descriptors::Descriptors;
use rcs_proto::driver::dial::InClear;
use rcs_proto::driver::listen::{self, Intake};
use rcs_proto::driver::spill::{Spill, SpillError};
use rcs_proto::driver::tls::ListenTls;
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use crate::access::{Access, KeyFiles};
pub use crate::access::{AccessError, Mode};
pub use crate::admin::AdminAt;
use crate::admin::{Admin, Agents, Gate, Hosts, Metrics, Rules};
pub use crate::checkup::{Checkup, DialledIdms, Files, check};
use crate::clock::{Clock, wall};
use crate::cluster::Cluster;
pub use crate::cluster::{
    ClusterError, ClusterOptions, Peers, PeersError, PeersOption, Service, ServiceError,
};
pub use crate::config::{ConfigError, Effective};
use crate::config::{ConfigFile, ReadIdm};
use crate::control::{self, Control, Request};
pub use crate::document::DocumentError;
use crate::document::{self, Tls};
use crate::effects::Effects;
use crate::follow::{self, Beside, Follower, SourceError, Sources, TrustStore};
pub use crate::handover::HandoverError;
use crate::handover::{self, Heard, OF_ADMIN, OF_CALLERS, OF_ROUTERS, Parting, Stock, needed};
use crate::identity::InForce;
pub use crate::identity::{Asking, IdentityError, IdentityFiles, TlsFiles};
use crate::idms::{self, Board};
use crate::limits::{
    ADMIN_CONNECTIONS_MAX, ADMIN_CONNECTIONS_MIN, ADMIN_DESCRIPTORS_SHARE, SPILL_BYTES_MAX, THREADS_MAX,
};
pub use crate::listeners::ListenAt;
use crate::listeners::{self, Bound};
use crate::metrics::Reloads;
use crate::owner::Owner;
use crate::shutdown::{self, Signals};
use crate::sightings::Sightings;
use crate::token::Token;
pub use crate::token::TokenError;
pub use crate::trust::TrustError;
pub use crate::unknown::DataDirError;
use crate::unknown::Unknowns;
use crate::upstream::{Dialler, OwnTrust};
use crate::{admin, downstream, metrics, vias};

/// What a router is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The provider file.
    pub provider: PathBuf,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// The addresses to which callers connect.
    pub listen: Vec<ListenAt>,
    /// The address of health probes, metrics and the API.
    pub admin: AdminAt,
    /// Whether `/metrics` needs a token where looking at the state needs one.
    pub protects_metrics: bool,
    /// Names of the admin address beside its addresses, `localhost`, and names that exist in private networks only.
    pub admin_hosts: Vec<String>,
    /// File with the callers' key.
    pub caller_key_file: Option<PathBuf>,
    /// File with the credentials of callers and of members in client mode.
    pub credentials: Option<PathBuf>,
    /// File with the operators' token; if none is given, the token is read from the variable `RCS_ROUTER_TOKEN`, if that is set.
    pub admin_token_file: Option<PathBuf>,
    /// Whether IDM's own interface is served on the admin address too.
    pub has_idm_api: bool,
    /// Members' certificates, or the certificates of the authorities that sign them.
    pub trust_store: Option<PathBuf>,
    /// The router's certificate; without it no address has TLS.
    pub tls: Option<TlsFiles>,
    /// Where answers that slow callers have not read yet are stored.
    pub spill: SpillTo,
    /// Where unknown outcomes are kept until they are acknowledged; without a directory they are kept in memory.
    pub data_dir: Option<PathBuf>,
    /// The router's place in its cluster; none: the state is kept in memory.
    pub cluster: Option<ClusterOptions>,
    /// The Unix socket at which a running router hands over to this process, and this process to a later one.
    pub take_over: Option<PathBuf>,
    /// Whether well-known keys are accepted.
    pub mode: Mode,
    /// Threads that move frames, at least 1; [`default_threads`] unless said otherwise.
    pub threads: u16,
}

/// Where answers that slow callers have not read yet are stored, beyond what is kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpillTo {
    /// Files in the system's directory for temporary files; if none can be made there, memory only.
    System,
    /// Files in this directory.
    Directory(PathBuf),
    /// Memory only: calls of slow callers fail sooner.
    Nowhere,
}

impl SpillTo {
    fn open(&self) -> Result<Arc<Spill>, SpillError> {
        match self {
            Self::Nowhere => Ok(Spill::nowhere()),
            Self::Directory(directory) => Spill::into(directory, SPILL_BYTES_MAX),
            Self::System => Ok(Spill::into(&std::env::temp_dir(), SPILL_BYTES_MAX).unwrap_or_else(|error| {
                tracing::warn!(
                    "{error}. Answers for slow callers stay in memory only; choose another directory with --spill-dir"
                );
                Spill::nowhere()
            })),
        }
    }
}

/// Half of the processors. The way of a call passes three tasks that wake each other, and a worker that the system takes its
/// processor from keeps what it was about to run: with as many workers as processors, on a busy machine of two, the 99th
/// percentile at half load was a hundred times that of one worker (235 ms and 3 ms), for 15 % more throughput.
pub fn default_threads() -> u16 {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    u16::try_from(processors / 2).unwrap_or(THREADS_MAX).clamp(1, THREADS_MAX)
}

/// Why a router does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// No usable key for callers.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// No usable token for operators.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No usable provider file.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// No usable configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No usable trust store.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No usable certificate of the router.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An address with TLS, and no certificate.
    #[error("--listen {0} needs a certificate: add --tls-cert FILE and --tls-key FILE, or --key-store FILE")]
    NoCertificate(ListenAt),
    /// The admin address has TLS, and there is no certificate.
    #[error("--admin {0} needs a certificate: add --tls-cert FILE and --tls-key FILE, or --key-store FILE")]
    NoAdminCertificate(AdminAt),
    /// No usable directory for answers to slow callers.
    #[error("{0}. Choose another directory with --spill-dir, or \"none\" for memory only")]
    Spill(#[from] SpillError),
    /// The router cannot take part in its cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A router runs, and hands nothing over.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The directory for stored state cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// An address that cannot be listened on.
    #[error(
        "cannot listen on {address} for {what}: {source}. Choose another address, or stop the process that uses it"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Callers or admin.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The operating system refused something basic.
    #[error("cannot {what}: {source}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl From<SourceError> for AppError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Document(error) => error.into(),
            SourceError::Config(error) => error.into(),
        }
    }
}

/// Everything that was checked before anything is started.
struct Checked {
    access: Access,
    rules: Rules,
    descriptors: Descriptors,
    mode: Mode,
    sources: Sources,
    dialler_tls: Option<watch::Receiver<Arc<ClientConfig>>>,
    own_trust: watch::Receiver<OwnTrust>,
    idms: watch::Receiver<Arc<Vec<ReadIdm>>>,
    tls: Option<InForce>,
    spill: Arc<Spill>,
}

/// Runs a router until a signal ends it and it has drained.
///
/// # Errors
/// [`AppError`], before anything was routed.
pub fn serve(options: &Options) -> Result<(), AppError> {
    if options.mode == Mode::Production {
        hide_memory();
    }
    let checked = validate(options)?;
    let stores = options.data_dir.is_some();
    let meet = |path| handover::meet(path, stores);
    let mut heard = options.take_over.as_deref().map(meet).transpose()?.flatten();
    // Not before an earlier process has closed the directory.
    let unknowns = Unknowns::open(options.data_dir.as_deref())?;
    let callers = bind_callers(&options.listen, &checked.sources, heard.as_mut())?;
    let admin = match heard.as_mut().and_then(|heard| heard.take(OF_ADMIN, &options.admin.to_string())) {
        Some(socket) => socket,
        None => bind(options.admin.address, "the admin API")?,
    };
    let (control, requests) = control::channel();
    let others = options.cluster.as_ref().and_then(|cluster| cluster.listen);
    let bind_others = |address: SocketAddr| match heard
        .as_mut()
        .and_then(|heard| heard.take(OF_ROUTERS, &address.to_string()))
    {
        Some(socket) => Ok(socket),
        None => bind(address, "other routers"),
    };
    let others = others.map(bind_others).transpose()?;
    let sightings = Sightings::new();
    let start = |own| Cluster::start(own, others, control.clone(), sightings.clone());
    let cluster = options.cluster.as_ref().map(start).transpose()?;
    let (cluster, part) = cluster.unzip();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(options.threads))
        .enable_all()
        .thread_name("router")
        .build()
        .map_err(system("start the runtime"))?;
    let running = run(
        checked,
        callers,
        (options, admin),
        (control, requests),
        cluster.clone(),
        (unknowns, sightings),
        heard,
    );
    let outcome = runtime.block_on(running);
    if let Some((part, cluster)) = part.zip(cluster) {
        part.end(&cluster);
    }
    // The tasks that are left only wait: for dials, or to check the files again.
    runtime.shutdown_background();
    outcome
}

/// Where access tokens may be sent without TLS (A07).
pub(crate) fn tokens_in_clear(mode: Mode) -> InClear {
    match mode {
        Mode::Development => InClear::ToAnybody,
        Mode::Production => InClear::ToLoopback,
    }
}

/// Keeps keys and tokens in this process. If the kernel refuses, the router serves all the same.
fn hide_memory() {
    if let Err(error) = rcs_cli::memory::forbid_dumps() {
        tracing::warn!("keys in this process's memory could get into a core file: {error}");
    }
}

fn validate(options: &Options) -> Result<Checked, AppError> {
    let mut beside = Beside::default();
    let opened = options.trust_store.as_deref().map(TrustStore::open).transpose()?;
    let (dialler_tls, store) = opened.unzip();
    beside.trust = store;
    let (tls, identity) = options.tls.clone().map(TlsFiles::open).transpose()?.unzip();
    beside.identity = identity;
    if let Some(at) =
        options.listen.iter().find(|at| at.transport == Transport::Tls).filter(|_| tls.is_none())
    {
        return Err(AppError::NoCertificate(at.clone()));
    }
    let of_operators = match (options.admin.transport, &tls) {
        (Transport::Plain, _) => None,
        (Transport::Tls, Some(tls)) => Some(ListenTls::followed(tls.operators.clone())),
        (Transport::Tls, None) => return Err(AppError::NoAdminCertificate(options.admin)),
    };
    let (own_trust, idms) = (beside.own_trust.subscribe(), beside.idms.subscribe());
    let document = open_document(&options.provider, dialler_tls.is_some());
    let files =
        KeyFiles { shared: options.caller_key_file.as_deref(), named: options.credentials.as_deref() };
    let (access, followed) = Access::open(files, options.mode)?;
    followed.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let unasked = access.certificates_not_asked_for(options.tls.as_ref());
    unasked.iter().for_each(|warning| tracing::warn!("{warning}"));
    beside.credentials = followed.named;
    let (token, token_file) = Token::open(options.admin_token_file.as_deref())?.unzip();
    let token_file = token_file.flatten();
    token_file.iter().filter_map(|file| file.warning()).for_each(|warning| tracing::warn!("{warning}"));
    let files = [("callers' key", followed.shared), ("token", token_file)];
    beside.secrets.extend(files.into_iter().filter_map(|(what, file)| Some((what, file?))));
    let descriptors = Descriptors::raise().map_err(system("raise the limit of open files"))?;
    if options.admin.is_exposed() {
        tracing::warn!("{}", exposed(options.admin));
    }
    let metrics = if options.protects_metrics { Metrics::Protected } else { Metrics::Open };
    let rules = Rules {
        gate: Gate::new(token, options.mode, options.admin.address).with_metrics(metrics),
        hosts: Hosts::new(&options.admin_hosts),
        tls: of_operators,
        connections: admin_connections(descriptors),
        has_idm_api: options.has_idm_api,
    };
    let sources = Sources::load(document, options.config.as_deref().map(ConfigFile::new), beside)?;
    let spill = options.spill.open()?;
    Ok(Checked {
        access,
        rules,
        descriptors,
        mode: options.mode,
        sources,
        dialler_tls,
        own_trust,
        idms,
        tls,
        spill,
    })
}

/// What an operator should know of an admin address without TLS that is not a loopback address.
pub(crate) fn exposed(admin: AdminAt) -> String {
    format!(
        "--admin {admin} has no TLS: whoever listens on the network reads the API tokens that are sent there. Write --admin https://{admin} \
         with --tls-cert and --tls-key, or let a proxy or a private network protect the address"
    )
}

/// A router that may open few descriptors keeps most of them for callers and members.
fn admin_connections(descriptors: Descriptors) -> usize {
    let share = descriptors.limit() / ADMIN_DESCRIPTORS_SHARE;
    usize::try_from(share).unwrap_or(usize::MAX).clamp(ADMIN_CONNECTIONS_MIN, ADMIN_CONNECTIONS_MAX)
}

pub(crate) fn open_document(provider: &Path, has_trust_store: bool) -> document::Document {
    let tls = if has_trust_store { Tls::Trusting } else { Tls::Unavailable };
    document::Document::new(provider, tls)
}

fn bind(address: SocketAddr, what: &'static str) -> Result<TcpListener, AppError> {
    listen::bind(address).map_err(|source| AppError::Bind { address, what, source })
}

/// Binds every address for callers, but those whose sockets an earlier process has given.
fn bind_callers(
    given: &[ListenAt],
    sources: &Sources,
    heard: Option<&mut Heard>,
) -> Result<Vec<Bound>, AppError> {
    let document = sources.document();
    for at in given {
        if let Some(group) =
            at.group.as_deref().filter(|group| !document.group_names().any(|name| name == *group))
        {
            tracing::warn!(
                address = %at.address, group,
                "--listen: the provider file has no group or server of this name; callers are refused at the address until it has one"
            );
        }
    }
    let given_over = heard.map(|heard| |at: &ListenAt| heard.take(OF_CALLERS, &at.to_string()));
    listeners::bind(given, sources.settings(), document.group_names(), given_over)
        .map_err(|(address, source)| AppError::Bind { address, what: "callers", source })
}

async fn run(
    checked: Checked,
    callers: Vec<Bound>,
    (options, admin): (&Options, TcpListener),
    (control, requests): (Control, mpsc::Receiver<Request>),
    cluster: Option<Cluster>,
    (unknowns, sightings): (Unknowns, Sightings),
    heard: Option<Heard>,
) -> Result<(), AppError> {
    let Checked { access, rules, descriptors, mode, sources, dialler_tls, own_trust, idms, tls, spill } =
        checked;
    let first = sources.configuration();
    let listen = listening(&callers).map_err(system("read the callers' address"))?;
    let address = admin.local_addr().map_err(system("read the admin address"))?;
    let admin_address = AdminAt { address, ..options.admin };
    let seed = heard.as_ref().map_or_else(|| [fastrand::u64(..), fastrand::u64(..)], Heard::seed);
    let intake = Arc::new(Intake::new(descriptors));
    let mut stock = match &options.take_over {
        Some(_) => {
            let listeners = handover::listening_sockets(&callers, options.admin, &admin, cluster.as_ref())
                .map_err(system("duplicate a listening socket"))?;
            let data_dir = options.data_dir.clone();
            let (cluster, unknowns, intake) = (cluster.clone(), unknowns.clone(), Arc::clone(&intake));
            Some(Stock { listeners, intake, seed, cluster, unknowns, data_dir, late: None })
        }
        None => None,
    };
    let mut signals = Signals::listen().map_err(system("listen for signals"))?;
    let hangup = shutdown::hangup().map_err(system("listen for signals"))?;

    let (socket_events, events) = mpsc::channel(EVENT_QUEUE_MAX);
    let (published, view) = watch::channel(Arc::default());
    let (reloads, board) = (Reloads::at_start(wall()), Board::default());
    let (recorder, scraper) = metrics::new(metrics::Asked {
        spill: Arc::clone(&spill),
        reloads: reloads.clone(),
        unknowns: unknowns.clone(),
        files: sources.board().files(),
        access: access.clone(),
        idms: board.clone(),
    });
    let (own, of_callers) = tls.map(|tls| (tls.identity, ListenTls::followed(tls.callers))).unzip();
    let towards_idms = idms::Tls::new(dialler_tls.clone(), own.clone());
    let dialler = Dialler::new(dialler_tls, own_trust, own, control.clone());
    let lists = (unknowns.clone(), sightings.clone());
    let effects = Effects::new(socket_events, spill, dialler, recorder, published, lists, cluster.clone());
    let mut owner = Owner::new(effects, Clock::start(), events, requests, (cluster.clone(), seed));
    sources.log_warnings();
    // In force before anything of callers or agents is heard.
    match &cluster {
        None => {
            if let Some(heard) = &heard {
                owner.restore(heard.agreed());
            }
            owner.configure(first.clone());
        }
        // Nothing is decided in the name of a process that may not take over after all.
        Some(_) if heard.is_some() => {}
        Some(cluster) => cluster.offer(&first),
    }
    let mut owner = tokio::spawn(owner.run());
    let agents = Agents::new(control.clone(), view.clone(), mode).map_err(system("make challenges"))?;
    let offered = first.clone();
    let (groups, members) = (first.document.groups.len(), first.document.members.len());
    let shown = Admin {
        control: control.clone(),
        scraper: Arc::new(scraper),
        unknowns: unknowns.clone(),
        files: sources.board().files(),
        cluster: cluster.clone(),
        sightings: sightings.clone(),
        idms: board.clone(),
        access: access.clone(),
    };
    let has_callers = heard.is_some();
    if let Some(heard) = heard {
        // From now on callers are this process's, or this process ends.
        let arriving = heard.arriving();
        let late = arriving.take_over(control.clone(), unknowns.clone(), signals.next()).await?;
        stock = stock.map(|stock| Stock { late: Some(late), ..stock });
        if let Some(cluster) = &cluster {
            cluster.offer(&offered);
        }
    }
    let parting = options.take_over.as_deref().zip(stock);
    let parting = parting.map(|(path, stock)| {
        let what = "wait for a later process at the Unix socket of --take-over";
        handover::listen(path, stock, control.clone()).map_err(system(what))
    });
    let mut parting = needed(parting.transpose(), has_callers)?.flatten();
    let admin = admin::start(admin, shown, rules, agents).map_err(system("start the admin API"));
    let admin = needed(admin, has_callers)?;
    let told = cluster.clone().map_or(Follower::Owner(control.clone()), Follower::Cluster);
    let follower = tokio::spawn(follow::follow(sources, first, told, hangup, reloads));
    let serve = downstream::serve(callers, access, view.clone(), intake, of_callers, control.clone());
    let vias = cluster
        .as_ref()
        .and_then(Cluster::arriving)
        .map(|arriving| tokio::spawn(vias::serve(arriving, view.clone(), control.clone())));
    let dialling = idms::follow(idms, view, towards_idms, tokens_in_clear(mode), control.clone(), board);
    let of_cluster = cluster.clone();
    let dialling = tokio::spawn(async move {
        // As the callers that dial, IDMs meet a router that has members and groups.
        if let Some(cluster) = of_cluster {
            cluster.is_configured().await;
        }
        dialling.await
    });
    let listener = tokio::spawn(async move {
        // Until then the kernel keeps the callers' connections: a caller that is refused may never dial again.
        if let Some(cluster) = cluster {
            cluster.is_configured().await;
        }
        serve.await
    });
    let addresses = listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = addresses,
        admin = %admin_address,
        groups,
        members,
        "rcs-router serves"
    );
    tracing::info!("{descriptors}");
    announce(&listen, admin_address);

    let parted = tokio::select! {
        ended = &mut owner => return owner_ended(ended),
        parted = Parting::maybe(&mut parting) => Some(parted),
        () = signals.next() => {
            tracing::info!(
                "draining: new calls are refused, calls in flight may finish; another signal ends the router at once"
            );
            None
        }
    };
    listener.abort();
    dialling.abort();
    if let Some(vias) = vias {
        vias.abort();
    }
    follower.abort();
    sightings.end();
    match &parted {
        None => control.send(Request::Drain).await,
        // The later process answers at the admin address.
        Some(_) => drop(admin),
    }
    let ended = shutdown::drained(&mut owner, &mut signals, &control, parted.is_none()).await;
    // After a second signal nobody is waited for.
    let parted = parted.or_else(|| parting.as_mut()?.at_last()).filter(|_| ended.is_some());
    if let Some(parted) = parted {
        parted.end().await;
    }
    // Writes the unknown outcomes of the end of the drain.
    drop(tokio::task::spawn_blocking(move || unknowns.flush()).await);
    ended.map_or(Ok(()), owner_ended)
}

/// The owner ends by itself only when it has drained.
fn owner_ended(ended: Result<(), JoinError>) -> Result<(), AppError> {
    ended.map_err(|error| AppError::System {
        what: "keep the routing loop running",
        source: io::Error::other(error),
    })
}

/// The addresses as they are now, with the port that port 0 picked.
fn listening(callers: &[Bound]) -> io::Result<Vec<ListenAt>> {
    let now = |bound: &Bound| Ok(ListenAt { address: bound.socket.local_addr()?, ..bound.at.clone() });
    callers.iter().map(now).collect()
}

/// Prints the one line on standard output: the addresses for all groups, admin, the addresses of groups. The stream may be closed by now.
fn announce(listen: &[ListenAt], admin: AdminAt) {
    let (own, all): (Vec<_>, Vec<_>) = listen.iter().partition(|at| at.group.is_some());
    let words = |listen: &[&ListenAt]| listen.iter().map(|at| format!(" listen={at}")).collect::<String>();
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "ready{} admin={admin}{}", words(&all), words(&own)).and_then(|()| out.flush());
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> AppError {
    move |source| AppError::System { what, source }
}
