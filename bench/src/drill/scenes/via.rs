//! Members in client mode are connected to one of three routers each, and all routers use them. A router is killed with SIGKILL while calls of
//! the other routers are at its members: at points spread over the whole life of a call. Its members dial the next router.
//!
//! Promised: at the routers that live no read fails, no change is refused, runs twice or is lost in silence, and every call ends. A change
//! that was under way may end as "outcome unknown", a stream of which objects had been delivered may break off with an error. Before the
//! kills the drill measures what the way through another router adds to a call.

use std::collections::BTreeMap;
use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_proto::driver::endpoint::Caller;
use tokio::time::{Instant, sleep, timeout};

use super::super::calls::{Calls, Version};
use super::super::cluster::{Agreeing as _, Callers, Joins, Routers, cluster_site_of};
use super::super::load::connect_to_named;
use super::super::members::Members;
use super::super::proxy::{Point, Trap};
use super::super::report::Findings;
use super::super::site::Site;
use super::super::tally::{Ask, Told};
use super::Scope;

const ROUTERS: usize = 3;
/// Two for each router at first, so that the death of a router takes several members away at once.
const MEMBERS: usize = 6;
/// Longest wait for a call of the right kind at the chosen member; then its router is killed without one.
const TRAP_BOUND: Duration = Duration::from_millis(1500);
/// How long a killed router is down at least: the members' next dials find another one.
const DOWN_FOR: Duration = Duration::from_secs(1);
/// What another router adds to a call at most, in the median, in microseconds.
const HOP_MAX_US: f64 = 150.0;
/// Calls of a round on each way, one at a time, and rounds.
const HOP_CALLS: usize = 1_000;
const HOP_ROUNDS: usize = 5;
/// Where no call came in time.
const IDLE: &str = "idle";

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = cluster_site_of(members, ROUTERS, MEMBERS, seed).await?;
    for place in 0..ROUTERS {
        site.router_mut().start(place, Joins::Peers)?;
    }
    until_used_by_all(&site).await?;
    let hop = Hop::measure(&site, scope.trials(2, HOP_ROUNDS)).await?;

    let mut callers = Callers::at_all_that_run(&mut site, ROUTERS).await?;
    let mut kills = Kills::default();
    let (began, time) = (Instant::now(), scope.time(12, 120));
    while kills.done == 0 || began.elapsed() < time {
        kills.one(&mut site, &mut callers).await?;
    }
    let mut findings = callers.finish(&site).await;
    findings.fault("router_kill", kills.done);
    findings.figure("kills_by_point", &kills.by_point);
    findings.require(
        kills.at_calls() * 2 > kills.done,
        "most routers were killed while the chosen member had no call, so the drill proves little",
    );
    hop.report(&mut findings, scope);
    if !findings.passed() {
        findings.figure("files", site.keep());
    }
    Ok(findings)
}

async fn until_used_by_all(site: &Site<Routers>) -> Result<(), Failure> {
    match site.router().until_used_by_all(site.members.len()).await {
        true => Ok(()),
        false => Err(Exit::Unavailable.with("not all routers use all members")),
    }
}

/// A member by chance, and the place of the router that it is connected to. A router that was killed has no members for a while.
async fn any_member(site: &mut Site<Routers>) -> Result<(usize, usize), Failure> {
    let chosen = site.dice.usize(..site.members.len());
    let name = site.members[chosen].name();
    for place in 0..ROUTERS {
        if site.router().connected_to(place).await.iter().any(|there| there == name) {
            return Ok((chosen, place));
        }
    }
    Err(Exit::Unavailable.with(format!("{name} is connected to no router")))
}

/// What was done.
#[derive(Default)]
struct Kills {
    done: u64,
    by_point: BTreeMap<&'static str, u64>,
}

impl Kills {
    /// Kills the next router at the next point of a call at one of its members, and starts it again.
    async fn one(&mut self, site: &mut Site<Routers>, callers: &mut Callers) -> Result<(), Failure> {
        let point = Point::ALL[self.done as usize % Point::ALL.len()];
        let (chosen, place) = any_member(site).await?;
        callers.before_kill(place);
        let killer = site.router().killer(place);
        let (trap, sprung) = Trap::new(point, &mut site.dice, killer);
        let proxy = site.members[chosen].proxy();
        proxy.arm(trap);
        let sprung = timeout(TRAP_BOUND, sprung).await.is_ok_and(|sprung| sprung.is_ok());
        proxy.disarm();
        site.router_mut().kill(place);
        *self.by_point.entry(if sprung { point.label() } else { IDLE }).or_default() += 1;
        self.done += 1;
        callers.after_kill(place).await;
        sleep(DOWN_FOR).await;
        site.router_mut().revive(place).await?;
        until_used_by_all(site).await?;
        callers.start(site, place).await
    }

    /// Kills that met a call.
    fn at_calls(&self) -> u64 {
        self.done - self.by_point.get(IDLE).copied().unwrap_or(0)
    }
}

/// What the way through another router adds to a call.
struct Hop {
    /// Medians of each round in microseconds: directly, and through another router.
    rounds: Vec<(f64, f64)>,
}

impl Hop {
    /// Calls the first member at the router that it is connected to, and at another one, by turns, one call at a time.
    async fn measure(site: &Site<Routers>, rounds: usize) -> Result<Self, Failure> {
        let name = site.members[0].name();
        let direct = Timed::at(site, 0, name).await?;
        let via = Timed::at(site, 1, name).await?;
        let mut hop = Self { rounds: Vec::new() };
        for _ in 0..rounds {
            let (mut directly, mut through) = (Vec::new(), Vec::new());
            for _ in 0..HOP_CALLS {
                directly.push(direct.call().await?);
                through.push(via.call().await?);
            }
            hop.rounds.push((median_us(directly), median_us(through)));
        }
        direct.caller.close().await;
        via.caller.close().await;
        Ok(hop)
    }

    fn report(&self, findings: &mut Findings, scope: Scope) {
        let added: Vec<f64> = self.rounds.iter().map(|(direct, via)| (via - direct).round()).collect();
        let least = added.iter().copied().fold(f64::INFINITY, f64::min);
        findings.figure("hop_p50_us_direct_and_via", &self.rounds);
        findings.figure("hop_p50_us_added", &added);
        findings.figure("hop_p50_us_added_least", least);
        if scope != Scope::Short {
            // What else the machine does falls on some rounds. In a few seconds it may fall on all.
            findings.require(
                least <= HOP_MAX_US,
                format!("the way through another router adds {least} us to a call, more than {HOP_MAX_US}"),
            );
        }
    }
}

fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| (time.as_secs_f64() * 1e6).round())
}

/// A caller whose calls are timed.
struct Timed {
    caller: Caller,
    calls: Calls,
}

impl Timed {
    async fn at(site: &Site<Routers>, place: usize, member: &str) -> Result<Self, Failure> {
        let caller = connect_to_named(site.router().port(place)?, member).await?;
        let calls = Calls::prepare_version(&caller, site, Version::Only).await?;
        Ok(Self { caller, calls })
    }

    async fn call(&self) -> Result<Duration, Failure> {
        let began = Instant::now();
        match self.calls.run(&self.caller, Ask::Get, "").await {
            Told::Ok => Ok(began.elapsed()),
            other => Err(Exit::Unavailable.with(format!("a timed call ended as {other:?}"))),
        }
    }
}
