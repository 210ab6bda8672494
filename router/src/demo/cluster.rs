//! `rcs-router demo --routers 3`: three routers that form a cluster. The router that leads is killed, then a node, while users are read
//! through all routers and a mark is set again and again. An identity system with an entry for each router does what the readers do:
//! when its router is gone, it asks the next one.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rcs_consensus::pki::{Authority, Existing};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use super::children::{Children, Router};
use super::files::{self, Files, GROUP, NODES};
use super::idm::{Idm, User};
use super::{DemoError, await_members_up, http, system};
use crate::limits::DEMO_START_MAX;

/// The routers, by number from 1.
const ROUTERS: [&str; 3] = ["router-1", "router-2", "router-3"];
/// Readers at a time.
const READERS: usize = 12;
/// Reads that the run must have made.
const READS_MIN: u64 = 2_000;
/// When the leader is killed, when a node is killed, and the end if enough was read by then.
const KILL_LEADER: Duration = Duration::from_millis(1_500);
const KILL_NODE: Duration = Duration::from_millis(3_000);
const RUN: Duration = Duration::from_secs(5);
const RUN_MAX: Duration = Duration::from_secs(25);
/// A read without an answer for this time counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(5);
/// A pause between two changes that a cluster may need to elect a leader, on a busy machine.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Nobody is killed.
const NOBODY: usize = usize::MAX;

/// Runs the demo with three routers.
///
/// # Errors
/// [`DemoError`]
pub(super) async fn show(files: &Files, children: &mut Children) -> Result<(), DemoError> {
    rcs_cli::say("starting three nodes and three routers ...");
    let mut nodes = Vec::new();
    for name in NODES {
        nodes.push(children.start_node(files, name, 0).await?);
    }
    files.write_provider(&nodes).map_err(system("write the provider document"))?;
    let routers = start(files, children).await?;
    let leader = leader_of(&routers, NOBODY).await?;
    for router in &routers {
        await_members_up(router.admin, nodes.len()).await?;
    }
    for (place, router) in routers.iter().enumerate() {
        let role = if place == leader { ", the leader" } else { "" };
        rcs_cli::say(format_args!("  {:10}ws://{}/openicf/{GROUP}{role}", ROUTERS[place], router.listen));
    }
    let mut idms = Vec::new();
    for router in &routers {
        idms.push(Idm::connect(router.listen, &files.csv).await?);
    }
    let users = idms.first().expect("there are three").users().await?;
    rcs_cli::say(format_args!(
        "\n{} users are read through all three while {} is killed (SIGKILL), then node {}:",
        users.len(),
        ROUTERS[leader],
        NODES[1]
    ));
    let run = Arc::new(Run::new(idms, users, routers.clone()));
    let mut tasks = JoinSet::new();
    for reader in 0..READERS {
        tasks.spawn(read_on(Arc::clone(&run), reader));
    }
    tasks.spawn(change_on(Arc::clone(&run)));
    conduct(&run, leader, children).await?;
    while tasks.join_next().await.is_some() {}
    let next = leader_of(&routers, leader).await?;
    judge(&run, leader, next).await
}

/// Makes the certificates and starts the routers.
async fn start(files: &Files, children: &mut Children) -> Result<Vec<Router>, DemoError> {
    let failed = |error: &dyn std::fmt::Display| DemoError::NotStarted {
        name: "the cluster".to_owned(),
        reason: error.to_string(),
    };
    let addresses = free_addresses().map_err(system("find free ports"))?;
    let certificates = files.folder().join("certs");
    let authority = Authority::init("rcs-router demo").map_err(|error| failed(&error))?;
    authority.write(&certificates).map_err(|error| failed(&error))?;
    let mut list = Vec::new();
    for (number, address) in (1..).zip(&addresses) {
        let issued = authority.issue(number, &[address.ip().to_string()], Duration::from_secs(86_400));
        let written = issued.and_then(|issued| issued.write(&certificates, Existing::Keep));
        written.map_err(|error| failed(&error))?;
        list.push(format!("{number}={address}"));
    }
    let peers = list.join(",");
    let mut routers = Vec::new();
    for ((number, address), name) in (1..).zip(&addresses).zip(ROUTERS) {
        let data = files.folder().join(name);
        std::fs::create_dir(&data).map_err(system("make a data directory"))?;
        let (id, address): (i32, _) = (number, address.to_string());
        let (id, certs, data) = (id.to_string(), files::text(&certificates), files::text(&data));
        let more = [
            "--id",
            &id,
            "--cluster",
            &address,
            "--peers",
            &peers,
            "--cluster-certs",
            &certs,
            "--data-dir",
            &data,
        ];
        routers.push(children.start_router(files, name, &more).await?);
    }
    Ok(routers)
}

