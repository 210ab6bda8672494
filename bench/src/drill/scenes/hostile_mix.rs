//! Strangers, a caller, a member, a configuration and admin clients do what harm they can, all at once, while steady callers go on.
//!
//! Promised (P15): no error for a steady caller, a 99th percentile of at most twice its quiet value, memory below the stated
//! bound, and `/livez` within a second all the time.

use std::sync::Arc;
use std::time::Duration;

use rcs_cli::Failure;
use rcs_proto::driver::endpoint::Caller;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::super::calls::Calls;
use super::super::hostile::{BadMember, Mix, Target};
use super::super::load::{Load, Plan, connect};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::router::http;
use super::super::site::{Site, SitePlan};
use super::super::tally::Ask;
use super::Scope;

/// Resident memory that the router may have at most, in bytes: the figure of README.md, and 256 KiB for each of some 2,000 sockets.
const MEMORY_MAX: u64 = (2_200 << 20) + (512 << 20);
/// Memory that the process may reserve at most, in bytes. Reserved memory that is not resident has some room.
const MEMORY_LIMIT: u64 = MEMORY_MAX + (256 << 20);
/// The longest time for which the quiet figures are measured, however long the attack is.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// Longest wait for an answer to a call with the bad configuration; and the pause between two such calls.
const ANSWER_BOUND: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(700);
/// How much the steady callers' 99th percentile may grow; and the growth, in ms, below which nothing is judged.
const GROWTH: (f64, f64) = (2.0, 20.0);
/// Longest wait for `/livez`.
const LIVE_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let bad_member = BadMember::listen();
    let beside = vec![("hostile".to_owned(), bad_member.port())];
    let mut site = Site::start(members, SitePlan { beside, ..SitePlan::default() }, seed).await?;
    site.router().limit_memory(MEMORY_LIMIT)?;
    let steady = Plan {
        sessions: 4,
        workers: 2,
        pause: Duration::from_millis(50),
        mix: vec![Ask::Get, Ask::Get, Ask::Get, Ask::Search, Ask::Create, Ask::Login],
    };

    let load = Load::start(&mut site, &steady).await?;
    sleep(scope.time(5, 60).min(QUIET_MAX)).await;
    let quiet = load.finish().await;

    let load = Load::start(&mut site, &steady).await?;
    let target = Target { listen: site.router().listen(), admin: site.router().admin() };
    let mix = Mix::start(target, bad_member)?;
    let watch = Watch::over(&mut site, scope.time(10, 600)).await?;
    let harm = mix.end();
    let mut tally = load.finish().await;
    let (p99_quiet, p99) = (quiet.p99_ms(), tally.p99_ms());
    site.compare(&mut tally).await;

    // A steady read that was at both lost members looks to the router like the call that ended them. Such reads may fail, and are counted
    // apart.
    let beside = tally.take_suspected();
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.figure("reads_at_both_lost_members", beside);
    for (kind, times) in harm {
        findings.fault(kind, times);
        findings.require(times > 0, format!("{kind} did no harm at all: this proves nothing"));
    }
    findings.figure("steady_p99_ms_quiet", p99_quiet);
    findings.figure("steady_p99_ms", p99);
    if scope != Scope::Short {
        // In a few seconds the loss of two members alone decides about one call of a hundred.
        let most = p99_quiet.map(|quiet| (quiet * GROWTH.0).max(quiet + GROWTH.1));
        let grown = format!("the steady callers' p99 grew from {p99_quiet:?} to {p99:?} ms");
        findings.require(p99.zip(most).is_some_and(|(p99, most)| p99 <= most), grown);
    }
    watch.judge(&mut findings);
    site.end(&mut findings);
    Ok(findings)
}

/// What was seen of the router from outside, while a bad configuration was called with over and over.
#[derive(Default)]
struct Watch {
    /// Bytes that were resident at most, and at the end.
    memory_most: u64,
    memory_last: u64,
    /// Longest time of a `/livez`, and how many had no answer in time.
    live_worst: Duration,
    live_late: u64,
    looks: u64,
    /// Calls with the bad configuration, those that hung, and members that ended.
    bad_calls: u64,
    bad_hung: u64,
    members_lost: u64,
}

impl Watch {
    async fn over(site: &mut Site, time: Duration) -> Result<Self, Failure> {
        let caller = Arc::new(connect(site).await?);
        let calls = Arc::new(Calls::prepare(&caller, site).await?);
        let (admin, end) = (site.router().admin(), Instant::now() + time);
        let mut seen = Self::default();
        let mut bad = bad_call(&caller, &calls);
        while Instant::now() < end {
            let asked = Instant::now();
            let live = timeout(LIVE_WITHIN, http(admin, "GET", "/livez")).await;
            seen.looks += 1;
            seen.live_worst = seen.live_worst.max(asked.elapsed());
            seen.live_late += u64::from(!matches!(live, Ok(Some((200, _)))));
            (seen.memory_last, seen.memory_most) = site.router().memory();
            if bad.is_finished() {
                seen.bad_calls += 1;
                seen.bad_hung += u64::from(!matches!(bad.await, Ok(Ended::Answered)));
                bad = bad_call(&caller, &calls);
            }
            for member in &mut site.members {
                if !member.is_running() {
                    seen.members_lost += 1;
                    member.kill();
                    member.restart()?;
                }
            }
            sleep(LOOK_EVERY).await;
        }
        bad.abort();
        Ok(seen)
    }

    fn judge(&self, findings: &mut Findings) {
        findings.fault("bad_configuration", self.bad_calls);
        findings.figure("members_lost", self.members_lost);
        findings.figure("router_rss_most_bytes", self.memory_most);
        findings.figure("router_rss_bytes", self.memory_last);
        findings.figure("livez_asked", self.looks);
        findings.figure("livez_worst_ms", self.live_worst.as_millis() as u64);
        findings.require(
            self.memory_most > 0 && self.memory_most <= MEMORY_MAX,
            format!(
                "the router used {} MiB of memory, more than {}",
                self.memory_most >> 20,
                MEMORY_MAX >> 20
            ),
        );
        findings.require(
            self.live_late == 0,
            format!("{} of {} /livez had no answer within a second", self.live_late, self.looks),
        );
        findings
            .require(self.bad_hung == 0, format!("{} calls with the bad configuration hung", self.bad_hung));
    }
}

/// How a call with the bad configuration ended.
enum Ended {
    Answered,
    Hung,
}

/// A call whose configuration ends the member that runs it. It ends with an error, whatever happens.
fn bad_call(caller: &Arc<Caller>, calls: &Arc<Calls>) -> JoinHandle<Ended> {
    let (caller, calls) = (Arc::clone(caller), Arc::clone(calls));
    tokio::spawn(async move {
        let answer = timeout(ANSWER_BOUND, caller.ask(calls.poison_configuration())).await;
        sleep(AGAIN).await;
        answer.map_or(Ended::Hung, |_| Ended::Answered)
    })
}
