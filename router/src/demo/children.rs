//! The demo's processes, seen from outside: started as this program again, killed by their own handles, gone at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::files::{Files, text};
use super::{DemoError, Node, system};
use crate::limits::{DEMO_END_MAX, DEMO_START_MAX};

/// The running processes by name. Dropping it kills them.
#[derive(Default)]
pub(super) struct Children(BTreeMap<&'static str, Child>);

/// A router that listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Router {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Children {
    /// Starts a node; port 0 for a free one.
    pub(super) async fn start_node(
        &mut self,
        files: &Files,
        name: &'static str,
        port: u16,
    ) -> Result<Node, DemoError> {
        let port = format!("connectorserver.port={port}");
        let line = ["serve", "--properties", &text(&files.properties()), "-D", &port, "--dev"];
        let ready = self.start(files, name, "node", &line).await?;
        let address = ready.split(' ').nth(1).and_then(|word| word.parse().ok());
        address.map(|address| Node { name, address }).ok_or_else(|| unclear(name, &ready))
    }

    /// Starts a router, with these arguments besides.
    pub(super) async fn start_router(
        &mut self,
        files: &Files,
        name: &'static str,
        more: &[&str],
    ) -> Result<Router, DemoError> {
        let any = "127.0.0.1:0";
        let provider = text(&files.provider());
        let line = ["serve", "--provider", &provider, "--listen", any, "--admin", any, "--dev"];
        let line: Vec<&str> = line.iter().chain(more).copied().collect();
        let ready = self.start(files, name, "router", &line).await?;
        let word = |key| ready.split(' ').find_map(|word| word.strip_prefix(key)?.parse().ok());
        match (word("listen="), word("admin=")) {
            (Some(listen), Some(admin)) => Ok(Router { listen, admin }),
            _ => Err(unclear(name, &ready)),
        }
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, name: &str) -> std::io::Result<()> {
        self.0.get_mut(name).map_or(Ok(()), Child::start_kill)
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&mut self, name: &str) -> bool {
        self.0.get_mut(name).is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends all of them, and waits until they are gone.
    pub(super) async fn end(self) {
        for (_, mut child) in self.0 {
            // The end of its input is its end; what does not follow is killed.
            drop(child.stdin.take());
            if timeout(DEMO_END_MAX, child.wait()).await.is_err() {
                // One that cannot be killed is nothing that could be mended here.
                let _ = child.kill().await;
            }
        }
    }

    /// Starts a process, and returns its first line.
    async fn start(
        &mut self,
        files: &Files,
        name: &'static str,
        role: &str,
        line: &[&str],
    ) -> Result<String, DemoError> {
        let program = std::env::current_exe().map_err(system("find this program"))?;
        let log = File::create(files.log(name)).map_err(system("write a log"))?;
        let mut child = Command::new(program)
            .args(["demo-child", role])
            .args(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(system("start a process"))?;
        let out = child.stdout.take().expect("standard output is a pipe");
        self.0.insert(name, child);
        let first = timeout(DEMO_START_MAX, BufReader::new(out).lines().next_line()).await;
        match first {
            Ok(Ok(Some(line))) if line.starts_with("ready ") => Ok(line),
            Ok(Ok(Some(line))) => Err(unclear(name, &line)),
            Ok(_) => Err(not_started(name, "it ended at once")),
            Err(_) => Err(not_started(name, "it printed nothing in time")),
        }
    }
}

fn unclear(name: &str, line: &str) -> DemoError {
    not_started(name, &format!("it printed {line:?}"))
}

fn not_started(name: &str, reason: &str) -> DemoError {
    DemoError::NotStarted { name: name.to_owned(), reason: reason.to_owned() }
}
