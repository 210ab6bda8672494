//! What networks, disks and clocks do to one of three routers while it lives: under calls at every router, and some 20 writes a second.
//!
//! One after the other, and each undone again: all traffic between the leader and the others is swallowed, then only what reaches the leader,
//! then only what the leader sends; the same for a follower; the leader stands still (SIGSTOP); the clock of one router jumps by an hour, to
//! and fro; the disk of one router is full.
//!
//! Promised: no call fails because of any of it, but for calls at the router that stands still; the other two routers accept writes before the
//! damage is undone; no acknowledged write is lost; no term has two leaders; a router with a full disk says so; at the end all routers have
//! the same state.

use std::time::Duration;

use rcs_cli::{Exit, Failure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::super::cluster::{
    Agreeing as _, Auditor, Callers, Cut, LOOK_EVERY, Routers, STATE_BOUND, Window, Witness, Writers,
    longest_pauses, relayed_site, until_dated,
};
use super::super::members::Members;
use super::super::report::Findings;
use super::super::router::http;
use super::super::site::Site;
use super::Scope;
use super::writes::{Wrote, conclude};

const ROUTERS: usize = 3;
/// The router, by place, whose clock is set.
const CLOCK_OF: usize = 1;
/// The router, by place, whose disk is filled.
const DISK_OF: usize = 2;
/// How far a clock jumps, seconds.
const JUMP: i64 = 60 * 60;
/// How long a router that is asked for nothing stands still before it is taken off the lists: some requests are under way at it.
const UNDER_WAY: Duration = Duration::from_millis(200);
/// The longest time without an acknowledged write. A leader that hears nobody gives up after some 3 s, when pings on its connections are not
/// answered, and an election follows.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// What the status of a router with a full disk says.
const SENTENCE: &str = "the consensus part of this router does not run";

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = relayed_site(members, ROUTERS, seed).await?;
    let has_disk = site.router_mut().give_disk(DISK_OF)?;
    let has_clock = site.router_mut().give_clock(CLOCK_OF)?;
    let callers = Callers::at_all(&mut site, ROUTERS).await?;
    let servers = site.router().servers();
    let witness = Witness::start(&servers, ROUTERS);
    let writers = Writers::start_slow(servers.clone(), &mut site.dice);
    let auditor = Auditor::start(servers, fastrand::Rng::with_seed(site.dice.u64(..)));
    let began = Instant::now();
    let mut damage = Damage { site, callers, writers, hold: scope.time(2, 15), done: Vec::new() };

    for (role, cut) in [
        (Role::Leader, Cut::Both),
        (Role::Leader, Cut::Incoming),
        (Role::Leader, Cut::Outgoing),
        (Role::Follower, Cut::Both),
        (Role::Follower, Cut::Incoming),
        (Role::Follower, Cut::Outgoing),
    ] {
        damage.cut(role, cut).await?;
    }
    damage.freeze(scope.time(5, 30)).await?;
    if has_clock {
        damage.jump().await?;
    }
    if has_disk {
        damage.fill_disk().await?;
    }

    let Damage { site, callers, writers, done, .. } = damage;
    let windows = done.iter().map(|part| part.window).collect();
    let wrote = Wrote { told: writers.finish().await, windows, took: began.elapsed() };
    let mut findings = conclude(&site, &wrote, auditor, callers).await?;
    witness.finish(&mut findings);
    judge(&mut findings, &done, &longest_pauses(&wrote.told.writes, &wrote.windows));
    for (is_done, what, why) in [
        (has_clock, "clock_jump", "libfaketime is not installed"),
        (has_disk, "disk_full", "mounting a small disk takes the rights of root"),
    ] {
        if !is_done {
            findings.figure(&format!("{what}_left_out"), why);
        }
    }
    if !findings.passed() {
        findings.figure("files", site.keep());
    }
    Ok(findings)
}

