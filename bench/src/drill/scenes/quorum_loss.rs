//! Two of three routers are killed and stay away for a time: the last one has no majority.
//!
//! Promised: its callers notice nothing; every change is refused within a second, in words; with the others back it can be changed
//! again, and all routers have the same state.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep};

use super::super::cluster::{
    Agreeing as _, Api, Auditor, Callers, Joins, STATE_BOUND, WRITTEN_GROUP, Window, Writers, cluster_site,
    request,
};
use super::super::members::Members;
use super::super::report::Findings;
use super::Scope;
use super::writes::{Wrote, conclude};

const ROUTERS: usize = 3;
/// A change without a majority is refused within this time.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Until then a router may still wait for answers of the routers that have just died.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// Longest wait for an answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_millis(200);
/// What a refusal says.
const SENTENCE: &str = "no majority of the cluster's routers can be reached";

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = cluster_site(members, ROUTERS, seed).await?;
    let mut callers = Callers::at_all(&mut site, ROUTERS).await?;
    let servers = site.router().servers();
    let auditor = Auditor::start(servers.clone(), fastrand::Rng::with_seed(site.dice.u64(..)));
    let began = Instant::now();
    let writers = Writers::start(Api::Router, servers.clone(), &mut site.dice);
    writers.until_acknowledged_since(began + Duration::from_secs(1), STATE_BOUND).await;
    let mut told = writers.finish().await;

    // By chance the leader or a follower is left.
    let left = site.dice.usize(0..ROUTERS);
    let others: Vec<usize> = (0..ROUTERS).filter(|place| *place != left).collect();
    let was_leader = site.router().leader().await? == left;
    let from = Instant::now();
    for place in &others {
        callers.before_kill(*place);
        site.router_mut().kill(*place);
    }
    for place in &others {
        callers.after_kill(*place).await;
    }
    let alone = refused(site.router().admin(left)?, from, scope.time(20, 600)).await;

    let back = Instant::now();
    for place in &others {
        site.router_mut().start(*place, Joins::Peers)?;
    }
    let writers = Writers::start_behind(&told, Api::Router, servers, &mut site.dice);
    let is_writable = writers.until_acknowledged_since(back, STATE_BOUND).await;
    let writable_after = back.elapsed();
    for place in &others {
        site.router().until_caught_up(*place).await?;
        callers.start(&mut site, *place).await?;
    }
    let again = writers.finish().await;
    told.writes.extend(again.writes);
    told.refusals.extend(again.refusals);

    let wrote = Wrote { told, windows: vec![Window { from, to: back }], took: began.elapsed() };
    let mut findings = conclude(&site, &wrote, auditor, callers).await?;
    findings.fault("quorum_loss", 1);
    findings.figure("the_last_router_was_leader", was_leader);
    findings.figure("writable_again_after_ms", writable_after.as_millis() as u64);
    findings.require(is_writable, "with all routers back nothing can be changed");
    alone.judge(&mut findings);
    if !findings.passed() {
        findings.figure("files", site.keep());
    }
    Ok(findings)
}

/// How changes were refused.
#[derive(Default)]
struct Refused {
    asked: u64,
    slowest: Duration,
    /// Within the first seconds.
    slowest_at_first: Duration,
    accepted: u64,
    /// Of answers without the sentence, after the first seconds.
    wordless: Vec<String>,
}

/// Asks the last router for changes for a time.
async fn refused(server: std::net::SocketAddr, from: Instant, time: Duration) -> Refused {
    let mut seen = Refused::default();
    while from.elapsed() < time {
        let asked = Instant::now();
        let path = format!("/v1/groups/{WRITTEN_GROUP}/members/w1/drain?force=true");
        let answer = request(std::net::Ipv4Addr::LOCALHOST, server, ("POST", &path, ""), ANSWER_BOUND).await;
        let took = asked.elapsed();
        seen.asked += 1;
        let is_settled = asked - from > SETTLED_AFTER;
        match is_settled {
            true => seen.slowest = seen.slowest.max(took),
            false => seen.slowest_at_first = seen.slowest_at_first.max(took),
        }
        match answer {
            Some((200, _)) => seen.accepted += 1,
            Some((_, text)) if text.contains(SENTENCE) => {}
            other if is_settled => seen.wordless.push(format!("{other:?}")),
            _ => {}
        }
        sleep(ASK_EVERY).await;
    }
    seen
}

impl Refused {
    fn judge(&self, findings: &mut Findings) {
        findings.figure("changes_refused", self.asked);
        findings.figure("slowest_refusal_ms", self.slowest.as_millis() as u64);
        findings.figure("slowest_refusal_in_the_first_3_s_ms", self.slowest_at_first.as_millis() as u64);
        findings.require(
            self.slowest <= REFUSED_WITHIN,
            format!("a change was refused after {:?} only", self.slowest),
        );
        findings.require(
            self.accepted == 0,
            format!("{} changes were accepted without a majority", self.accepted),
        );
        findings.require(
            self.wordless.is_empty(),
            format!("{} refusals do not say why, as {:?}", self.wordless.len(), self.wordless.first()),
        );
    }
}
