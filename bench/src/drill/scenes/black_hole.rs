//! The network to a member swallows everything: in both directions, only towards it, only from it.
//!
//! Promised: as for a frozen member. When the hole closes, what was on its way arrives late, and must do no harm.

use std::time::Duration;

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::proxy::{Sky, Weather};
use super::super::report::{Findings, Promise};
use super::super::site::{Site, SitePlan};
use super::Scope;
use super::trials::Trials;
use crate::exit::Failure;

/// P6.
const OUT_WITHIN: Duration = Duration::from_secs(10);
/// From the end of the hole.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Every way of being cut off.
const HOLES: [Weather; 3] = [
    Weather { inward: Sky::BLACK, outward: Sky::BLACK, ..Weather::CLEAR },
    Weather { inward: Sky::BLACK, ..Weather::CLEAR },
    Weather { outward: Sky::BLACK, ..Weather::CLEAR },
];

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan { members: 6, ..SitePlan::default() }, seed).await?;
    // Many, since those whose call is at the silent member wait for it.
    let plan = Plan { workers: 40, pause: Duration::from_millis(150), ..Plan::default() };
    let load = Load::start(&mut site, &plan).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let mut trials = Trials::default();
    let from = site.dice.usize(..HOLES.len());
    for trial in 0..scope.trials(1, 30) {
        let chosen = trial % site.members.len();
        site.members[chosen].proxy().set_weather(HOLES[(from + trial) % HOLES.len()]);
        trials.see_out(&site, chosen).await;
        site.members[chosen].proxy().set_weather(Weather::CLEAR);
        trials.see_back(&site, chosen).await;
    }

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("black_hole", trials.count());
    trials.report(&mut findings, OUT_WITHIN, BACK_WITHIN);
    site.end(&mut findings);
    Ok(findings)
}
