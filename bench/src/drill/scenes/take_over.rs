//! A later router process takes over from the running one, again and again, under load: an upgrade of the router.
//!
//! Promised: no call fails, none is lost or runs twice, no caller's socket closes, callers' sockets stand still for 100 ms at most (the 99th
//! percentile), and each earlier process ends by itself.

use std::time::Duration;

use rcs_cli::Failure;

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

/// The longest call of the load, and a moment.
const ENDED_WITHIN: Duration = Duration::from_secs(30);
/// How long callers' sockets may stand still.
const FROZEN_WITHIN: Duration = Duration::from_millis(100);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan::default(), seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    let rounds = scope.trials(3, 20);
    let (mut frozen, mut ready, mut stuck) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        load.until_ok(300, Duration::from_secs(15)).await;
        let replaced = site.router_mut().replace(ENDED_WITHIN).await?;
        frozen.extend(replaced.frozen);
        ready.push(replaced.ready);
        stuck += u64::from(!replaced.has_ended);
    }
    load.until_ok(300, Duration::from_secs(15)).await;

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let disconnects = tally.disconnects.len();
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("take_over", rounds as u64);
    findings.times("frozen", &frozen, Some(FROZEN_WITHIN));
    findings.times("ready", &ready, None);
    findings.require(frozen.len() == rounds, "a process did not say how long callers' sockets stood still");
    findings.require(stuck == 0, format!("{stuck} earlier processes did not end by themselves"));
    findings.require(disconnects == 0, format!("{disconnects} sockets of callers closed"));
    findings.require(findings.calls.unknown == 0, "changes in flight ended as \"outcome unknown\"");
    site.end(&mut findings);
    Ok(findings)
}