fn judge(findings: &mut Findings, done: &[Part], pauses: &[Duration]) {
    let mut figures = serde_json::Map::new();
    for (part, pause) in done.iter().zip(pauses) {
        let Part { what, was_writable, seen, .. } = part;
        findings.fault(what, 1);
        findings.require(*was_writable, format!("{what}: the other routers accepted no write"));
        findings.require(
            *pause <= PAUSE_MAX,
            format!("{what}: writes paused for {pause:?}, more than {PAUSE_MAX:?}"),
        );
        for complaint in &part.complaints {
            findings.require(false, format!("{what}: {complaint}"));
        }
        figures.insert(what.clone(), json!({ "write_pause_ms": pause.as_millis() as u64, "seen": seen }));
    }
    findings.figure("parts", figures);
}

/// Which router something is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Leader,
    Follower,
}

impl Role {
    const fn label(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
        }
    }
}

/// One thing that was done, and undone again.
struct Part {
    what: String,
    window: Window,
    /// Whether a write was acknowledged that began when the damage was there.
    was_writable: bool,
    /// What else is worth a figure.
    seen: Value,
    complaints: Vec<String>,
}

/// The cluster, and what is done to it.
struct Damage {
    site: Site<Routers>,
    callers: Callers,
    writers: Writers,
    /// How long damage lasts at least.
    hold: Duration,
    done: Vec<Part>,
}

impl Damage {
    /// Waits while damage is there: until writes are accepted again, and then for the rest of its time. Returns whether they were.
    async fn last(&self, from: Instant) -> bool {
        let was_writable = self.writers.until_acknowledged_since(from, STATE_BOUND).await;
        sleep_until(from + self.hold).await;
        was_writable
    }

    /// The damage to the router at this place is undone: waits until the router is one of the cluster again, and all accept writes.
    async fn undone(&mut self, part: Part, place: usize) -> Result<(), Failure> {
        self.site.router().until_caught_up(place).await?;
        let now = Instant::now();
        self.writers.until_acknowledged_since(now, STATE_BOUND).await;
        let window = Window { from: part.window.from, to: Instant::now() };
        self.done.push(Part { window, ..part });
        Ok(())
    }

    async fn place(&mut self, role: Role) -> Result<usize, Failure> {
        let leader = self.site.router().leader().await?;
        let others: Vec<usize> = (0..ROUTERS).filter(|place| *place != leader).collect();
        Ok(match role {
            Role::Leader => leader,
            Role::Follower => self.site.dice.choice(&others).copied().unwrap_or(leader),
        })
    }

    /// Swallows this traffic of the leader, or of a follower.
    async fn cut(&mut self, role: Role, cut: Cut) -> Result<(), Failure> {
        let place = self.place(role).await?;
        let from = Instant::now();
        self.site.router().relays()?.cut(place, cut);
        let was_writable = self.last(from).await;
        self.site.router().relays()?.heal();
        let part = Part {
            what: format!("{}_{}", role.label(), cut.label()),
            window: Window { from, to: Instant::now() },
            was_writable,
            seen: Value::Null,
            complaints: Vec::new(),
        };
        self.undone(part, place).await
    }

    /// The leader stands still for a time. It has to follow the leader that the others have elected.
    async fn freeze(&mut self, time: Duration) -> Result<(), Failure> {
        let place = self.place(Role::Leader).await?;
        self.callers.before_kill(place);
        let from = Instant::now();
        self.site.router().freeze(place)?;
        sleep(UNDER_WAY).await;
        self.site.router().leave_alone(place);
        let was_writable = self.writers.until_acknowledged_since(from + UNDER_WAY, STATE_BOUND).await;
        self.callers.after_kill(place).await;
        sleep_until(from + time).await;
        let thawed = Instant::now();
        self.site.router().thaw(place)?;
        let mut complaints = Vec::new();
        let follows_after = match self.until(place, |status| status["role"] == "follower").await {
            Some(_) => Some(thawed.elapsed().as_millis() as u64),
            None => {
                complaints.push("the router that led does not follow".to_owned());
                None
            }
        };
        self.site.router().until_caught_up(place).await?;
        self.callers.start(&mut self.site, place).await?;
        let part = Part {
            what: "leader_stands_still".to_owned(),
            window: Window { from, to: thawed },
            was_writable,
            seen: json!({ "stood_for_ms": (thawed - from).as_millis() as u64, "follows_after_ms": follows_after }),
            complaints,
        };
        self.undone(part, place).await
    }

