//! The router of a drill: the program that lies beside this one, as a process, and what its admin address says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_rig::process::Process;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{Instant, sleep, timeout};

use super::GROUP;

const START_BOUND: Duration = Duration::from_secs(10);
const HTTP_BOUND: Duration = Duration::from_secs(5);
/// Rhythm in which the members' state is looked at: detection is measured to that.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// A running router. It dies with this value.
pub(crate) struct Router {
    process: Process,
    listen: SocketAddr,
    admin: SocketAddr,
    sights: watch::Receiver<Sight>,
    looking: JoinHandle<()>,
    /// What it reads, and where a later process takes over from it.
    files: [PathBuf; 3],
    /// The part of its log that somebody has asked for.
    logged: RefCell<Vec<String>>,
}

/// How a later process took over.
pub(crate) struct Replaced {
    /// From its start until it served.
    pub(crate) ready: Duration,
    /// Whether the earlier process ended by itself.
    pub(crate) has_ended: bool,
    /// How long the callers' sockets stood still, as the earlier process says.
    pub(crate) frozen: Option<Duration>,
}

/// The members' state at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    /// When it was told.
    pub(crate) at: Instant,
    /// By member, its health: `up`, or why it gets no calls.
    pub(crate) health: BTreeMap<String, String>,
    /// By member, what is wanted of it and how far that is: `enabled`, `draining`, `drained`.
    marks: BTreeMap<String, String>,
}

impl Router {
    /// Starts it with this provider document and configuration file; comes back when it listens.
    pub(crate) fn start(provider: &Path, config: &Path) -> Result<Self, Failure> {
        let files = [provider.to_owned(), config.to_owned(), config.with_file_name("take-over")];
        let (process, ready) = spawn(&files)?;
        let address = |key: &str| {
            let word = ready.split(' ').find_map(|word| word.strip_prefix(key));
            word.and_then(|address| address.parse().ok())
                .ok_or_else(|| Exit::Internal.with(format!("the router did not print {key}ADDR: {ready}")))
        };
        let (listen, admin) = (address("listen=")?, address("admin=")?);
        let (seen, sights) =
            watch::channel(Sight { at: Instant::now(), health: BTreeMap::new(), marks: BTreeMap::new() });
        let looking = tokio::spawn(look(admin, seen));
        Ok(Self { process, listen, admin, sights, looking, files, logged: RefCell::default() })
    }

    /// Starts a later process that takes over from this one, and waits until this one has ended by itself.
    pub(crate) async fn replace(&mut self, end_bound: Duration) -> Result<Replaced, Failure> {
        let began = Instant::now();
        let (later, _) = spawn(&self.files)?;
        let ready = began.elapsed();
        let mut earlier = std::mem::replace(&mut self.process, later);
        while earlier.is_running() && began.elapsed() < end_bound {
            sleep(LOOK_EVERY).await;
        }
        let has_ended = !earlier.is_running();
        let log = earlier.output().1;
        let frozen = log.iter().find_map(|line| line.split_once("frozen_ms=")?.1.trim().parse().ok());
        self.logged.borrow_mut().extend(log);
        Ok(Replaced { ready, has_ended, frozen: frozen.map(Duration::from_millis) })
    }

    /// Where callers connect.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The members' state, as it was told last.
    pub(crate) fn sight(&self) -> Sight {
        self.sights.borrow().clone()
    }

    /// Members that are up now.
    pub(crate) fn up(&self) -> Vec<String> {
        let sight = self.sights.borrow();
        sight.health.iter().filter(|(_, health)| *health == "up").map(|(name, _)| name.clone()).collect()
    }

    /// Waits until that is so of the members' state; gives when it was told. `None` if it is not within `bound`.
    pub(crate) async fn until(&self, bound: Duration, so: impl Fn(&Sight) -> bool) -> Option<Instant> {
        let mut sights = self.sights.clone();
        let found = timeout(bound, sights.wait_for(|sight| so(sight))).await;
        found.ok()?.ok().map(|sight| sight.at)
    }

    /// Waits until this member is up.
    pub(crate) async fn until_up(&self, member: &str, bound: Duration) -> Option<Instant> {
        self.until(bound, |sight| sight.is_up(member)).await
    }

    /// Waits until this member gets no calls.
    pub(crate) async fn until_out(&self, member: &str, bound: Duration) -> Option<Instant> {
        self.until(bound, |sight| !sight.is_up(member)).await
    }

    /// Sets what is wanted of a member: `drain`, `undrain`.
    pub(crate) async fn mark(&self, member: &str, change: &str) -> Result<(), Failure> {
        let path = format!("/v1/groups/{GROUP}/members/{member}/{change}");
        match http(self.admin, "POST", &path).await {
            Some((200, _)) => Ok(()),
            answer => {
                Err(Exit::Unavailable.with(format!("the router refuses to {change} {member}: {answer:?}")))
            }
        }
    }

