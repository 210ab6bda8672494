//! Members are killed with SIGKILL, at points spread over the whole life of a call, and started again.
//!
//! Promised: no read fails, no change runs twice or is lost in silence, every call ends, and a killed member gets no calls within
//! 100 ms. A change that was under way may end as "outcome unknown", a stream of which objects had been delivered may break off
//! with an error; nothing else may.

use std::collections::BTreeMap;
use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep_until, timeout};

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::proxy::{Point, Trap};
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

/// Longest wait for a call of the right kind at the chosen member; then it is killed without one.
const TRAP_BOUND: Duration = Duration::from_millis(1500);
/// Time between two kills, if the members are back that soon.
const KILL_EVERY: Duration = Duration::from_millis(800);
/// Within this time a killed member must be out of use, counted from the end of its process (P6). Only then are its sockets closed: a large Java
/// process takes tens of milliseconds to end.
const DETECTED_WITHIN: Duration = Duration::from_millis(100);
/// Longest wait for the router to see a killed member.
const SEEN_BOUND: Duration = Duration::from_secs(15);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let java = matches!(members, Members::Java(_));
    // So many that a member is stable again before its next turn: one that is lost before is held down, and gets no calls to
    // be killed in.
    let number = match (java, scope) {
        (true, _) => 4,
        (false, Scope::Short) => 12,
        (false, _) => 48,
    };
    let plan = SitePlan {
        members: number,
        java_members: 4,
        change_takes: Duration::from_millis(2),
        ..SitePlan::default()
    };
    let mut site = Site::start(members, plan, seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let mut kills = Kills::default();
    let end = Instant::now() + scope.time(12, 60);
    while Instant::now() < end {
        let next = Instant::now() + KILL_EVERY;
        kills.one(&mut site).await?;
        sleep_until(next).await;
    }

    let mut tally = load.finish().await;
    let retried = site.router().metric("rcs_retries_total", &[]).await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("kill", kills.done);
    findings.figure("retried", retried);
    findings.figure("kills_by_point", &kills.by_point);
    findings.times("detection", &kills.detection, Some(DETECTED_WITHIN));
    findings.require(kills.unseen == 0, format!("{} killed members stayed in rotation", kills.unseen));
    findings.require(
        kills.at_calls() * 2 > kills.done,
        "most members were killed while they had no call, so the drill proves little",
    );
    site.end(&mut findings);
    Ok(findings)
}

/// What was done.
#[derive(Default)]
struct Kills {
    done: u64,
    by_point: BTreeMap<&'static str, u64>,
    /// From the end of the process until the router's word that the member gets no calls.
    detection: Vec<Duration>,
    unseen: u64,
}

/// Where no call came in time.
const IDLE: &str = "idle";

impl Kills {
    /// Kills a member that is in use at a point of one of its calls, waits until the router has seen it, and starts the member
    /// again.
    async fn one(&mut self, site: &mut Site) -> Result<(), Failure> {
        let up = site.router().up();
        let candidates: Vec<usize> = (0..site.members.len())
            .filter(|at| up.iter().any(|name| name == site.members[*at].name()))
            .collect();
        // Two members at least must be left, or a read has nowhere to go.
        if candidates.len() < 3 {
            return Ok(());
        }
        let Some(chosen) = site.dice.choice(&candidates).copied() else { return Ok(()) };
        let Some(point) = site.dice.choice(Point::ALL) else { return Ok(()) };
        let member = &mut site.members[chosen];
        let (trap, sprung) = Trap::new(point, &mut site.dice, member.killer());
        member.proxy().arm(trap);
        let sprung = timeout(TRAP_BOUND, sprung).await.ok().and_then(Result::ok);
        let at = match sprung {
            Some(()) => point.label(),
            None => {
                member.proxy().disarm();
                IDLE
            }
        };
        member.kill();
        let ended = Instant::now();
        *self.by_point.entry(at).or_default() += 1;
        self.done += 1;
        let name = member.name().to_owned();
        match site.router().until_out(&name, SEEN_BOUND).await {
            Some(seen) => self.detection.push(seen.saturating_duration_since(ended)),
            None => self.unseen += 1,
        }
        site.members[chosen].restart()
    }

    /// Kills that met a call.
    fn at_calls(&self) -> u64 {
        self.done - self.by_point.get(IDLE).copied().unwrap_or(0)
    }
}
