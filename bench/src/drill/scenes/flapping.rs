//! A member comes and goes: up for a second, down for a second.
//!
//! Promised: no read fails, and the log does not flap along: at most one change of the member's state for each hold-down.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::{Instant, sleep};

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

const UP_FOR: Duration = Duration::from_secs(1);
const DOWN_FOR: Duration = Duration::from_secs(1);
/// The first hold-down and the longest (limits.rs: `HOLD_DOWN_BASE`, `HOLD_DOWN_CAP`); each is twice the one before.
const HOLD_DOWN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The words of a change of state in the router's log.
const CHANGES: [&str; 3] = ["member is up", "member is down", "member gets no calls"];

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan::default(), seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;
    site.router().log();

    let began = Instant::now();
    let (time, mut flaps) = (scope.time(12, 300), 0);
    while began.elapsed() < time {
        site.members[0].kill();
        sleep(DOWN_FOR).await;
        site.members[0].restart()?;
        sleep(UP_FOR).await;
        flaps += 1;
    }
    let name = format!("\"{}\"", site.members[0].name());
    let log = site.router().log();
    let changes: Vec<&String> = log
        .iter()
        .filter(|line| line.contains(&name) && CHANGES.iter().any(|words| line.contains(words)))
        .collect();
    let (count, allowed) = (changes.len(), 1 + hold_downs(began.elapsed()));

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault("flap", flaps);
    findings.figure("state_changes_logged", count);
    findings.figure("hold_downs", allowed - 1);
    findings.require(count > 0, "the log says nothing of the member");
    findings.require(count <= allowed, format!("{count} changes of state in the log, not at most {allowed}"));
    site.end(&mut findings);
    Ok(findings)
}

/// Hold-downs that begin within such a time, the first with the first loss.
fn hold_downs(time: Duration) -> usize {
    let (mut next, mut sum, mut count) = (HOLD_DOWN.0, Duration::ZERO, 0);
    while sum < time {
        sum += next;
        next = (next * 2).min(HOLD_DOWN.1);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_downs_double_up_to_their_cap() {
        for (seconds, count) in [(1, 1), (2, 2), (7, 3), (8, 4), (31, 5), (32, 6), (61, 6), (62, 7)] {
            assert_eq!(hold_downs(Duration::from_secs(seconds)), count, "{seconds} s");
        }
    }
}
