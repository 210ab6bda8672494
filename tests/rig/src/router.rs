//! The rcs-router binary as a process.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::metrics::{Metrics, http_get};
use crate::process::Process;
use crate::wait::{PATIENCE, wait_until};
use crate::workspace;

/// A running router, started with `--dev`.
pub struct Router {
    process: Process,
    listen: SocketAddr,
    admin: SocketAddr,
    ready: String,
}

impl Router {
    /// Starts a router on free ports with this provider document.
    pub fn start(provider: &Path) -> Self {
        Self::start_with(provider, &[])
    }

    /// [`Router::start`] with more options.
    pub fn start_with(provider: &Path, options: &[&str]) -> Self {
        Self::start_logged(provider, options, None)
    }

    /// [`Router::start_with`], with a filter for the log.
    pub fn start_logged(provider: &Path, options: &[&str], log: Option<&str>) -> Self {
        let mut command = Command::new(workspace::binary("rcs-router"));
        command.envs(log.map(|filter| ("RCS_LOG", filter)));
        command.arg("serve").arg("--provider").arg(provider);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dev"]).args(options);
        let process = Process::start("rcs-router", command);
        let ready = process.read_until("ready ", PATIENCE);
        let (listen, admin) = (address(&ready, "listen="), address(&ready, "admin="));
        Self { process, listen, admin, ready }
    }

    /// Where IDMs connect.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The admin address.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The URL of a group, or the bare one where the connector key decides.
    pub fn url(&self, group: Option<&str>) -> String {
        let base = format!("ws://{}/openicf", self.listen);
        group.map_or(base.clone(), |g| format!("{base}/{g}"))
    }

    /// The URL of a group at the address with TLS, which `--listen wss://127.0.0.1:0` among the options gives.
    pub fn tls_url(&self, group: &str) -> String {
        format!("wss://{}/openicf/{group}", address(&self.ready, "listen=wss://"))
    }

    /// What `/metrics` says now.
    pub fn metrics(&self) -> Metrics {
        Metrics::scrape(self.admin)
    }

    /// True if the router calls this member up.
    pub fn is_up(&self, group: &str, member: &str) -> bool {
        self.metrics().sum("rcs_member_up", &[("group", group), ("member", member)]) == 1.0
    }

    /// What `/readyz` says, false if nobody answers.
    pub fn is_ready(&self) -> bool {
        TcpStream::connect(self.admin).is_ok() && http_get(self.admin, "/readyz").0 == 200
    }

    /// Waits until all these members are up.
    pub fn await_up(&self, group: &str, members: &[&str]) {
        for member in members {
            wait_until(&format!("{member} of {group} up\n{}", self.process), PATIENCE, || {
                self.is_up(group, member)
            });
        }
    }

    /// The process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn address(ready: &str, key: &str) -> SocketAddr {
    let word = ready.split(' ').find_map(|w| w.strip_prefix(key));
    word.and_then(|a| a.parse().ok()).unwrap_or_else(|| panic!("no {key}ADDR in `{ready}`"))
}
