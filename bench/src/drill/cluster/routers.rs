//! The routers of a cluster as processes on loopback.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_rig::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::audit::{Entry, entries};
use super::false_clock::FalseClock;
use super::relays::Relays;
use super::servers::Servers;
use super::small_disk::SmallDisk;
use super::writers::{WRITERS, WRITTEN_GROUP};
use super::{Agreeing, LOOK_EVERY, STATE_BOUND};
use crate::drill::members::Members;
use crate::drill::proxy::Dialler;
use crate::drill::router::{beside_us, http};
use crate::drill::site::{Files, Site, SitePlan};

/// Until it listens.
const START_BOUND: Duration = Duration::from_secs(15);
/// A port at which nobody answers.
const DEAD_PORT: u16 = 1;

/// How a router comes into the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joins {
    /// It makes the cluster with all others.
    Peers,
    /// It is a cluster of one.
    Alone,
    /// It waits to be added.
    Added,
}

/// Routers at numbered places; the one at place 0 has the number 1. They die with this value.
pub(crate) struct Routers {
    folder: PathBuf,
    files: Files,
    /// Where routers listen for each other.
    listens: Vec<SocketAddr>,
    /// Where routers reach each other.
    addresses: Vec<SocketAddr>,
    running: Vec<Option<Running>>,
    servers: Servers,
    /// Where callers and members in client mode connect.
    doors: Servers,
    /// What is between the routers, if it is not the loopback itself.
    relays: Option<Relays>,
    /// A router's own clock.
    clocks: BTreeMap<usize, FalseClock>,
    /// A router's own disk. Behind `running`, as a router ends before its disk goes away.
    disks: BTreeMap<usize, SmallDisk>,
}

struct Running {
    /// Ends the process with this value.
    process: Process,
    listen: SocketAddr,
    admin: SocketAddr,
}

/// What is between the routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    Relays,
}

/// Members and so many routers of which none runs yet, and members without a server that writers change.
pub(crate) async fn cluster_site(
    kind: &Members,
    routers: usize,
    seed: u64,
) -> Result<Site<Routers>, Failure> {
    site_with(kind, routers, plan(3), seed, Between::Nothing).await
}

/// The same with so many members.
pub(crate) async fn cluster_site_of(
    kind: &Members,
    routers: usize,
    members: usize,
    seed: u64,
) -> Result<Site<Routers>, Failure> {
    site_with(kind, routers, plan(members), seed, Between::Nothing).await
}

/// The same with [`Relays`] between the routers.
pub(crate) async fn relayed_site(
    kind: &Members,
    routers: usize,
    seed: u64,
) -> Result<Site<Routers>, Failure> {
    site_with(kind, routers, plan(3), seed, Between::Relays).await
}

fn plan(members: usize) -> SitePlan {
    let beside = (1..=WRITERS).map(|number| (format!("w{number}"), DEAD_PORT)).collect();
    SitePlan { members, java_members: 2, beside, group_beside: Some(WRITTEN_GROUP), ..SitePlan::default() }
}

async fn site_with(
    kind: &Members,
    routers: usize,
    plan: SitePlan,
    seed: u64,
    between: Between,
) -> Result<Site<Routers>, Failure> {
    let (site, files) = Site::prepare(kind, plan, seed).await?;
    let folder = site.folder().to_owned();
    let running = (0..routers).map(|_| None).collect();
    let listens = free_addresses(routers)?;
    let relays = match between {
        Between::Nothing => None,
        Between::Relays => Some(
            Relays::start(&listens)
                .await
                .map_err(|error| Exit::Unavailable.with(format!("no relay between routers: {error}")))?,
        ),
    };
    let addresses = relays.as_ref().map_or(listens.clone(), |relays| relays.addresses().to_vec());
    let routers = Routers {
        folder,
        files,
        listens,
        addresses,
        running,
        servers: Servers::default(),
        doors: Servers::default(),
        relays,
        clocks: BTreeMap::new(),
        disks: BTreeMap::new(),
    };
    let certificates = routers.path("certificates");
    routers.command(&["init", "--peers", &routers.peers(), "--dir", &certificates]).await?;
    let site = site.with(routers);
    if kind.dialler() == Dialler::Member {
        // A member whose router dies is led to the next one, as by a load balancer. So while one router is down the others have members.
        for (number, member) in site.members.iter().enumerate() {
            member.proxy().lead_to_one_of(site.router().doors.clone(), number % site.router().listens.len());
        }
    }
    Ok(site)
}