    /// Asks for a change below `/v1/groups/GROUP/`. Returns the status and body of the answer.
    pub(crate) async fn change(&self, path: &str) -> Result<(u16, String), Failure> {
        let path = format!("/v1/groups/{GROUP}/{path}");
        let answer = http(self.admin, "POST", &path).await;
        answer.ok_or_else(|| Exit::Unavailable.with(format!("the router does not answer POST {path}")))
    }

    /// Waits until the bundle set of a member has this standing. Returns false if the member has another standing after `bound`.
    pub(crate) async fn until_standing(&self, member: &str, standing: &str, bound: Duration) -> bool {
        let end = Instant::now() + bound;
        let has = |text: &str| {
            let row = serde_json::from_str::<Value>(text).ok()?;
            let row = row.get("members")?.as_array()?.iter().find(|row| row["name"] == member)?.clone();
            Some(row["standing"] == standing)
        };
        while Instant::now() < end {
            let answer = http(self.admin, "GET", &format!("/v1/groups/{GROUP}/bundles")).await;
            if answer.and_then(|(_, text)| has(&text)) == Some(true) {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        false
    }

    /// Waits until a member that is told to drain has no calls left; false if it has within `bound`.
    pub(crate) async fn until_drained(&self, member: &str, bound: Duration) -> bool {
        let drained = |sight: &Sight| sight.marks.get(member).is_some_and(|mark| mark == "drained");
        self.until(bound, drained).await.is_some()
    }

    /// The sum of a metric's series whose labels have all these pairs (`op="get"`); `None` if nobody answers.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, text) = http(self.admin, "GET", "/metrics").await?;
        let of_name = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        Some(text.lines().filter(of_name).filter_map(value).sum())
    }

    /// The admin address.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Bounds the bytes of memory that the router may write to. An allocation beyond the bound ends the router.
    pub(crate) fn limit_memory(&self, bytes: u64) -> Result<(), Failure> {
        let pid = Pid::from_raw(self.process.pid().cast_signed());
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(pid, Resource::Data, limit)
            .map(drop)
            .map_err(|error| Exit::Internal.with(format!("the router's memory cannot be limited: {error}")))
    }

    /// What it logged since the last question.
    pub(crate) fn log(&self) -> Vec<String> {
        let lines = self.process.output().1;
        self.logged.borrow_mut().extend(lines.iter().cloned());
        lines
    }

    /// All that it logged.
    pub(crate) fn whole_log(&self) -> String {
        self.log();
        self.logged.borrow().join("\n")
    }

    /// Bytes of memory that it has now, and at most had.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.pid())).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok())
        };
        (field("VmRSS:").unwrap_or(0) << 10, field("VmHWM:").unwrap_or(0) << 10)
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl Sight {
    /// Whether this member gets calls.
    pub(crate) fn is_up(&self, member: &str) -> bool {
        self.health.get(member).is_some_and(|health| health == "up")
    }
}

/// Starts a process; returns it with the line that says where it listens.
fn spawn([provider, config, take_over]: &[PathBuf; 3]) -> Result<(Process, String), Failure> {
    let program = beside_us("rcs-router")?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--provider").arg(provider).arg("--config").arg(config);
    command.arg("--take-over").arg(take_over);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dev"]).env_remove("RCS_LOG");
    Ok(block_in_place(|| {
        let process = Process::start("rcs-router", command);
        let ready = process.read_until("ready ", START_BOUND);
        (process, ready)
    }))
}

/// A program of ours, which cargo puts beside this one.
pub(crate) fn beside_us(name: &str) -> Result<std::path::PathBuf, Failure> {
    let us = std::env::current_exe()
        .map_err(|error| Exit::Internal.with(format!("this program cannot be found: {error}")))?;
    let found = us.with_file_name(name);
    match found.is_file() {
        true => Ok(found),
        false => Err(Exit::Unavailable.with(format!(
            "there is no {}; build it with `cargo build{} -p {name} -p rcs-bench`",
            found.display(),
            if cfg!(debug_assertions) { "" } else { " --release" }
        ))),
    }
}

/// Keeps the members' state up to date.
async fn look(admin: SocketAddr, seen: watch::Sender<Sight>) {
    loop {
        if let Some(sight) = http(admin, "GET", "/v1/members").await.and_then(|(_, text)| sight(&text)) {
            seen.send_replace(sight);
        }
        sleep(LOOK_EVERY).await;
    }
}

fn sight(text: &str) -> Option<Sight> {
    let document: Value = serde_json::from_str(text).ok()?;
    // A list, or one in an object.
    let rows = document.as_array().or_else(|| document.get("members")?.as_array())?;
    let column = |name: &str| -> Option<BTreeMap<String, String>> {
        let text = |row: &Value, name: &str| Some(row.get(name)?.as_str()?.to_owned());
        rows.iter().map(|row| Some((text(row, "name")?, text(row, name)?))).collect()
    };
    Some(Sight { at: Instant::now(), health: column("health")?, marks: column("admin_state")? })
}

/// One HTTP request without a body: status and body of its answer.
pub(crate) async fn http(server: SocketAddr, method: &str, path: &str) -> Option<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(HTTP_BOUND, exchange).await.ok()?.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
