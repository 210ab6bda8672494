//! `rcs-node serve`.

use std::fmt::Display;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use rcs_cli::log::{self, Format};
use rcs_cli::{Exit, Failure, memory};
use rcs_proto::driver::descriptors::Descriptors;
use rcs_proto::driver::endpoint::Counts;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::plan::{DialPlan, ListenPlan, Plan};
use super::{ServeArgs, load};
use crate::client::{self, Client};
use crate::config::NodeConfig;
use crate::connector::Registry;
use crate::limits::{BLOCKING_THREADS_MAX, DRAIN, THREADS_LINGER};
use crate::server::{self, Server};

pub(super) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    log::start(Format::Text)?;
    if !arguments.settings.dev {
        keep_keys_to_itself();
    }
    let (config, mut faults) = load(&arguments.properties, &arguments.settings.overrides)?;
    for notice in config.iter().flat_map(|config| &config.notices) {
        tracing::warn!("{}: {notice}", arguments.properties.display());
    }
    let mut csv_folders = Vec::new();
    for folder in &arguments.csv_folder {
        match folder.canonicalize() {
            Ok(real) if real.is_dir() => csv_folders.push(real),
            Ok(_) => {
                faults.add(
                    Exit::Unavailable,
                    format!(
                        "--csv-folder {} is not a folder; name the folder of the CSV files",
                        folder.display()
                    ),
                );
            }
            Err(error) => {
                faults.add(
                    Exit::Unavailable,
                    format!(
                        "--csv-folder {} cannot be used: {error}; name a folder that exists and that this user may read",
                        folder.display()
                    ),
                );
            }
        }
    }
    let plan = config.as_ref().and_then(|config| Plan::of(config, &arguments.settings, &mut faults));
    if let Some(failure) = faults.into_failure() {
        return Err(failure);
    }
    let (Some(config), Some(plan)) = (&config, plan) else {
        return Err(Exit::Internal.with("internal error: nothing is wrong with the properties file, and yet it cannot be served. Please report it as a bug"));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(|error| Exit::Internal.with(format!("the runtime cannot be started: {error}")))?;
    let served = runtime.block_on(serve(plan, config, arguments.member.as_deref(), csv_folders));
    // A connector's thread that does not come back must not keep the process.
    runtime.shutdown_timeout(THREADS_LINGER);
    served
}

async fn serve(
    plan: Plan<'_>,
    config: &NodeConfig,
    member: Option<&str>,
    csv_folders: Vec<PathBuf>,
) -> Result<(), Failure> {
    // Before the node is announced as ready: a signal must find its handler.
    let mut stop = Stop::listen()
        .map_err(|error| Exit::Internal.with(format!("signal handlers cannot be installed: {error}")))?;
    for warning in plan.warnings() {
        tracing::warn!("{warning}");
    }
    let descriptors = Descriptors::raise().unwrap_or_else(|error| {
        tracing::warn!("the limit of open files cannot be raised: {error}");
        Descriptors::unchanged()
    });
    let node = match plan {
        Plan::Listen(plan) => listen(plan, config, member, csv_folders).await?,
        Plan::Dial(plan) => dial(plan, config, member, csv_folders),
    };
    tracing::info!("{descriptors}");
    tracing::info!(
        "{}: draining: new calls are refused, open calls have {} s",
        stop.wait().await,
        DRAIN.as_secs()
    );
    tokio::select! {
        left = node.drain() => match left.executing {
            0 => tracing::info!("drained: all calls have finished"),
            calls => tracing::warn!(calls, "the time to drain is over; open calls were broken off"),
        },
        again = stop.wait() => tracing::warn!("{again} again: open calls are broken off"),
    }
    Ok(())
}

/// A node at work.
enum Node {
    Listening(Server),
    Dialling(Client),
}

impl Node {
    async fn drain(self) -> Counts {
        match self {
            Self::Listening(server) => server.drain(DRAIN).await,
            Self::Dialling(client) => client.drain(DRAIN).await,
        }
    }
}

