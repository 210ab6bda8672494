//! A call that ends the process of every member that runs it.
//!
//! Promised: it takes two members with it and no third, its caller is told, and nobody else's call fails; but for a read that was
//! at both of these members when they were lost, for nobody can tell it from the poisonous one.

use std::time::Duration;

use rcs_cli::Failure;
use rcs_proto::driver::endpoint::RemoteError;
use tokio::time::{sleep, timeout};

use super::super::calls::Calls;
use super::super::load::{Load, Plan, connect};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

/// Members that a poisonous call may take (limits.rs: `POISON_LOSSES_MAX`).
const LOSSES: usize = 2;
const ANSWER_BOUND: Duration = Duration::from_secs(30);
const UP_BOUND: Duration = Duration::from_secs(60);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site =
        Site::start(members, SitePlan { members: 6, java_members: 4, ..SitePlan::default() }, seed).await?;
    let load = Load::start(&mut site, &Plan::default()).await?;
    load.until_ok(100, Duration::from_secs(10)).await;
    let poisoner = connect(&site).await?;
    let calls = Calls::prepare(&poisoner, &site).await?;

    let (mut lost, mut complaints) = (0, Vec::new());
    let rounds = scope.trials(2, 10);
    for _ in 0..rounds {
        match timeout(ANSWER_BOUND, poisoner.ask(calls.poison())).await {
            Ok(Err(RemoteError::Peer { .. })) => {}
            Ok(other) => complaints.push(format!("the poisonous call ended with {other:?}")),
            Err(_) => complaints.push("the poisonous call hung".to_owned()),
        }
        // A third member would be lost by now or soon.
        sleep(Duration::from_millis(300)).await;
        let dead: Vec<usize> = (0..site.members.len()).filter(|at| !site.members[*at].is_running()).collect();
        if dead.len() != LOSSES {
            complaints.push(format!("{} members were lost, not {LOSSES}", dead.len()));
        }
        lost += dead.len() as u64;
        for at in dead {
            site.members[at].kill();
            site.members[at].restart()?;
        }
        site.all_up(UP_BOUND).await?;
    }
    poisoner.close().await;

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let beside = tally.take_suspected();
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.figure("reads_at_both_lost_members", beside);
    findings.fault("poison", rounds as u64);
    findings.figure("members_lost", lost);
    for complaint in complaints {
        findings.require(false, complaint);
    }
    site.end(&mut findings);
    Ok(findings)
}
