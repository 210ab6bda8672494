//! A configuration that ends the process of every member that meets it, in a call or in a `test`. Members are started again at once, as a
//! supervisor would do.
//!
//! Promised: the configuration ends two members and no third, however often its caller calls again. The caller gets an error that names
//! the quarantine. Members are not tested or warmed up with the configuration. No other call fails, except a read that was at both of
//! these members when they were lost.

use std::time::Duration;

use rcs_cli::Failure;
use rcs_proto::driver::endpoint::RemoteError;
use tokio::time::{Instant, sleep, timeout};

use super::super::calls::Calls;
use super::super::load::{Load, Plan, connect};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

/// Members that a poisonous configuration may end (limits.rs: `POISON_LOSSES_MAX`).
const LOSSES: usize = 2;
/// The longest time for which the bad configuration is called with.
const LONGEST: Duration = Duration::from_secs(45);
const ANSWER_BOUND: Duration = Duration::from_secs(30);
const UP_BOUND: Duration = Duration::from_secs(60);
/// Pause between two calls of the caller with the bad configuration.
const AGAIN: Duration = Duration::from_millis(700);
/// The words by which the router's refusal of a quarantined configuration is recognized (router/core/src/verdict/error.rs).
const QUARANTINED: &str = "has quarantined the configuration";

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site =
        Site::start(members, SitePlan { members: 5, java_members: 4, ..SitePlan::default() }, seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;
    let poisoner = connect(&site).await?;
    let calls = Calls::prepare(&poisoner, &site).await?;

    let (mut lost, mut refused, mut complaints) = (0, 0u64, Vec::new());
    // Shorter than the first quarantine (limits.rs: `QUARANTINE_BASE`); long enough for each member's probes and warm-ups.
    let (end, last) = (Instant::now() + scope.time(12, 45).min(LONGEST), Instant::now() + LONGEST);
    // Java members take seconds to come back, and the quarantine begins only after two of them were lost.
    while Instant::now() < end || refused == 0 && Instant::now() < last {
        match timeout(ANSWER_BOUND, poisoner.ask(calls.poison_configuration())).await {
            Ok(Err(RemoteError::Peer { message, .. })) => refused += u64::from(message.contains(QUARANTINED)),
            Ok(other) => {
                complaints.push(format!("a call with the poisonous configuration ended with {other:?}"))
            }
            Err(_) => complaints.push("a call with the poisonous configuration hung".to_owned()),
        }
        for member in &mut site.members {
            if !member.is_running() {
                lost += 1;
                member.kill();
                member.restart()?;
            }
        }
        sleep(AGAIN).await;
    }
    site.all_up(UP_BOUND).await?;
    poisoner.close().await;

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let beside = tally.take_suspected();
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.figure("reads_at_both_lost_members", beside);
    findings.fault("poison_configuration", 1);
    findings.figure("members_lost", lost);
    findings.figure("calls_refused", refused);
    findings.require(lost == LOSSES, format!("{lost} members were lost, not {LOSSES}"));
    findings.require(refused > 0, "no call with the configuration was refused for it");
    for complaint in complaints {
        findings.require(false, complaint);
    }
    site.end(&mut findings);
    Ok(findings)
}
