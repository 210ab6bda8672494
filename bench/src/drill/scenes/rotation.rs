//! Sockets towards members are closed in good order, one at a time, as middle boxes do with old ones, while calls run.
//!
//! Promised: nobody notices. The members' sessions live on their other sockets, and the closed ones are replaced.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::proxy::Order;
use super::super::report::{Findings, Promise};
use super::super::site::{Site, SitePlan};
use super::Scope;
use crate::exit::Failure;

/// Sockets towards each member.
const SOCKETS: u32 = 3;
/// Between two closed sockets; a new one takes the handshake and the pause behind it to be of use.
const CLOSE_EVERY: Duration = Duration::from_millis(400);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan { sockets: SOCKETS, ..SitePlan::default() }, seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let (mut closed, mut turn) = (0, 0);
    let (end, mut outages) = (Instant::now() + scope.time(6, 60), 0);
    while Instant::now() < end {
        turn = (turn + 1) % site.members.len();
        let proxy = site.members[turn].proxy();
        // The oldest, and never the last one.
        if let [oldest, _, ..] = proxy.links().as_slice() {
            proxy.order(*oldest, Order::Close);
            closed += 1;
        }
        sleep(CLOSE_EVERY).await;
        outages += u64::from(site.router().up().len() < site.members.len());
    }

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("socket_closed", closed);
    findings.require(outages == 0, "a member was out although it always had sockets");
    site.end(&mut findings);
    Ok(findings)
}
