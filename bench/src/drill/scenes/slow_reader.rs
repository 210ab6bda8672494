//! One caller asks for a large search and does not read it: its connection to the router stalls, then trickles.
//!
//! Promised: it gets all objects in order, or one clear error, and never a short answer that looks complete; the others do not
//! notice, and the router's memory stays within its bound.

use std::time::Duration;

use rcs_cli::{Exit, Failure};
use tokio::time::{Instant, sleep, timeout};

use super::super::calls::Calls;
use super::super::load::{Load, Plan, connect_patiently_to};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::proxy::{Dialler, Proxy, Sky, Weather};
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::super::tally::{Ask, Told};
use super::Scope;

/// What the router may hold in memory for slow callers, and what else it needs (limits.rs: `PROCESS_BACKLOG_MAX`).
const MEMORY_MAX: u64 = (256 + 128) << 20;
/// How much the 99th percentile of the others may grow, and below which growth there is nothing to see (P15).
const GROWTH: (f64, f64) = (1.1, 1.0);
/// Bytes of an object on the wire.
const OBJECT_BYTES: u64 = 1_200;

/// How slow the slow one is.
struct Slowness {
    rows: u64,
    /// Its stalls, one search each.
    stalls: &'static [Duration],
    /// Objects a second that it takes after that.
    pace: u64,
    /// Longest wait for the end of a search.
    bound: Duration,
}

impl Slowness {
    fn of(scope: Scope) -> Self {
        const SHORT: [Duration; 1] = [Duration::from_secs(3)];
        const ALL: [Duration; 3] =
            [Duration::from_millis(300), Duration::from_secs(3), Duration::from_secs(30)];
        let bound = Duration::from_secs(120);
        match scope {
            Scope::Short => Self { rows: 20_000, stalls: &SHORT, pace: 10_000, bound },
            Scope::Normal => Self { rows: 100_000, stalls: &ALL, pace: 2_500, bound },
            // A quarter of an hour each.
            Scope::Long(_) => {
                Self { rows: 100_000, stalls: &ALL, pace: 100, bound: Duration::from_secs(1_200) }
            }
        }
    }
}

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let slowness = Slowness::of(scope);
    let plan = SitePlan { rows: slowness.rows, row_bytes: 1000, ..SitePlan::default() };
    let mut site = Site::start(members, plan, seed).await?;
    let sessions = if scope == Scope::Short { 20 } else { 99 };
    let pause = Duration::from_millis(100);
    let others = Plan { sessions, workers: 1, pause, mix: vec![Ask::Get] };

    // What the others' calls take while nobody is slow.
    let load = Load::start(&mut site, &others).await?;
    sleep(scope.time(3, 15)).await;
    let before = load.finish().await;

    let load = Load::start(&mut site, &others).await?;
    let mut ends = Vec::new();
    for stall in slowness.stalls {
        ends.push(stalled(&site, seed, &slowness, *stall).await?);
    }
    let (now, most) = site.router().memory();
    let mut tally = load.finish().await;
    let (p99_before, p99) = (before.p99_ms(), tally.p99_ms());
    site.compare(&mut tally).await;

    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("stalled_reader", ends.len() as u64);
    findings.figure("router_rss_bytes", now);
    findings.figure("router_rss_most_bytes", most);
    findings.require(
        most <= MEMORY_MAX,
        format!("the router used {} MiB of memory, more than {} MiB", most >> 20, MEMORY_MAX >> 20),
    );
    findings.figure("others_p99_ms_before", p99_before);
    findings.figure("others_p99_ms", p99);
    if scope != Scope::Short {
        // In a few seconds there are too few calls to tell growth from chance.
        let most = p99_before.map(|before| (before * GROWTH.0).max(before + GROWTH.1));
        let grown = format!("the others' p99 grew from {p99_before:?} to {p99:?} ms");
        findings.require(p99.zip(most).is_some_and(|(p99, most)| p99 <= most), grown);
    }
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
async fn stalled(
    site: &Site,
    seed: u64,
    slowness: &Slowness,
    stall: Duration,
) -> Result<(Told, Duration), Failure> {
    let proxy = Proxy::start(Dialler::Router, seed)
        .await
        .map_err(|error| Exit::Internal.with(format!("no proxy: {error}")))?;
    proxy.lead_to(site.router().listen().port());
    // Its own pings would end it in the long stall.
    let caller = connect_patiently_to(proxy.port()).await?;
    let calls = Calls::prepare_patient(&caller, site).await?;
    let began = Instant::now();
    let weather = async {
        sleep(Duration::from_millis(50)).await;
        proxy.set_weather(Weather { outward: Sky::BLACK, ..Weather::CLEAR });
        sleep(stall).await;
        let trickle = Sky { bandwidth: Some(slowness.pace * OBJECT_BYTES), ..Sky::CLEAR };
        proxy.set_weather(Weather { outward: trickle, ..Weather::CLEAR });
    };
    let search = timeout(slowness.bound, calls.search(&caller));
    let (told, ()) = tokio::join!(search, weather);
    caller.close().await;
    Ok((told.unwrap_or(Told::Hung), began.elapsed()))
}
