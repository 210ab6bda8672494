//! Sockets towards members are replaced while calls run: by the end that dials, which gives them a time to live, and by somebody
//! between, who closes one after the other as middle boxes do with old connections.
//!
//! Promised: nobody notices. The members' sessions live on their other sockets, and the closed ones are replaced. Only what was on
//! its way when somebody between closed the socket may end as "outcome unknown".

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep};

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::proxy::{Dialler, Order};
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

/// Sockets towards each member.
const SOCKETS: u32 = 3;
/// The shortest time to live that a socket can have: of those that the router dials, and of those that a member dials.
const CONFIG: &str = "[router]\nsocket_ttl = \"5s\"\n";
const MEMBER_TTL: Duration = Duration::from_secs(5);
/// Between two sockets closed from outside; a new one takes the handshake and the pause behind it to be of use.
const CLOSE_EVERY: Duration = Duration::from_millis(400);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut findings = by_the_dialler(members, scope, seed).await?;
    findings.include("by_others", by_others(members, scope, seed).await?);
    Ok(findings)
}

async fn by_the_dialler(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let plan =
        SitePlan { sockets: SOCKETS, config: CONFIG, member_ttl: Some(MEMBER_TTL), ..SitePlan::default() };
    let mut site = Site::start(members, plan, seed).await?;
    let at_first = led(&site);
    let load = Load::start(&mut site, &Plan::default()).await?;
    let end = Instant::now() + scope.time(9, 60);
    let mut outages = 0;
    while Instant::now() < end {
        sleep(LOOK_EVERY).await;
        outages += u64::from(site.router().up().len() < site.members.len());
    }
    let mut tally = load.finish().await;
    let replaced = match members.dialler() {
        Dialler::Router => {
            let rotated = site.router().metric("rcs_sockets_rotated_total", &["side=\"upstream\""]).await;
            rotated.unwrap_or(0.0) as u64
        }
        Dialler::Member => led(&site) - at_first,
    };
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("socket_replaced", replaced);
    findings
        .require(replaced >= 1, "no connection was replaced although all were older than their time to live");
    findings.require(outages == 0, "a member was out of rotation although it always had connections");
    findings
        .require(findings.calls.unknown == 0, "calls ended as unknown though their dialler chose the moment");
    findings
        .require(findings.calls.streams_cut == 0, "searches broke off though their dialler chose the moment");
    site.end(&mut findings);
    Ok(findings)
}

/// Connections to members that were opened so far.
fn led(site: &Site) -> u64 {
    site.members.iter().map(|member| member.proxy().led()).sum()
}

async fn by_others(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan { sockets: SOCKETS, ..SitePlan::default() }, seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;
    let (mut closed, mut turn, mut outages) = (0, 0, 0);
    let end = Instant::now() + scope.time(5, 60);
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
    findings.require(outages == 0, "a member was out of rotation although it always had connections");
    site.end(&mut findings);
    Ok(findings)
}
