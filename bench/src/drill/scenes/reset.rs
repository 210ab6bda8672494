//! Connections to members are reset, closed or half closed: one of a member's sockets while the others live, or all of them at once.
//!
//! Promised: no read fails. With one socket lost the member goes on; a call that it carried is answered over another socket, or
//! repeated if that does no harm, or ends as "outcome unknown".

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep};

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::proxy::Order;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site =
        Site::start(members, SitePlan { members: 6, sockets: 3, ..SitePlan::default() }, seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let (mut sockets, mut sessions) = (0, 0);
    let end = Instant::now() + scope.time(6, 60);
    while Instant::now() < end {
        sleep(Duration::from_millis(site.dice.u64(100..600))).await;
        let chosen = site.dice.usize(..site.members.len());
        let proxy = site.members[chosen].proxy();
        match site.dice.u8(..4) {
            0 => sessions += u64::from(proxy.order_all(Order::Reset) > 0),
            _ => {
                let order = site.dice.choice([Order::Reset, Order::HalfClose]).unwrap_or(Order::Reset);
                if let Some(link) = site.dice.choice(proxy.links()) {
                    proxy.order(link, order);
                    sockets += 1;
                }
            }
        }
    }

    let mut tally = load.finish().await;
    let retried = site.router().metric("rcs_retries_total", &[]).await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("socket_lost", sockets);
    findings.fault("session_lost", sessions);
    findings.figure("retried", retried);
    site.end(&mut findings);
    Ok(findings)
}
