//! The members of a drill: processes behind a proxy each, that can be killed, frozen and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_rig::bundles::{Bundles, RIG_VERSION};
use rcs_rig::java::Java;
use rcs_rig::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::block_in_place;

use super::connector::{DOWN, JOURNAL, SLOW};
use super::proxy::{Dialler, Proxy};

/// What members and router let callers in with: a drill is no production.
pub(crate) const KEY: &str = "changeit";

/// The version of the connector's bundle that members begin with.
pub(crate) const FIRST_VERSION: &str = RIG_VERSION;

/// What the members of a drill are.
#[derive(Clone)]
pub(crate) enum Members {
    /// rcs-nodes with the drills' connector.
    Nodes,
    /// The same in client mode: they dial the router.
    DiallingNodes,
    /// Java RCS with the rig connector (tests/java/README.md).
    Java(Rc<Java>),
}

impl Members {
    /// The word for reports.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Nodes => "rcs-node",
            Self::DiallingNodes => "rcs-node, dialling",
            Self::Java(_) => "java",
        }
    }

    /// Which end opens the connections.
    pub(crate) fn dialler(&self) -> Dialler {
        match self {
            Self::Nodes | Self::Java(_) => Dialler::Router,
            Self::DiallingNodes => Dialler::Member,
        }
    }

    /// Whether they are rcs-nodes.
    pub(crate) fn are_nodes(&self) -> bool {
        matches!(self, Self::Nodes | Self::DiallingNodes)
    }

    fn command(&self, member: &str, folder: &Path, version: &str, dial: &Dial) -> Result<Command, Failure> {
        match self {
            Self::Nodes | Self::DiallingNodes => {
                let program = std::env::current_exe()
                    .map_err(|error| Exit::Internal.with(format!("this program cannot be found: {error}")))?;
                let mut command = Command::new(program);
                command.args(["drill-node", "--member", member, "--folder"]).arg(folder);
                command.args(["--bundle-version", version]);
                if self.dialler() == Dialler::Member {
                    command.args(["--dial", &dial.port.to_string(), "--sockets", &dial.sockets.to_string()]);
                    if let Some(ttl) = dial.ttl {
                        command.args(["--connection-ttl", &ttl.as_secs().to_string()]);
                    }
                }
                Ok(command)
            }
            Self::Java(java) => {
                let mut command = java.peer("rcs-server", member);
                command.args(["--port", "0", "--bundles"]);
                match version {
                    FIRST_VERSION => command.arg(java.bundles()),
                    version => {
                        let bundles = Bundles::new(java, folder.join("bundles"));
                        bundles.replace_rig(java, version);
                        command.arg(bundles.folder())
                    }
                };
                Ok(command)
            }
        }
    }

    /// Longest wait for one to listen.
    fn start_bound(&self) -> Duration {
        match self {
            Self::Nodes | Self::DiallingNodes => Duration::from_secs(10),
            Self::Java(_) => Duration::from_secs(30),
        }
    }
}

/// Where a member dials, if it is in client mode.
struct Dial {
    /// A port of the loopback.
    port: u16,
    sockets: u32,
    ttl: Option<Duration>,
}

/// One member. Its process dies with it.
pub(crate) struct Member {
    name: String,
    kind: Members,
    folder: PathBuf,
    proxy: Proxy,
    /// Sockets between the router and it, for a member that dials.
    sockets: u32,
    /// How long a member that dials keeps a socket, if there is a bound.
    ttl: Option<Duration>,
    process: Option<Process>,
    /// The version of the connector's bundle that the member has from its next start on.
    version: &'static str,
}

impl Member {
    /// Starts a member and the proxy in front of it.
    pub(crate) async fn start(
        kind: &Members,
        name: &str,
        scratch: &Path,
        (sockets, ttl): (u32, Option<Duration>),
        seed: u64,
    ) -> Result<Self, Failure> {
        let folder = scratch.join(name);
        fs::create_dir_all(&folder)
            .map_err(|error| Exit::Internal.with(format!("{} cannot be made: {error}", folder.display())))?;
        let proxy = Proxy::start(kind.dialler(), seed)
            .await
            .map_err(|error| Exit::Internal.with(format!("the proxy cannot listen: {error}")))?;
        let (name, kind) = (name.to_owned(), kind.clone());
        let mut member =
            Self { name, kind, folder, proxy, sockets, ttl, process: None, version: FIRST_VERSION };
        member.restart()?;
        Ok(member)
    }

    /// Its name in the provider document.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What stands between the router and it.
    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Its folder.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join(JOURNAL)
    }

    /// Starts its process, which must have ended before; comes back once it listens, or dials.
    pub(crate) fn restart(&mut self) -> Result<(), Failure> {
        let command = {
            let dial = Dial { port: self.proxy.port(), sockets: self.sockets, ttl: self.ttl };
            self.kind.command(&self.name, &self.folder, self.version, &dial)?
        };
        let (name, bound) = (&self.name, self.kind.start_bound());
        let (process, ready) = block_in_place(|| {
            let process = Process::start(name, command);
            let ready = process.read_until("ready ", bound);
            (process, ready)
        });
        if self.kind.dialler() == Dialler::Router {
            let port = ready.rsplit([' ', ':']).next().and_then(|port| port.parse().ok());
            let port =
                port.ok_or_else(|| Exit::Internal.with(format!("{name} did not print its port: {ready}")))?;
            self.proxy.lead_to(port);
        }
        self.process = Some(process);
        Ok(())
    }

    /// Sets the version of the member's connector bundle. The version is in force from the member's next start on.
    pub(crate) fn upgrade(&mut self, version: &'static str) {
        self.version = version;
    }

    /// SIGKILL, and gone when this returns. A member that is dead already stays so.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take()
            && process.is_running()
        {
            block_in_place(|| process.kill());
        }
    }

    /// SIGTERM, and gone when this returns, by SIGKILL if it takes longer than `bound`. False if it had to be killed.
    pub(crate) async fn terminate(&mut self, bound: Duration) -> bool {
        let Some(mut process) = self.process.take() else { return true };
        process.signal(Signal::TERM);
        let end = tokio::time::Instant::now() + bound;
        while process.is_running() {
            if tokio::time::Instant::now() > end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Something that kills the process at once, whoever calls it; it does nothing to a later process.
    pub(crate) fn killer(&self) -> impl FnOnce() + Send + 'static {
        let pid = self.process.as_ref().and_then(|process| Pid::from_raw(process.pid().cast_signed()));
        move || {
            // The process is not waited for before this was called or dropped, so the id is still its own.
            if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Whether its process runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Makes its resource fail, or work again.
    pub(crate) fn set_resource(&self, resource: Resource) -> Result<(), Failure> {
        let (down, slow) = (self.folder.join(DOWN), self.folder.join(SLOW));
        let written = match resource {
            Resource::Down => fs::write(&down, ""),
            Resource::Slow(time) => fs::write(&slow, time.as_millis().to_string()),
            Resource::Well => remove(&down).and_then(|()| remove(&slow)),
        };
        written.map_err(|error| Exit::Internal.with(format!("{} cannot be controlled: {error}", self.name)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }
}

/// What is behind a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// As it should be.
    Well,
    /// Every call fails.
    Down,
    /// Every call takes so much longer.
    Slow(Duration),
}

fn remove(file: &Path) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
