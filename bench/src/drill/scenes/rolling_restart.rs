//! Every member is restarted in turn, as an upgrade does: SIGTERM, a new process, and on to the next once it is in use. Once the
//! operator drains each member first, once nobody does.
//!
//! Promised: no call fails; and with draining none ends as unknown either, since the member has none when it is told to end.

use std::time::Duration;

use rcs_cli::{Exit, Failure};
use tokio::time::Instant;

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::super::tally::Tally;
use super::Scope;
use super::trials::Trials;

/// A member's own time to end.
const END_BOUND: Duration = Duration::from_secs(15);
/// For the calls of a member that drains.
const DRAIN_BOUND: Duration = Duration::from_secs(30);
/// A closed socket is seen at once.
const OUT_WITHIN: Duration = Duration::from_millis(100);
/// A member that listens again is in use within 2 s (limits.rs: `RETURN_TO_SERVICE_MAX`), behind a first hold-down.
const BACK_WITHIN: Duration = Duration::from_secs(4);

/// What the operator does first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Drain,
}

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan::default(), seed).await?;
    let (end, mut rounds) = (Instant::now() + scope.time(1, 90), 0);
    let (mut drained, mut plain) = (Tally::default(), Tally::default());
    let (mut quiet, mut trials) = (Trials::default(), Trials::default());
    while rounds == 0 || Instant::now() < end {
        drained.merge(round(&mut site, Before::Drain, &mut quiet).await?);
        plain.merge(round(&mut site, Before::Nothing, &mut trials).await?);
        rounds += 1;
    }
    let unknown = drained.figures.unknown;
    drained.merge(plain);
    site.compare(&mut drained).await;
    let mut findings = Findings::of(drained, Promise::EveryCallServed);
    findings.fault("restart", trials.count());
    findings.fault("restart_when_drained", quiet.count());
    findings.figure("unknown_when_drained", unknown);
    findings.require(unknown == 0, format!("{unknown} calls ended as unknown at members that were drained"));
    trials.report(&mut findings, OUT_WITHIN, BACK_WITHIN);
    site.end(&mut findings);
    Ok(findings)
}

/// Restarts each member once.
async fn round(site: &mut Site, before: Before, trials: &mut Trials) -> Result<Tally, Failure> {
    let load = Load::start(site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;
    for chosen in 0..site.members.len() {
        let name = site.members[chosen].name().to_owned();
        let stuck = |what: &str| Exit::Unavailable.with(format!("{name} {what}"));
        if before == Before::Drain {
            site.router().mark(&name, "drain").await?;
            if !site.router().until_drained(&name, DRAIN_BOUND).await {
                return Err(stuck("is never drained"));
            }
        }
        if !site.members[chosen].terminate(END_BOUND).await {
            return Err(stuck("does not end by itself"));
        }
        trials.see_out(site, chosen).await;
        site.members[chosen].restart()?;
        if before == Before::Drain {
            site.router().mark(&name, "undrain").await?;
        }
        trials.see_back(site, chosen).await;
    }
    Ok(load.finish().await)
}
