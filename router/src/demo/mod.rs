//! `rcs-router demo`: a router and three nodes as processes of their own, users read through the group, one node killed in the
//! middle of it. What it prints was counted, and it fails if a promise was broken.
//!
//! With `--routers 3`, `cluster` has three routers, and kills the one that leads as well.
//!
//! Way: `files` (what the processes read) ▸ `children` (the processes) ▸ `idm` (the caller) ▸ `load` (reads, and the kill) ▸
//! `verdict` (the table, and what was promised).

mod child;
mod children;
mod cluster;
mod files;
mod http;
mod idm;
mod load;
mod verdict;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use child::{ChildArguments, run_child};

use self::children::{Children, Router};
use self::files::{Files, GROUP};
use self::idm::{Idm, User};
use crate::limits::DEMO_START_MAX;
use crate::shutdown::Signals;

/// What happens after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Everything ends.
    End,
    /// The killed node is started again, and everything stays up until a signal.
    Stay,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// Files or processes could not be made.
    #[error("cannot {what}: {source}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A process did not come up.
    #[error("{name} did not start: {reason}")]
    NotStarted {
        /// The process.
        name: String,
        /// What is known.
        reason: String,
    },
    /// The users could not be read.
    #[error("the users of hr.csv could not be read through the group: {0}")]
    NotRead(String),
    /// The run did not meet its expectations.
    #[error("the demo did not meet its expectations: {}", .0.join("; "))]
    Broken(Vec<String>),
    /// A signal came before the end.
    #[error("interrupted")]
    Interrupted,
}

/// Runs the demo with three routers, which form a cluster. When it returns, or is dropped, no process of it is left.
pub(crate) async fn run_cluster() -> Result<(), DemoError> {
    let mut signals = Signals::listen().map_err(system("listen for signals"))?;
    let files = Files::write().map_err(system("write the example's files"))?;
    let mut children = Children::default();
    let outcome = tokio::select! {
        shown = cluster::show(&files, &mut children) => shown,
        () = signals.next() => Err(DemoError::Interrupted),
    };
    if !matches!(outcome, Ok(()) | Err(DemoError::Interrupted)) {
        rcs_cli::tell_part(files.last_log_lines());
    }
    children.end().await;
    outcome
}

/// Runs the demo. When it returns, or is dropped, no process of it is left.
pub(crate) async fn run(after: After) -> Result<(), DemoError> {
    let mut signals = Signals::listen().map_err(system("listen for signals"))?;
    let files = Files::write().map_err(system("write the example's files"))?;
    let mut children = Children::default();
    let shown = tokio::select! {
        shown = show(&files, &mut children) => shown,
        () = signals.next() => Err(DemoError::Interrupted),
    };
    let outcome = match shown {
        Ok(cluster) if after == After::Stay => {
            tokio::select! {
                stayed = stay(&files, &mut children, cluster) => stayed,
                () = signals.next() => Ok(()),
            }
        }
        Ok(_) => Ok(()),
        Err(error) => {
            if !matches!(error, DemoError::Interrupted) {
                rcs_cli::tell_part(files.last_log_lines());
            }
            Err(error)
        }
    };
    children.end().await;
    outcome
}

/// A node that listens.
#[derive(Clone, Debug)]
struct Node {
    name: &'static str,
    address: SocketAddr,
}

/// Addresses of what runs.
struct Cluster {
    router: Router,
    nodes: Vec<Node>,
}

async fn show(files: &Files, children: &mut Children) -> Result<Cluster, DemoError> {
    rcs_cli::say("starting three nodes and a router ...");
    let mut nodes = Vec::new();
    for name in files::NODES {
        nodes.push(children.start_node(files, name, 0).await?);
    }
    files.write_provider(&nodes).map_err(system("write the provider document"))?;
    let router = children.start_router(files, "router", &[]).await?;
    for node in &nodes {
        rcs_cli::say(format_args!("  {:8}ws://{}/openicf", node.name, node.address));
    }
    rcs_cli::say(format_args!(
        "  {:8}ws://{}/openicf/{GROUP}, a group of the three, round robin",
        "router", router.listen
    ));
    await_members_up(router.admin, nodes.len()).await?;

    let idm = Arc::new(Idm::connect(router.listen, &files.csv).await?);
    let users: Arc<[User]> = idm.users().await?.into();
    rcs_cli::say(format_args!("\nthe users of hr.csv, read through the group:"));
    for user in users.iter() {
        rcs_cli::say(format_args!("  {:10}{:20}{}", user.uid, user.name, user.department));
    }

    rcs_cli::say(format_args!("\nreading on while one of the three nodes is killed (SIGKILL):"));
    let victim = nodes.get(1).map(|node| node.name).expect("there are three nodes");
    let tally = load::run(&idm, &users, || children.kill(victim)).await?;
    if let Some(idm) = Arc::into_inner(idm) {
        idm.close().await;
    }
    let metrics = http::get(router.admin, "/metrics").await.map_err(system("read the router's metrics"))?;
    verdict::judge(&tally, &metrics.body, victim)?;
    Ok(Cluster { router, nodes })
}

async fn stay(files: &Files, children: &mut Children, cluster: Cluster) -> Result<(), DemoError> {
    let Cluster { router, nodes } = cluster;
    let started = Instant::now();
    if let Some(killed) = nodes.iter().find(|node| !children.is_running(node.name)) {
        children.start_node(files, killed.name, killed.address.port()).await?;
        await_members_up(router.admin, nodes.len()).await?;
        rcs_cli::say(format_args!(
            "\n{} was restarted and is in use again after {:.1?}",
            killed.name,
            started.elapsed()
        ));
    }
    rcs_cli::say(format_args!("\nThe router stays up; Ctrl-C ends it. In IDM's provider document:"));
    rcs_cli::say(format_args!(
        r#"  {{"type": "remoteConnectorServer", "name": "demo", "host": "{}", "port": {}, "websocketPath": "/openicf/{GROUP}","#,
        router.listen.ip(),
        router.listen.port()
    ));
    rcs_cli::say(format_args!(r#"   "useSSL": false, "principal": "anonymous", "key": "{}"}}"#, files::KEY));
    rcs_cli::say(format_args!("  csvFile   {}", files.csv.display()));
    rcs_cli::say(format_args!("  members   http://{}/v1/members", router.admin));
    rcs_cli::say(format_args!("  metrics   http://{}/metrics", router.admin));
    rcs_cli::say(format_args!("  logs      {}", files.logs().display()));
    std::future::pending().await
}

async fn await_members_up(admin: SocketAddr, wanted: usize) -> Result<(), DemoError> {
    let deadline = Instant::now() + DEMO_START_MAX;
    let wanted = format!("\"members_up\":{wanted},");
    let mut last = String::from("nothing");
    while Instant::now() < deadline {
        match http::get(admin, "/readyz").await {
            Ok(answer) if answer.body.contains(&wanted) => return Ok(()),
            Ok(answer) => last = answer.body,
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let reason = format!("its members are not up; /readyz returns {}", last.trim());
    Err(DemoError::NotStarted { name: "the router".to_owned(), reason })
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> DemoError {
    move |source| DemoError::System { what, source }
}
