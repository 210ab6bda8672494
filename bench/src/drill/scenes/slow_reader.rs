//! One caller asks for a large search and does not read it: its connection to the router stalls, then trickles.
//!
//! Promised: it gets all objects in order, or one clear error, and never a short answer that looks complete; the others do not
//! notice, and the router's memory stays within its bound.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::calls::Calls;
use super::super::load::{Load, Plan, connect_to};
use super::super::members::Members;
use super::super::proxy::{Proxy, Sky, Weather};
use super::super::report::{Findings, Promise, Times};
use super::super::site::{Site, SitePlan};
use super::super::tally::{Ask, Tally, Told};
use super::Scope;
use crate::exit::{Exit, Failure};

/// What the router may hold for slow callers, and what else it needs (limits.rs: `PROCESS_BACKLOG_BYTES_MAX`).
const MEMORY_MAX: u64 = (512 + 128) << 20;
/// Bytes a second that the slow caller takes after its stall.
const TRICKLE: u64 = 20_000_000;
const SEARCH_BOUND: Duration = Duration::from_secs(120);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let (rows, stalls): (u64, &[u64]) = match scope {
        Scope::Short => (20_000, &[3_000]),
        _ => (60_000, &[300, 3_000, 30_000]),
    };
    let plan = SitePlan { rows, row_bytes: 1000, ..SitePlan::default() };
    let mut site = Site::start(members, plan, seed).await?;
    let others = Plan { mix: vec![Ask::Get], ..Plan::default() };

    // What the others' calls take while nobody is slow.
    let load = Load::start(&mut site, &others).await?;
    sleep(scope.time(3, 15)).await;
    let before = load.finish().await;

    let load = Load::start(&mut site, &others).await?;
    let mut ends = Vec::new();
    for stall in stalls {
        ends.push(stalled(&site, seed, Duration::from_millis(*stall)).await?);
    }
    let (now, most) = site.router().memory();
    let mut tally = load.finish().await;
    let (p99_before, p99) = (p99(&before), p99(&tally));
    site.compare(&mut tally).await;

    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("stalled_reader", ends.len() as u64);
    findings.figure("router_rss_bytes", now);
    findings.figure("router_rss_most_bytes", most);
    findings.require(most <= MEMORY_MAX, format!("the router had {} MiB", most >> 20));
    findings.figure("others_p99_ms_before", p99_before);
    findings.figure("others_p99_ms", p99);
    let ended: Vec<String> = ends.iter().map(|(told, took)| format!("{told:?} after {took:.1?}")).collect();
    for (told, _) in &ends {
        let honest = matches!(told, Told::Ok | Told::CutStream(_) | Told::Failed(_));
        findings.require(honest, format!("the slow search ended as {told:?}"));
    }
    findings.figure("slow_searches", ended);
    site.end(&mut findings);
    Ok(findings)
}

/// A search by a caller whose connection stalls for so long after its first objects.
async fn stalled(site: &Site, seed: u64, stall: Duration) -> Result<(Told, Duration), Failure> {
    let proxy =
        Proxy::start(seed).await.map_err(|error| Exit::Internal.with(format!("no proxy: {error}")))?;
    proxy.lead_to(site.router().listen().port());
    let caller = connect_to(proxy.port()).await?;
    let calls = Calls::prepare(&caller, site).await?;
    let began = Instant::now();
    let weather = async {
        sleep(Duration::from_millis(50)).await;
        proxy.set_weather(Weather { outward: Sky::BLACK, ..Weather::CLEAR });
        sleep(stall).await;
        let trickle = Sky { bandwidth: Some(TRICKLE), ..Sky::CLEAR };
        proxy.set_weather(Weather { outward: trickle, ..Weather::CLEAR });
    };
    let search = timeout(SEARCH_BOUND, calls.search(&caller));
    let (told, ()) = tokio::join!(search, weather);
    caller.close().await;
    Ok((told.unwrap_or(Told::Hung), began.elapsed()))
}

fn p99(tally: &Tally) -> Option<f64> {
    let times: Vec<Duration> = tally.latencies.iter().map(|(_, took)| *took).collect();
    Times::of(&times).p99_ms
}
