//! Members are frozen with SIGSTOP, one after the other: alive for the kernel, with open sockets, and without a word.
//!
//! Promised: within 10 s a frozen member gets no calls, reads that it had are answered by others, and a change that it had ends
//! as "outcome unknown", whether or not it runs when the member thaws.

use std::time::Duration;

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::report::{Findings, Promise};
use super::super::site::{Site, SitePlan};
use super::Scope;
use super::trials::Trials;
use crate::exit::Failure;

/// P6.
const OUT_WITHIN: Duration = Duration::from_secs(10);
/// From the thaw: the next dial finds it, and the router's patience with the last one has to end.
const BACK_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan { members: 6, ..SitePlan::default() }, seed).await?;
    // Many, since those whose call is at the silent member wait for it.
    let plan = Plan { workers: 40, pause: Duration::from_millis(150), ..Plan::default() };
    let load = Load::start(&mut site, &plan).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let mut trials = Trials::default();
    for trial in 0..scope.trials(1, 30) {
        let chosen = trial % site.members.len();
        site.members[chosen].freeze();
        trials.see_out(&site, chosen).await;
        site.members[chosen].thaw();
        trials.see_back(&site, chosen).await;
    }

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("freeze", trials.count());
    trials.report(&mut findings, OUT_WITHIN, BACK_WITHIN);
    site.end(&mut findings);
    Ok(findings)
}
