//! The router is told to end (SIGTERM) with calls in flight.
//!
//! Promised: what was under way is answered, what comes later is refused in words or by the end of its connection, nothing runs
//! twice or is lost in silence, and the router ends by itself within its time.
//!
//! A thread of a Java IDM that sends while its process handles the close of its last socket hears nothing (decision 027): such calls, half
//! of the IDM's threads at most, are counted apart.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep};

use super::super::idm;
use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

/// How long a change takes: long enough that some are always under way.
const CHANGE_TAKES: Duration = Duration::from_millis(400);
/// The router's own time (limits.rs: `DRAIN_TIME`), and a moment.
const ENDED_WITHIN: Duration = Duration::from_secs(27);

pub(super) async fn perform(members: &Members, _scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let plan = SitePlan { change_takes: CHANGE_TAKES, ..SitePlan::default() };
    let mut site = Site::start(members, plan, seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(300, Duration::from_secs(15)).await;

    let began = Instant::now();
    site.router().terminate();
    while site.router_mut().is_running() && began.elapsed() < ENDED_WITHIN {
        sleep(Duration::from_millis(20)).await;
    }
    let ended = !site.router_mut().is_running();
    let took = began.elapsed();

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let disconnects = std::mem::take(&mut tally.disconnects);
    let crossed = tally.take_crossed(idm::CALLS as u64 / 2);
    let mut findings = Findings::of(tally, Promise::ClearErrors);
    findings.fault("sigterm", 1);
    findings.figure("ended_after_ms", took.as_millis() as u64);
    findings.figure("java_idm_calls_sent_into_the_close", crossed);
    findings.require(ended, "the router did not end by itself in time");
    findings.require(findings.calls.unknown == 0, "the router did not wait for changes in flight");
    // A call that crosses the end of its connection is nobody's fault; one that was there before is.
    let cut_off = disconnects.iter().filter(|call| **call < began).count();
    findings.require(cut_off == 0, format!("{cut_off} calls from before SIGTERM lost their connection"));
    findings.require(findings.calls.streams_cut == 0, "searches in flight were broken off");
    site.end(&mut findings);
    Ok(findings)
}
