//! `rcs-bench drill-node`: rcs-node's own server, or its client mode, with the drills' connector, as a process of its own that can be killed.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rcs_cli::{Exit, Failure};
use rcs_node::client::{self, Client, Peer, Proof, Rhythm};
use rcs_node::connector::Registry;
use rcs_node::key::SharedKey;
use rcs_node::server::{Server, Setup};
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::DialExtras;
use rcs_proto::driver::url::WsUrl;
use rcs_proto::icf::Secret;
use rcs_proto::limits::CHECK_EVERY;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::connector::DrillFactory;
use super::members::{FIRST_VERSION, KEY};

/// How long open calls may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

/// How often a member in client mode looks after its sockets.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// Be one member of a drill. Started by `drill`; ends with its standard input.
#[derive(Args)]
pub(crate) struct NodeArgs {
    /// Its name.
    #[arg(long)]
    member: String,
    /// Where its journal is, and the files that tell it to fail.
    #[arg(long)]
    folder: PathBuf,
    /// The version of the connector's bundle.
    #[arg(long, default_value = FIRST_VERSION)]
    bundle_version: String,
    /// Dial a router at this port of the loopback, instead of listening.
    #[arg(long, value_name = "PORT")]
    dial: Option<u16>,
    /// Sockets that are opened to the router.
    #[arg(long, default_value_t = 2)]
    sockets: u32,
    /// Seconds after which a dialled socket is replaced by a fresh one.
    #[arg(long, value_name = "N", requires = "dial")]
    connection_ttl: Option<u64>,
}

/// Serves until SIGTERM, or until whoever started it is gone.
pub(crate) async fn run(arguments: NodeArgs) -> Result<(), Failure> {
    let internal = |error: io::Error| Exit::Internal.with(format!("the member cannot start: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let connector = DrillFactory::new(&arguments.member, &arguments.folder, &arguments.bundle_version)
        .map_err(internal)?;
    let registry = Registry::empty().with(Arc::new(connector));
    let node = match arguments.dial {
        Some(port) => {
            let ttl = arguments.connection_ttl.map(Duration::from_secs);
            Node::Dialling(dial(&arguments.member, port, (arguments.sockets, ttl), registry))
        }
        None => {
            let setup = Setup {
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                key: SharedKey::of_text(KEY),
                tls: None,
                ping_interval: None,
                registry,
            };
            Node::Listening(Server::start(setup).await.map_err(internal)?)
        }
    };
    // A drill that was killed must not leave its members behind. The thread ends with the process.
    let (gone, starter_gone) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = gone.send(());
    });
    match &node {
        Node::Listening(server) => rcs_cli::say(format_args!("ready {}", server.address())),
        Node::Dialling(_) => rcs_cli::say(format_args!("ready client {}", arguments.member)),
    }
    tokio::select! {
        _ = terminate.recv() => {
            match node {
                Node::Listening(server) => server.drain(DRAIN).await,
                Node::Dialling(client) => client.drain(DRAIN).await,
            };
        }
        _ = starter_gone => {}
    }
    Ok(())
}

enum Node {
    Listening(Server),
    Dialling(Client),
}

/// A node in client mode, which is the member of this name to a router with `--dev`.
fn dial(
    member: &str,
    port: u16,
    (sockets, connection_ttl): (u32, Option<Duration>),
    registry: Registry,
) -> Client {
    let (host, path) = (Ipv4Addr::LOCALHOST.to_string(), "/openicf".to_owned());
    let url = WsUrl { tls: false, host, port, path };
    let sockets = sockets as usize;
    Client::start(client::Setup {
        peers: vec![Peer { url, tls: None, extras: DialExtras::default() }],
        proof: Proof::Password(Credentials {
            principal: member.to_owned(),
            secret: Secret::new(KEY.to_owned()),
        }),
        rhythm: Rhythm {
            sockets,
            max_sockets: sockets + 1,
            housekeeping_interval: HOUSEKEEPING_INTERVAL,
            connection_ttl,
            new_connections_interval: Duration::ZERO,
        },
        ping_interval: Some(HOUSEKEEPING_INTERVAL),
        group_check_interval: CHECK_EVERY,
        registry,
    })
}
