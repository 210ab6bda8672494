//! The resource behind members fails while their servers live: first behind one of them, then behind all.
//!
//! Promised: behind one, no read fails, and the member is out within its probes' interval; behind all, every call ends with a
//! clear error. When the resource is back, so are they.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::sleep;

use super::super::load::{Load, Plan};
use super::super::members::{Members, Resource};
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;
use super::trials::Trials;

/// Two probes in a row of a connector that has one configuration for reads and one for changes (limits.rs: `TEST_PROBE_EVERY`,
/// `PROBE_FALL`), and a moment for the look.
const OUT_WITHIN: Duration = Duration::from_millis(10_500);
/// The same to come back (`PROBE_RISE`), behind the time for which failed calls keep a member out (`EJECTION_BASE`).
const BACK_WITHIN: Duration = Duration::from_millis(20_500);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan::default(), seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let mut trials = Trials::default();
    for trial in 0..scope.trials(1, 30) {
        let chosen = trial % site.members.len();
        site.members[chosen].set_resource(Resource::Down)?;
        trials.see_out(&site, chosen).await;
        site.members[chosen].set_resource(Resource::Well)?;
        trials.see_back(&site, chosen).await;
    }
    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::ReadsServed);
    findings.fault("resource_down", trials.count());
    trials.report(&mut findings, OUT_WITHIN, BACK_WITHIN);

    all_down(&mut site, &mut findings).await?;
    site.end(&mut findings);
    Ok(findings)
}

/// Behind all members: nothing can be served, and everybody is told so.
async fn all_down(site: &mut Site, findings: &mut Findings) -> Result<(), Failure> {
    for member in &site.members {
        member.set_resource(Resource::Down)?;
    }
    let load = Load::start(site, &Plan::default()).await?;
    sleep(Duration::from_secs(3)).await;
    for member in &site.members {
        member.set_resource(Resource::Well)?;
    }
    let served = load.until_ok(200, Duration::from_secs(45)).await;
    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut down = Findings::of(tally, Promise::ClearErrors);
    down.fault("all_resources_down", 1);
    down.require(served, "nothing was served for 45 s after all resources were back");
    down.require(down.calls.reads_failed > 0, "no read failed though every resource was down");
    down.require(down.calls.disconnected == 0, "callers lost their connection");
    findings.include("all_down", down);
    Ok(())
}