/// Ports that are free now.
fn free_addresses() -> std::io::Result<Vec<SocketAddr>> {
    let held: Vec<TcpListener> =
        ROUTERS.iter().map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    held.iter().map(TcpListener::local_addr).collect()
}

/// The place of the router that leads, other than this one.
async fn leader_of(routers: &[Router], gone: usize) -> Result<usize, DemoError> {
    let deadline = Instant::now() + DEMO_START_MAX;
    while Instant::now() < deadline {
        for router in routers.iter().enumerate().filter(|(place, _)| *place != gone).map(|(_, router)| router)
        {
            let Ok(answer) = http::get(router.admin, "/v1/cluster").await else { continue };
            let seen: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let leader =
                seen["leader"].as_u64().and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
            match leader {
                Some(place) if place != gone && place < routers.len() => return Ok(place),
                _ => {}
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(DemoError::NotStarted {
        name: "the cluster".to_owned(),
        reason: "it elected no leader in time".to_owned(),
    })
}

struct Run {
    idms: Vec<Idm>,
    users: Vec<User>,
    routers: Vec<Router>,
    /// Reads answered, by router.
    answered: [AtomicU64; 3],
    /// Reads that ended with the killed router and were asked again at the next one.
    again: AtomicU64,
    hung: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
    /// Changes that were agreed.
    changes: AtomicU64,
    /// The longest time between two changes that were agreed.
    pause: Mutex<Duration>,
    /// The place of the killed router.
    killed: AtomicUsize,
    stop: AtomicBool,
}

impl Run {
    fn new(idms: Vec<Idm>, users: Vec<User>, routers: Vec<Router>) -> Self {
        Self {
            idms,
            users,
            routers,
            answered: Default::default(),
            again: AtomicU64::new(0),
            hung: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            failures: Mutex::default(),
            changes: AtomicU64::new(0),
            pause: Mutex::default(),
            killed: AtomicUsize::new(NOBODY),
            stop: AtomicBool::new(false),
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The router for a turn, without the killed one.
    fn router(&self, turn: usize) -> usize {
        let place = turn % self.idms.len();
        if place == self.killed.load(Ordering::Relaxed) { (place + 1) % self.idms.len() } else { place }
    }

    fn reads(&self) -> u64 {
        self.answered.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    fn fail(&self, why: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner).entry(why).or_default() += 1;
    }

    /// Reads one user, at another router if the first one is gone.
    async fn read(&self, turn: usize) {
        let Some(wanted) = self.users.get(turn % self.users.len()) else { return };
        let mut place = self.router(turn);
        for _ in 0..2 {
            match timeout(HUNG_AFTER, self.idms[place].read(&wanted.uid)).await {
                Ok(Ok(user)) if user == *wanted => {
                    self.answered[place].fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Ok(Ok(_)) => return self.fail("another user was read".to_owned()),
                Ok(Err(_)) if place == self.killed.load(Ordering::Relaxed) => {
                    self.again.fetch_add(1, Ordering::Relaxed);
                    place = self.router(turn);
                }
                Ok(Err(failure)) => return self.fail(failure),
                Err(_) => {
                    self.hung.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        }
        self.fail("the next router was gone, too".to_owned());
    }
}

async fn read_on(run: Arc<Run>, reader: usize) {
    let mut turn = reader;
    while !run.is_over() {
        run.read(turn).await;
        turn += READERS + 1;
    }
}

/// Sets a mark again and again, at one router after the other, and measures the longest pause.
async fn change_on(run: Arc<Run>) {
    let path = format!("/v1/groups/{GROUP}/members/{}/enable", NODES[0]);
    let (mut turn, mut last) = (0, Instant::now());
    while !run.is_over() {
        turn += 1;
        let admin = run.routers[run.router(turn)].admin;
        if http::post(admin, &path).await.is_ok_and(|answer| answer.status == 200) {
            run.changes.fetch_add(1, Ordering::Relaxed);
            let mut pause = run.pause.lock().unwrap_or_else(PoisonError::into_inner);
            *pause = last.elapsed().max(*pause);
            last = Instant::now();
        }
    }
}

/// Kills when it is time, shows how far the run is, and stops the readers.
async fn conduct(run: &Run, leader: usize, children: &mut Children) -> Result<(), DemoError> {
    let (begin, mut node_runs) = (Instant::now(), true);
    let mut ticks = interval(Duration::from_millis(100));
    let mut shown = 0;
    loop {
        ticks.tick().await;
        let elapsed = begin.elapsed();
        if elapsed >= KILL_LEADER && run.killed.load(Ordering::Relaxed) == NOBODY {
            run.killed.store(leader, Ordering::Relaxed);
            children.kill(ROUTERS[leader]).map_err(system("kill a router"))?;
        }
        if elapsed >= KILL_NODE && node_runs {
            node_runs = false;
            children.kill(NODES[1]).map_err(system("kill a node"))?;
        }
        if elapsed.as_secs() >= shown {
            shown = elapsed.as_secs() + 1;
            let state = match (run.killed.load(Ordering::Relaxed), node_runs) {
                (NOBODY, _) => "three routers, three nodes",
                (_, true) => "two routers, the leader is killed",
                (_, false) => "two routers, two nodes",
            };
            let wrong = run.failed.load(Ordering::Relaxed) + run.hung.load(Ordering::Relaxed);
            rcs_cli::say(format_args!(
                "  {:4.1} s  {:6} reads, {wrong} failed  ({state})",
                elapsed.as_secs_f64(),
                run.reads()
            ));
        }
        if (elapsed >= RUN && run.reads() >= READS_MIN) || elapsed >= RUN_MAX {
            run.stop.store(true, Ordering::Relaxed);
            return Ok(());
        }
    }
}

async fn judge(run: &Run, killed: usize, next: usize) -> Result<(), DemoError> {
    rcs_cli::say(format_args!("\nrouter      reads answered"));
    for (place, name) in ROUTERS.iter().enumerate() {
        let note = match place {
            place if place == killed => "   led, killed",
            place if place == next => "   leads now",
            _ => "",
        };
        rcs_cli::say(format_args!("{name:10}{:16}{note}", run.answered[place].load(Ordering::Relaxed)));
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (hung, failed) = (count(&run.hung), count(&run.failed));
    let pause = *run.pause.lock().unwrap_or_else(PoisonError::into_inner);
    rcs_cli::say(format_args!(
        "\n{} reads: {failed} failed, {hung} hung, {} asked again at the next router\n\
         {} changes agreed; the longest pause between two was {:.1} s",
        run.reads(),
        count(&run.again),
        count(&run.changes),
        pause.as_secs_f64()
    ));
    let mut broken = Vec::new();
    let failures = run.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (kept, what) in [
        (failed == 0, format!("{failed} reads failed: {failures:?}")),
        (hung == 0, format!("{hung} reads hung")),
        (
            run.reads() >= READS_MIN,
            format!("only {} reads were made, at least {READS_MIN} are needed", run.reads()),
        ),
        (count(&run.changes) > 0 && pause <= PAUSE_MAX, format!("nothing could be changed for {pause:?}")),
    ] {
        if !kept {
            broken.push(what);
        }
    }
    if broken.is_empty() {
        rcs_cli::say("every read was answered");
        return Ok(());
    }
    Err(DemoError::Broken(broken))
}
