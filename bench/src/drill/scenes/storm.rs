//! Every caller and every member loses its connections at the same moment, and all come back at once.
//!
//! Promised: all are back in less than 30 s, nobody is refused without a reason, and callers that had no part in it hardly notice.

use std::sync::Arc;
use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_proto::driver::endpoint::Caller;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::super::calls::Calls;
use super::super::far::Far;
use super::super::load::{Load, Plan, connect_to};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::proxy::{Dialler, Order, Proxy};
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::super::tally::{Ask, Told};
use super::Scope;

/// Within this time every caller is served again.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// Between two attempts of a caller to be served.
const ASK_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let (number, behind) = match scope {
        Scope::Short => (200, 8),
        // Half of what a router lets in: those that come back may do so as others.
        _ => (2_000, 64),
    };
    let mut site = Site::start(members, SitePlan { members: behind, ..SitePlan::default() }, seed).await?;
    let far = Far::start()?;
    let door = far.run(Proxy::start(Dialler::Router, seed)).await?;
    let door = door.map_err(|error| Exit::Internal.with(format!("no proxy: {error}")))?;
    door.lead_to(site.router().listen().port());
    let port = door.port();
    let callers: Result<Vec<Caller>, Failure> = far
        .run(async move {
            let mut callers = Vec::new();
            for _ in 0..number {
                callers.push(connect_to(port).await?);
            }
            Ok(callers)
        })
        .await?;
    let callers = callers?;
    let Some(first) = callers.first() else { return Err(Exit::Internal.with("a storm needs callers")) };
    let calls = Arc::new(Calls::prepare(first, &site).await?);
    let steady = Plan { mix: vec![Ask::Get], ..Plan::default() };
    let load = Load::start(&mut site, &steady).await?;
    sleep(scope.time(2, 10)).await;
    let before = load.finish().await;
    let load = Load::start(&mut site, &steady).await?;
    load.until_ok(50, Duration::from_secs(15)).await;

    // Half of the members, so that the steady callers have somebody to be served by.
    let sockets: usize = site.members.iter().step_by(2).map(|m| m.proxy().order_all(Order::Reset)).sum();
    let lost = door.order_all(Order::Reset);
    let began = Instant::now();
    let comebacks = far.run(async move {
        let mut comebacks = JoinSet::new();
        for caller in callers {
            comebacks.spawn(back(caller, calls.clone(), began));
        }
        comebacks.join_all().await
    });
    let back = comebacks.await?;
    let members_back = site.all_up(BACK_WITHIN).await;
    let storm = began.elapsed();

    let mut tally = load.finish().await;
    let tally_p99 = tally.p99_ms();
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("connection_reset", (lost + sockets) as u64);
    let times: Vec<Duration> = back.iter().flatten().copied().collect();
    let missing = back.len() - times.len();
    findings.figure("callers", number);
    findings.figure("storm_seconds", storm.as_secs_f64());
    findings.require(missing == 0, format!("{missing} callers were not back within {BACK_WITHIN:?}"));
    findings.require(members_back.is_ok(), "not all members were back in time");
    let (p99_before, p99) = (before.p99_ms(), tally_p99);
    findings.figure("steady_p99_ms_before", p99_before);
    findings.figure("steady_p99_ms", p99);
    if scope != Scope::Short {
        // In a short storm there are too few calls to tell growth from chance.
        let grown = format!("the steady callers' p99 grew from {p99_before:?} to {p99:?} ms");
        findings.require(p99.zip(p99_before).is_some_and(|(p99, before)| p99 < 2.0 * before), grown);
    }
    findings.times("callers_back", &times, Some(BACK_WITHIN));
    site.end(&mut findings);
    Ok(findings)
}

/// When a caller is served again.
async fn back(caller: Caller, calls: Arc<Calls>, began: Instant) -> Option<Duration> {
    while began.elapsed() < BACK_WITHIN {
        if let Ok(Told::Ok) = timeout(BACK_WITHIN, calls.run(&caller, Ask::Get, "")).await {
            return Some(began.elapsed());
        }
        sleep(ASK_EVERY).await;
    }
    None
}
