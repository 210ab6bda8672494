//! One member is slow, for one reason after the other: a far away network, a thin line, bytes that come in slices, a slow
//! resource.
//!
//! Promised: slow is not broken. Every call is served, and nobody waits for a call of somebody else at another member.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::sleep;

use super::super::load::{Load, Plan};
use super::super::members::{Members, Resource};
use super::super::promise::Promise;
use super::super::proxy::{Sky, Weather};
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

/// What a call takes at a slow resource.
const SLOW_RESOURCE: Duration = Duration::from_millis(300);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan::default(), seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let far = Sky { latency: Duration::from_millis(80), jitter: Duration::from_millis(80), ..Sky::CLEAR };
    let thin = Sky { bandwidth: Some(100_000), ..Sky::CLEAR };
    let sliced = Sky { slice: Some(site.dice.usize(1..8)), ..Sky::CLEAR };
    let phase = scope.time(6, 40) / 4;
    for sky in [far, thin, sliced] {
        site.members[0].proxy().set_weather(Weather { inward: sky, outward: sky, ..Weather::CLEAR });
        sleep(phase).await;
    }
    site.members[0].proxy().set_weather(Weather::CLEAR);
    site.members[0].set_resource(Resource::Slow(SLOW_RESOURCE))?;
    sleep(phase).await;
    site.members[0].set_resource(Resource::Well)?;

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("slow", 4);
    findings.require(findings.calls.unknown == 0, "changes ended as unknown though no member was lost");
    findings.require(findings.calls.streams_cut == 0, "searches broke off though no member was lost");
    site.end(&mut findings);
    Ok(findings)
}