    /// The clock of one router goes an hour ahead, an hour behind, and right again.
    async fn jump(&mut self) -> Result<(), Failure> {
        let router = self.site.router();
        let clock = router.clock(CLOCK_OF).ok_or_else(|| Exit::Internal.with("router 2 has no clock"))?;
        let was = role(router, CLOCK_OF).await;
        let (from, mut was_writable, mut jumps) = (Instant::now(), true, 0);
        let mut complaints = Vec::new();
        for seconds in [JUMP, -JUMP] {
            let jumped = Instant::now();
            clock.set(seconds)?;
            match until_dated(router.admin(CLOCK_OF)?, seconds, STATE_BOUND).await {
                true => jumps += 1,
                false => complaints.push(format!("no change at router 2 is dated {seconds:+} s off")),
            }
            was_writable &= self.last(jumped).await;
        }
        clock.set(0)?;
        let part = Part {
            what: "clock_jump".to_owned(),
            window: Window { from, to: Instant::now() },
            was_writable,
            seen: json!({ "jumps": jumps, "role_of_router": was }),
            complaints,
        };
        self.undone(part, CLOCK_OF).await
    }

    /// The disk of one router is full for a time.
    async fn fill_disk(&mut self) -> Result<(), Failure> {
        let router = self.site.router();
        let disk = router.disk(DISK_OF).ok_or_else(|| Exit::Internal.with("router 3 has no disk"))?;
        let was = role(router, DISK_OF).await;
        let from = Instant::now();
        disk.fill()?;
        let mut complaints = Vec::new();
        let down = self.until(DISK_OF, |status| status["role"] == "down").await;
        let (down_after, why) = match &down {
            Some(status) => (Some(from.elapsed().as_millis() as u64), status["reason"].clone()),
            None => (None, Value::Null),
        };
        if down.is_none() {
            complaints.push("the router with the full disk does not say that it takes no part".to_owned());
        }
        if !self.warns(DISK_OF).await {
            complaints.push(format!("the router's status does not say {SENTENCE:?}"));
        }
        let was_writable = self.last(Instant::now()).await;
        disk.make_room()?;
        let room = Instant::now();
        self.site.router().until_caught_up(DISK_OF).await?;
        let part = Part {
            what: "disk_full".to_owned(),
            window: Window { from, to: room },
            was_writable,
            seen: json!({ "role_of_router": was, "down_after_ms": down_after, "why": why,
                "back_after_ms": room.elapsed().as_millis() as u64 }),
            complaints,
        };
        self.undone(part, DISK_OF).await
    }

    /// What the router at this place says of the cluster, once it is as wanted; none if it never is.
    async fn until(&self, place: usize, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let end = Instant::now() + STATE_BOUND;
        while Instant::now() < end {
            if let Some(status) = self.site.router().status(place).await.filter(|status| wanted(status)) {
                return Some(status);
            }
            sleep(LOOK_EVERY).await;
        }
        None
    }

    /// Whether the status of the router at this place warns of its consensus part.
    async fn warns(&self, place: usize) -> bool {
        let Ok(admin) = self.site.router().admin(place) else { return false };
        let status = http(admin, "GET", "/v1/status").await;
        let status = status.and_then(|(_, text)| serde_json::from_str::<Value>(&text).ok());
        let warnings = status.and_then(|status| status["warnings"].as_array().cloned()).unwrap_or_default();
        warnings.iter().any(|warning| warning.as_str().is_some_and(|warning| warning.contains(SENTENCE)))
    }
}

async fn role(router: &Routers, place: usize) -> Value {
    router.status(place).await.map(|status| status["role"].clone()).unwrap_or_default()
}