/// Addresses that nobody has now.
pub(super) fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let listen = || TcpListener::bind("127.0.0.1:0").and_then(|held| held.local_addr().map(|at| (held, at)));
    let held: Result<Vec<_>, _> = (0..count).map(|_| listen()).collect();
    let held = held.map_err(|error| Exit::Unavailable.with(format!("no free port: {error}")))?;
    Ok(held.into_iter().map(|(_, address)| address).collect())
}

impl Routers {
    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn peers(&self) -> String {
        let each =
            self.addresses.iter().enumerate().map(|(place, address)| format!("{}={address}", place + 1));
        each.collect::<Vec<_>>().join(",")
    }

    /// Where their admin addresses are.
    pub(crate) fn servers(&self) -> Servers {
        self.servers.clone()
    }

    /// Places of routers that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        self.servers.running()
    }

    /// The admin address of the router at this place.
    pub(crate) fn admin(&self, place: usize) -> Result<SocketAddr, Failure> {
        self.servers.get(place).ok_or_else(|| down(place))
    }

    /// The port of callers of the router at this place.
    pub(crate) fn port(&self, place: usize) -> Result<u16, Failure> {
        self.running[place].as_ref().map(|router| router.listen.port()).ok_or_else(|| down(place))
    }

    /// What is between the routers.
    pub(crate) fn relays(&self) -> Result<&Relays, Failure> {
        self.relays.as_ref().ok_or_else(|| Exit::Internal.with("there is nothing between these routers"))
    }

    /// Gives the router at this place, which does not run yet, a disk of its own. Returns false if this process may not mount one.
    pub(crate) fn give_disk(&mut self, place: usize) -> Result<bool, Failure> {
        let disk = SmallDisk::mount(&self.data(place))?;
        Ok(disk.map(|disk| self.disks.insert(place, disk)).is_some())
    }

    /// The disk of the router at this place, if it has one of its own.
    pub(crate) fn disk(&self, place: usize) -> Option<&SmallDisk> {
        self.disks.get(&place)
    }

    /// Gives the router at this place, which does not run yet, a clock of its own. Returns false if this machine has no library for it.
    pub(crate) fn give_clock(&mut self, place: usize) -> Result<bool, Failure> {
        let clock = FalseClock::find(&self.folder.join(format!("clock-{}", place + 1)))?;
        Ok(clock.map(|clock| self.clocks.insert(place, clock)).is_some())
    }

    /// The clock of the router at this place, if it has one of its own.
    pub(crate) fn clock(&self, place: usize) -> Option<&FalseClock> {
        self.clocks.get(&place)
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self, place: usize) -> Result<(), Failure> {
        self.running[place].as_ref().map(|router| router.process.freeze()).ok_or_else(|| down(place))
    }

    /// Nobody asks the router at this place for anything until it is thawed.
    pub(crate) fn leave_alone(&self, place: usize) {
        self.servers.set(place, None);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self, place: usize) -> Result<(), Failure> {
        let router = self.running[place].as_ref().ok_or_else(|| down(place))?;
        router.process.thaw();
        self.servers.set(place, Some(router.admin));
        Ok(())
    }

    fn data(&self, place: usize) -> PathBuf {
        self.folder.join(format!("data-{}", place + 1))
    }

    /// Starts the router at this place; comes back when it listens.
    pub(crate) fn start(&mut self, place: usize, joins: Joins) -> Result<(), Failure> {
        let number = place + 1;
        let internal = |error: std::io::Error| Exit::Internal.with(format!("no place for files: {error}"));
        let data = self.data(place);
        std::fs::create_dir_all(&data).map_err(internal)?;
        let log = self.folder.join(format!("router-{number}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).map_err(internal)?;
        let mut command = Command::new(beside_us("rcs-router")?);
        command.arg("serve").arg("--provider").arg(&self.files.provider);
        command.arg("--config").arg(&self.files.config).env_remove("RCS_LOG");
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--dev", "--data-dir"]).arg(&data);
        command.args(["--id", &number.to_string(), "--cluster", &self.listens[place].to_string()]);
        command.args(["--cluster-certs", &self.path("certificates")]);
        if let Some(clock) = self.clocks.get(&place) {
            command.envs(clock.variables());
        }
        match joins {
            Joins::Peers => drop(command.args(["--peers", &self.peers()])),
            Joins::Alone => {}
            Joins::Added => drop(command.arg("--join")),
        }
        let (process, ready) = block_in_place(|| {
            let process = Process::start_logging_to(&format!("router-{number}"), command, Stdio::from(log));
            let ready = process.read_until("ready ", START_BOUND);
            (process, ready)
        });
        let address = |key: &str| {
            let word = ready.split(' ').find_map(|word| word.strip_prefix(key));
            let address = word.and_then(|address| address.parse::<SocketAddr>().ok());
            address.ok_or_else(|| Exit::Internal.with(format!("no {key}ADDR from the router: {ready}")))
        };
        let (listen, admin) = (address("listen=")?, address("admin=")?);
        if let Some(relays) = &self.relays {
            relays.belongs(place, Some(process.pid()));
        }
        self.running[place] = Some(Running { process, listen, admin });
        self.servers.set(place, Some(admin));
        self.doors.set(place, Some(listen));
        Ok(())
    }

    /// Takes away what the router at this place, which does not run, has stored.
    pub(crate) fn wipe(&self, place: usize) -> Result<(), Failure> {
        let data = self.data(place);
        std::fs::remove_dir_all(&data)
            .map_err(|error| Exit::Internal.with(format!("{} cannot be removed: {error}", data.display())))
    }

    /// `rcs-router cluster CHANGE N[=ADDRESS]`, at the router at `by`.
    pub(crate) async fn change(&self, by: usize, change: &str, place: usize) -> Result<(), Failure> {
        let server = format!("http://{}", self.admin(by)?);
        let router = match change {
            "add" | "replace" => format!("{}={}", place + 1, self.addresses[place]),
            _ => (place + 1).to_string(),
        };
        self.command(&[change, &router, "--server", &server]).await
    }

    async fn command(&self, words: &[&str]) -> Result<(), Failure> {
        let mut command = Command::new(beside_us("rcs-router")?);
        command.arg("cluster").args(words).stdin(Stdio::null());
        let words = words.join(" ");
        let failed = |why: String| Exit::Unavailable.with(format!("rcs-router cluster {words}: {why}"));
        let ran =
            spawn_blocking(move || command.output()).await.map_err(|error| failed(error.to_string()))?;
        let ran = ran.map_err(|error| failed(error.to_string()))?;
        match ran.status.success() {
            true => Ok(()),
            false => Err(failed(String::from_utf8_lossy(&ran.stderr).into_owned())),
        }
    }

    /// What the router at this place says of the cluster.
    pub(crate) async fn status(&self, place: usize) -> Option<Value> {
        let (_, text) = http(self.servers.get(place)?, "GET", "/v1/cluster").await?;
        serde_json::from_str(&text).ok()
    }

    /// Waits until every member of the drill's group is up for the router at this place, and until it has all that the leader has now.
    pub(crate) async fn until_caught_up(&self, place: usize) -> Result<(), Failure> {
        let leader = self.leader().await?;
        let goal = self.status(leader).await.and_then(|status| status["applied"].as_u64()).unwrap_or(0);
        let end = Instant::now() + STATE_BOUND;
        loop {
            let applied = self.status(place).await.and_then(|status| status["applied"].as_u64());
            let up = self.members(place).await.iter().filter(|(_, (health, _))| health == "up").count();
            if applied.is_some_and(|applied| applied >= goal) && up >= 2 {
                return Ok(());
            }
            if Instant::now() > end {
                let why = format!("router {} has {applied:?} of {goal}, and {up} members up", place + 1);
                return Err(Exit::Unavailable.with(why));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until all these members get calls from every router that runs. Returns false if they do not in time.
    pub(crate) async fn until_used_by_all(&self, members: usize) -> bool {
        let end = Instant::now() + STATE_BOUND;
        loop {
            let mut all = true;
            for place in self.running() {
                let up = self.members(place).await.values().filter(|(health, _)| health == "up").count();
                all &= up >= members;
            }
            if all || Instant::now() > end {
                return all;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The names of the members that are connected to the router at this place.
    pub(crate) async fn connected_to(&self, place: usize) -> Vec<String> {
        let Some(server) = self.servers.get(place) else { return Vec::new() };
        let answer = http(server, "GET", "/v1/members").await;
        let rows =
            answer.and_then(|(_, text)| serde_json::from_str::<Vec<Value>>(&text).ok()).unwrap_or_default();
        let is_here = |row: &&Value| row["health"] == "up" && row["via"].is_null();
        rows.iter().filter(is_here).filter_map(|row| Some(row["name"].as_str()?.to_owned())).collect()
    }

    /// Something that kills the router at this place at once, whoever calls it.
    pub(crate) fn killer(&self, place: usize) -> impl FnOnce() + Send + 'static {
        let pid =
            self.running[place].as_ref().and_then(|router| Pid::from_raw(router.process.pid().cast_signed()));
        move || {
            // The process is not waited for before this was called or dropped, so the id is still its own.
            if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Members, with health and mark, as the router at this place shows them.
    async fn members(&self, place: usize) -> BTreeMap<String, (String, String)> {
        let Some(server) = self.servers.get(place) else { return BTreeMap::new() };
        let answer = http(server, "GET", "/v1/members").await;
        let rows =
            answer.and_then(|(_, text)| serde_json::from_str::<Vec<Value>>(&text).ok()).unwrap_or_default();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let pair = |row: &Value| (text(row, "name"), (text(row, "health"), text(row, "admin_state")));
        rows.iter().map(pair).collect()
    }

    /// Waits until all routers that run show the same revision, marks and audit log; none if they do not in time.
    pub(crate) async fn until_equal(&self) -> bool {
        let end = Instant::now() + STATE_BOUND;
        loop {
            let mut states = Vec::new();
            for place in self.running() {
                states.push(self.state(place).await);
            }
            let is_equal = states.windows(2).all(|pair| pair[0] == pair[1]);
            if is_equal && states.iter().all(Option::is_some) {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn state(&self, place: usize) -> Option<(u64, BTreeMap<String, String>, Vec<Entry>)> {
        let revision = self.status(place).await?["revision"].as_u64()?;
        // How far draining is depends on calls, the mark does not.
        let mark =
            |(name, (_, mark)): (String, (String, String))| (name, mark.replace("drained", "draining"));
        let marks = self.members(place).await.into_iter().map(mark).collect();
        Some((revision, marks, entries(self.servers.get(place)?).await?))
    }
}

impl Agreeing for Routers {
    async fn leader(&self) -> Result<usize, Failure> {
        let end = Instant::now() + STATE_BOUND;
        while Instant::now() < end {
            let mut leaders = Vec::new();
            for place in self.running() {
                let status = self.status(place).await;
                let status = status.filter(|status| status["role"] == "leader");
                leaders.extend(status.and_then(|status| Some((status["term"].as_u64()?, place))));
            }
            if let Some((_, place)) = leaders.into_iter().max() {
                return Ok(place);
            }
            sleep(LOOK_EVERY).await;
        }
        Err(Exit::Unavailable.with("the cluster has no leader"))
    }

    fn kill(&mut self, place: usize) {
        self.servers.set(place, None);
        self.doors.set(place, None);
        if let Some(relays) = &self.relays {
            relays.belongs(place, None);
        }
        block_in_place(|| drop(self.running[place].take()));
    }

    async fn revive(&mut self, place: usize) -> Result<(), Failure> {
        self.start(place, Joins::Peers)?;
        self.until_caught_up(place).await
    }
}

fn down(place: usize) -> Failure {
    Exit::Internal.with(format!("router {} does not run", place + 1))
}
