//! The connectors of a group are upgraded by the book (docs/operating.md, task 3) under three kinds of IDM. The exact IDM has a reference
//! that names the old version. The range IDM has a reference with a range, and connects again during the upgrade. The newcomer connects
//! when both versions are there.
//!
//! Promised: no call fails. The step that would take the last member from the exact IDM is refused, with the version and the way out. With
//! a stand-in, the upgrade goes on.

use std::time::Duration;

use rcs_cli::{Exit, Failure};

use super::super::calls::Version;
use super::super::connector::BUNDLE;
use super::super::load::{Load, Plan};
use super::super::members::{FIRST_VERSION, Members};
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::super::tally::Tally;
use super::Scope;

/// The version that the members are upgraded to.
const NEXT: &str = "1.0.0.1";
/// The bundle of the Java members' connector.
const JAVA_BUNDLE: &str = "rig.connector";
const END_BOUND: Duration = Duration::from_secs(15);
const DRAIN_BOUND: Duration = Duration::from_secs(30);
const UP_BOUND: Duration = Duration::from_secs(60);
/// Calls of each kind of IDM between two steps.
const CALLS: u64 = 30;
const CALLS_BOUND: Duration = Duration::from_secs(30);

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let plan = SitePlan { members: 3, java_members: 3, ..SitePlan::default() };
    let mut site = Site::start(members, plan, seed).await?;
    let few = Plan { sessions: 1, ..Plan::default() };
    let calls = CALLS * scope.trials(1, 10) as u64;
    let (mut all, mut complaints) = (Tally::default(), Vec::new());

    let exact = Load::start(&mut site, &Plan::default()).await?;
    let range = Load::start_with(&mut site, &few, Version::Newest).await?;
    exact.until_ok(calls, CALLS_BOUND).await;

    upgrade(&mut site, 0, "quarantined").await?;
    expect(&site, "bundles/propose?member=n1", 200).await?;
    let newcomer = Load::start_with(&mut site, &few, Version::Newest).await?;
    upgrade(&mut site, 1, "matching_next").await?;
    // The range IDM connects again, and finds the newer version. The exact IDM connects again, and finds the old version.
    all.merge(range.finish().await);
    let range = Load::start_with(&mut site, &few, Version::Newest).await?;
    let again = Load::start_with(&mut site, &few, Version::Exact(FIRST_VERSION)).await?;
    for load in [&exact, &newcomer, &range, &again] {
        load.until_ok(calls, CALLS_BOUND).await;
    }

    let mut refusals = Vec::new();
    for change in ["members/n3/drain", "bundles/commit"] {
        let (status, text) = site.router().change(change).await?;
        if status != 409 || !text.contains(FIRST_VERSION) || !text.contains("stand-ins") {
            complaints.push(format!("{change} should be refused and name {FIRST_VERSION}: {status} {text}"));
        }
        refusals.push(text);
    }
    let bundle = if members.are_nodes() { BUNDLE } else { JAVA_BUNDLE };
    let rule = format!("{bundle}%2F%5B{FIRST_VERSION}%2C{NEXT}%5D");
    expect(&site, &format!("bundles/stand-ins?stand_in={rule}"), 200).await?;
    upgrade(&mut site, 2, "matching_next").await?;
    expect(&site, "bundles/commit", 200).await?;
    for load in [&exact, &newcomer, &range, &again] {
        if !load.until_ok(calls, CALLS_BOUND).await {
            complaints.push("an IDM has no answers after the commit".to_owned());
        }
    }

    for load in [exact, newcomer, range, again] {
        all.merge(load.finish().await);
    }
    site.compare(&mut all).await;
    let mut findings = Findings::of(all, Promise::EveryCallServed);
    findings.fault("upgrade", site.members.len() as u64);
    findings.figure("refusals", refusals);
    for complaint in complaints {
        findings.require(false, complaint);
    }
    site.end(&mut findings);
    Ok(findings)
}

/// Drains a member, starts the member with the next version, and undrains it.
async fn upgrade(site: &mut Site, chosen: usize, standing: &str) -> Result<(), Failure> {
    let name = site.members[chosen].name().to_owned();
    let stuck = |what: &str| Exit::Unavailable.with(format!("{name} {what}"));
    site.router().mark(&name, "drain").await?;
    if !site.router().until_drained(&name, DRAIN_BOUND).await {
        return Err(stuck("is never drained"));
    }
    if !site.members[chosen].terminate(END_BOUND).await {
        return Err(stuck("does not end by itself"));
    }
    site.members[chosen].upgrade(NEXT);
    site.members[chosen].restart()?;
    site.router().mark(&name, "undrain").await?;
    if !site.router().until_standing(&name, standing, UP_BOUND).await {
        return Err(stuck(&format!("is not {standing}")));
    }
    // A quarantined member gets no calls, so there is nothing more to wait for.
    if standing != "quarantined" && site.router().until_up(&name, UP_BOUND).await.is_none() {
        return Err(stuck("is not in use"));
    }
    Ok(())
}

async fn expect(site: &Site, change: &str, wanted: u16) -> Result<(), Failure> {
    match site.router().change(change).await? {
        (status, _) if status == wanted => Ok(()),
        (status, text) => Err(Exit::Unavailable.with(format!("{change}: {status} {text}"))),
    }
}
