//! The leader of three routers is killed again and again, under calls at every router and some 280 writes a second.
//!
//! Promised: no acknowledged write is lost, none is applied twice, and their order is the real one; writes pause for 1.5 s (median)
//! and for 3 s (p99) at most; callers of the other routers notice nothing; at the end all routers have the same state.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep};

use super::super::cluster::{
    Agreeing, Api, Auditor, Callers, Etcd, Routers, Window, Writers, cluster_site, kill_for, longest_pauses,
};
use super::super::members::Members;
use super::super::report::Findings;
use super::super::site::Site;
use super::super::times::Times;
use super::writes::{Wrote, conclude};
use super::{More, Scope};

const ROUTERS: usize = 3;
/// Kills of a short drill, and of one that nobody bounds.
const KILLS: (u64, u64) = (8, 40);
/// One kill of so many keeps the leader down for longer than a restart takes.
const LONG_EVERY: u64 = 5;
/// A pause of writes, in the median and at the 99th percentile.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1_500), Duration::from_secs(3));
/// Kills from which on the 99th percentile is judged.
const JUDGED_BY_P99: usize = 30;
/// Longest wait until the routers show a write that was acknowledged.
const SHOWN_BOUND: Duration = Duration::from_secs(5);
/// Writes a second, in all, outside of pauses: fewer prove little.
const RATE_MIN: f64 = 200.0;

pub(super) async fn perform(
    members: &Members,
    scope: Scope,
    seed: u64,
    more: More,
) -> Result<Findings, Failure> {
    let mut site = cluster_site(members, ROUTERS, seed).await?;
    let mut callers = Callers::at_all(&mut site, ROUTERS).await?;
    let servers = site.router().servers();
    let writers = Writers::start(Api::Router, servers.clone(), &mut site.dice);
    let auditor = Auditor::start(servers, fastrand::Rng::with_seed(site.dice.u64(..)));

    let mut plan = Kills::new(scope, more.kills, site.dice.u64(..));
    let (mut windows, mut read_to, mut missing) = (Vec::new(), 0, 0);
    while let Some(down) = plan.next().await {
        let leader = site.router().leader().await?;
        callers.before_kill(leader);
        windows.push(kill_for(site.router_mut(), leader, down, &writers).await?);
        callers.after_kill(leader).await;
        callers.start(&mut site, leader).await?;
        let (acknowledged, next) = writers.acknowledged(read_to);
        read_to = next;
        missing += until_shown(&site, &auditor, leader, &acknowledged).await?;
    }
    let wrote = Wrote { told: writers.finish().await, windows, took: plan.began.elapsed() };

    let mut findings = conclude(&site, &wrote, auditor, callers).await?;
    findings.fault("leader_kill", wrote.windows.len() as u64);
    findings.require(missing == 0, format!("{missing} acknowledged writes were missing right after a kill"));
    judge_pauses(&mut findings, &wrote, scope);
    if more.etcd {
        findings.figure("etcd", beside_etcd(&site, scope, more.kills, seed).await?);
    }
    if !findings.passed() {
        findings.figure("files", site.keep());
    }
    Ok(findings)
}

fn judge_pauses(findings: &mut Findings, wrote: &Wrote, scope: Scope) {
    let pauses = longest_pauses(&wrote.told.writes, &wrote.windows);
    findings.times(
        "write_pause",
        &pauses,
        Some(if pauses.len() < JUDGED_BY_P99 { PAUSE.0 } else { PAUSE.1 }),
    );
    let median = Times::of(&pauses).p50_ms;
    findings.require(
        median.is_some_and(|median| median <= PAUSE.0.as_secs_f64() * 1e3),
        format!("writes paused for {median:?} ms in the median, more than {:?}", PAUSE.0),
    );
    let rate = wrote.rate(pauses.iter().sum());
    findings.figure("writes_per_second_outside_pauses", rate.round());
    if scope != Scope::Short {
        findings.require(rate >= RATE_MIN, format!("{rate:.0} writes a second prove little"));
    }
}

/// Waits until the router at this place shows these writes; gives how many it does not.
async fn until_shown(
    site: &Site<Routers>,
    auditor: &Auditor,
    place: usize,
    numbers: &[u32],
) -> Result<usize, Failure> {
    let end = Instant::now() + SHOWN_BOUND;
    loop {
        auditor.read(site.router().admin(place)?).await;
        let missing = auditor.missing(numbers);
        if missing == 0 || Instant::now() > end {
            return Ok(missing);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The same kills and writes with etcd in the routers' place: how long writes pause.
async fn beside_etcd(
    site: &Site<Routers>,
    scope: Scope,
    kills: Option<u64>,
    seed: u64,
) -> Result<serde_json::Value, Failure> {
    let mut etcd = Etcd::start(site.folder()).await?;
    let mut dice = fastrand::Rng::with_seed(seed);
    let writers = Writers::start(Api::Etcd, etcd.servers(), &mut dice);
    let mut plan = Kills::new(scope, kills, dice.u64(..));
    let mut windows: Vec<Window> = Vec::new();
    while let Some(down) = plan.next().await {
        let leader = etcd.leader().await?;
        windows.push(kill_for(&mut etcd, leader, down, &writers).await?);
    }
    let wrote = Wrote { told: writers.finish().await, windows, took: plan.began.elapsed() };
    let pauses = longest_pauses(&wrote.told.writes, &wrote.windows);
    let rate = wrote.rate(pauses.iter().sum());
    Ok(
        serde_json::json!({ "write_pause": Times::of(&pauses), "writes_per_second_outside_pauses": rate.round(),
        "refusals": wrote.told.refusals }),
    )
}

/// How often, and for how long each.
struct Kills {
    began: Instant,
    until: Option<Instant>,
    most: u64,
    done: u64,
    long: u64,
    dice: fastrand::Rng,
}

impl Kills {
    fn new(scope: Scope, wanted: Option<u64>, seed: u64) -> Self {
        let began = Instant::now();
        let (until, most) = match (wanted, scope) {
            (Some(wanted), _) => (None, wanted),
            (None, Scope::Short) => (None, KILLS.0),
            (None, Scope::Normal) => (None, KILLS.1),
            (None, Scope::Long(time)) => (Some(began + time), u64::MAX),
        };
        let long = if scope == Scope::Short { 3 } else { 10 };
        Self { began, until, most, done: 0, long, dice: fastrand::Rng::with_seed(seed) }
    }

    /// A moment of peace; then how long the next one is kept down, or none if it was enough.
    async fn next(&mut self) -> Option<Duration> {
        if self.done >= self.most || self.until.is_some_and(|until| Instant::now() > until) {
            return None;
        }
        sleep(Duration::from_millis(self.dice.u64(200..600))).await;
        self.done += 1;
        Some(match self.done % LONG_EVERY {
            0 => Duration::from_secs(self.long),
            _ => Duration::from_millis(self.dice.u64(1_000..2_000)),
        })
    }
}
