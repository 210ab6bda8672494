//! A member is killed and started again while its resource is not ready yet: its server answers, and its calls would fail.
//!
//! Promised: it gets no call before its connectors pass their test; with the resource ready it is in use again.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep};

use super::super::load::{Load, Plan};
use super::super::members::{Members, Resource};
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;
use super::trials::Trials;

const OUT_WITHIN: Duration = Duration::from_millis(100);
/// Probes every 5 s, two good ones in a row, over two configurations.
const BACK_WITHIN: Duration = Duration::from_millis(10_500);
/// How long the resource takes after the server is there.
const NOT_READY: Duration = Duration::from_secs(2);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan::default(), seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let (mut trials, mut too_soon) = (Trials::default(), 0);
    for trial in 0..scope.trials(1, 30) {
        let chosen = trial % site.members.len();
        site.members[chosen].kill();
        trials.see_out(&site, chosen).await;
        site.members[chosen].set_resource(Resource::Down)?;
        let listens = Instant::now();
        site.members[chosen].restart()?;
        sleep(NOT_READY).await;
        too_soon += u64::from(site.members[chosen].proxy().last_call().is_some_and(|at| at > listens));
        site.members[chosen].set_resource(Resource::Well)?;
        trials.see_back(&site, chosen).await;
    }

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("restart", trials.count());
    findings.require(too_soon == 0, format!("{too_soon} members got calls before their resource was ready"));
    trials.report(&mut findings, OUT_WITHIN, BACK_WITHIN);
    site.end(&mut findings);
    Ok(findings)
}