async fn listen(
    plan: ListenPlan<'_>,
    config: &NodeConfig,
    member: Option<&str>,
    csv_folders: Vec<PathBuf>,
) -> Result<Node, Failure> {
    let wanted = plan.address;
    let transport = plan
        .tls
        .as_ref()
        .map_or("plain".to_owned(), |tls| format!("TLS as {}", tls.identity.certificate().subject));
    let setup = server::Setup {
        address: wanted,
        key: plan.listen.key.clone(),
        tls: plan.tls,
        ping_interval: config.ping_interval,
        registry: Registry::builtin(csv_folders),
    };
    let server = Server::start(setup)
        .await
        .map_err(|error| {
            Exit::Unavailable.with(format!(
                "cannot listen on {wanted}: {error}. Choose another port or address, or stop the process that uses it"
            ))
        })?;
    let address = server.address();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %address, transport, member, "listening");
    ready(&address);
    Ok(Node::Listening(server))
}

fn dial(plan: DialPlan, config: &NodeConfig, member: Option<&str>, csv_folders: Vec<PathBuf>) -> Node {
    let name = plan.dial.server_name.as_str();
    let urls: Vec<String> = plan.peers.iter().map(|peer| peer.url.to_string()).collect();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), name, member, "dialling {}", urls.join(" "));
    let client = Client::start(client::Setup {
        rhythm: plan.dial.rhythm,
        ping_interval: config.ping_interval,
        group_check_interval: plan.dial.group_check_interval,
        registry: Registry::builtin(csv_folders),
        peers: plan.peers,
        proof: plan.proof,
    });
    ready(&format_args!("client {name}"));
    Node::Dialling(client)
}

/// Announces on standard output that the node is at work.
fn ready(what: &dyn Display) {
    // Whoever started us may not care for the line and have closed the pipe.
    let _ = writeln!(io::stdout(), "ready {what}").and_then(|()| io::stdout().flush());
}

/// Keeps the process's memory from other processes. If the kernel refuses, the node serves all the same.
pub(super) fn keep_keys_to_itself() {
    if let Err(error) = memory::forbid_dumps() {
        tracing::warn!("keys in this process's memory could get into a core file: {error}");
    }
}

/// Whether what is typed at the terminal reaches this process. A process in the background that reads its terminal is stopped by
/// the system (SIGTTIN): a node that was started with `&` would never serve.
fn is_in_foreground() -> bool {
    let stdin = io::stdin();
    let is_ours = |group| group == rustix::process::getpgrp();
    stdin.is_terminal() && rustix::termios::tcgetpgrp(&stdin).is_ok_and(is_ours)
}

/// What ends the node (I03).
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Ends at once where nothing can be typed.
    quit: mpsc::Receiver<()>,
}

impl Stop {
    pub(super) fn listen() -> io::Result<Self> {
        let (typed, quit) = mpsc::channel(1);
        if is_in_foreground() {
            // Reading a terminal blocks and cannot be taken back, so it has a thread that dies with the process.
            std::thread::spawn(move || {
                for line in io::stdin().lock().lines().map_while(Result::ok) {
                    if line.trim() == "q" && typed.blocking_send(()).is_err() {
                        return;
                    }
                }
            });
        }
        // A handler stays for the life of the process: from now on these signals do nothing.
        for ignored in [SignalKind::user_defined1(), SignalKind::user_defined2(), SignalKind::pipe()] {
            drop(signal(ignored)?);
        }
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit,
        })
    }

    /// Waits for the next reason to end, and returns it. SIGHUP is ignored, so that closing a terminal does not cut callers off.
    pub(super) async fn wait(&mut self) -> &'static str {
        loop {
            return tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                Some(()) = self.quit.recv() => "q",
                Some(()) = self.hangup.recv() => {
                    tracing::info!("SIGHUP is ignored: restart to use a changed properties file");
                    continue;
                }
            };
        }
    }
}
