//! `rcs-bench drill-node`: rcs-node's own server with the drills' connector, as a process of its own that can be killed.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rcs_cli::{Exit, Failure};
use rcs_node::connector::Registry;
use rcs_node::key::SharedKey;
use rcs_node::server::{Server, Setup};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::connector::DrillFactory;
use super::members::{FIRST_VERSION, KEY};

/// How long open calls may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

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
}

/// Serves until SIGTERM, or until whoever started it is gone.
pub(crate) async fn run(arguments: NodeArgs) -> Result<(), Failure> {
    let internal = |error: io::Error| Exit::Internal.with(format!("the member cannot start: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let connector = DrillFactory::new(&arguments.member, &arguments.folder, &arguments.bundle_version)
        .map_err(internal)?;
    let setup = Setup {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        key: SharedKey::of_text(KEY),
        tls: None,
        ping_interval: None,
        registry: Registry::empty().with(Arc::new(connector)),
    };
    let server = Server::start(setup).await.map_err(internal)?;
    // A drill that was killed must not leave its members behind. The thread ends with the process.
    let (gone, starter_gone) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = gone.send(());
    });
    rcs_cli::say(format_args!("ready {}", server.address()));
    tokio::select! {
        _ = terminate.recv() => {
            server.drain(DRAIN).await;
        }
        _ = starter_gone => {}
    }
    Ok(())
}
