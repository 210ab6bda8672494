//! Strangers, a caller, a member, a configuration and admin clients do what harm they can, all at once, while steady callers go on.
//!
//! Promised (P15): no error for a steady caller, a 99th percentile of at most twice its quiet value, memory below the stated
//! bound, and `/livez` within a second all the time.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep, timeout};

use super::super::hostile::{BadMember, Mix, Target};
use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::router::{Router, http};
use super::super::site::{Site, SitePlan};
use super::super::tally::Ask;
use super::Scope;

/// Resident memory that the router may have at most, bytes: README's figure.
const MEMORY_MAX: u64 = 1 << 30;
/// The process's limit: what is reserved and not resident has some room.
const MEMORY_LIMIT: u64 = MEMORY_MAX + (512 << 20);
/// How much the steady callers' 99th percentile may grow, and below which growth there is nothing to see, ms.
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
    sleep(scope.time(5, 60)).await;
    let quiet = load.finish().await;

    let load = Load::start(&mut site, &steady).await?;
    let target = Target { listen: site.router().listen(), admin: site.router().admin() };
    let mix = Mix::start(target, bad_member)?;
    let watch = Watch::over(site.router(), scope.time(10, 600)).await;
    let harm = mix.end();
    let mut tally = load.finish().await;
    let (p99_quiet, p99) = (quiet.p99_ms(), tally.p99_ms());
    site.compare(&mut tally).await;

    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    for (kind, times) in harm {
        findings.fault(kind, times);
        findings.require(times > 0, format!("{kind} did no harm at all: this proves nothing"));
    }
    findings.figure("steady_p99_ms_quiet", p99_quiet);
    findings.figure("steady_p99_ms", p99);
    let most = p99_quiet.map(|quiet| (quiet * GROWTH.0).max(quiet + GROWTH.1));
    let grown = format!("the steady callers' p99 grew from {p99_quiet:?} to {p99:?} ms");
    findings.require(p99.zip(most).is_some_and(|(p99, most)| p99 <= most), grown);
    watch.judge(&mut findings);
    site.end(&mut findings);
    Ok(findings)
}

/// What was seen of the router from outside.
struct Watch {
    /// Bytes that were resident at most, and at the end.
    memory_most: u64,
    memory_last: u64,
    /// Longest time of a `/livez`, and those without an answer in time.
    live_worst: Duration,
    live_late: u64,
    looks: u64,
}

impl Watch {
    async fn over(router: &Router, time: Duration) -> Self {
        let end = Instant::now() + time;
        let mut seen =
            Self { memory_most: 0, memory_last: 0, live_worst: Duration::ZERO, live_late: 0, looks: 0 };
        while Instant::now() < end {
            let asked = Instant::now();
            let live = timeout(LIVE_WITHIN, http(router.admin(), "GET", "/livez")).await;
            seen.looks += 1;
            seen.live_worst = seen.live_worst.max(asked.elapsed());
            seen.live_late += u64::from(!matches!(live, Ok(Some((200, _)))));
            (seen.memory_last, seen.memory_most) = router.memory();
            sleep(LOOK_EVERY).await;
        }
        seen
    }

    fn judge(&self, findings: &mut Findings) {
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
    }
}
