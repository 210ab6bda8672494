//! A cluster grows from one router to three and to five, each router is replaced once by one with an empty disk, and it shrinks to three
//! again: under calls at every router, and writes all the time.
//!
//! Promised: callers of routers that stay notice nothing, no acknowledged write is lost, and at the end all routers have the same state.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::Instant;

use super::super::cluster::{
    Agreeing as _, Api, Auditor, Callers, Joins, Routers, STATE_BOUND, Window, Writers, cluster_site,
    longest_pauses,
};
use super::super::members::Members;
use super::super::report::Findings;
use super::super::site::Site;
use super::Scope;
use super::writes::{Wrote, conclude};

const ROUTERS: usize = 5;

pub(super) async fn perform(members: &Members, scope: Scope, seed: u64) -> Result<Findings, Failure> {
    let mut site = cluster_site(members, ROUTERS, seed).await?;
    let mut growth = Growth { callers: Callers::of(&site), windows: Vec::new() };
    site.router_mut().start(0, Joins::Alone)?;
    site.router().until_caught_up(0).await?;
    growth.callers.start(&mut site, 0).await?;
    let servers = site.router().servers();
    let auditor = Auditor::start(servers.clone(), fastrand::Rng::with_seed(site.dice.u64(..)));
    let writers = Writers::start(Api::Router, servers, &mut site.dice);
    let (began, time) = (Instant::now(), scope.time(1, 120));
    let mut rounds = 0;
    while rounds == 0 || began.elapsed() < time {
        for place in 1..3 {
            growth.add(&mut site, &writers, place).await?;
        }
        for place in 3..ROUTERS {
            growth.add(&mut site, &writers, place).await?;
        }
        for place in 0..ROUTERS {
            growth.replace(&mut site, &writers, place).await?;
        }
        for place in (3..ROUTERS).rev() {
            growth.remove(&mut site, &writers, place).await?;
        }
        rounds += 1;
        if began.elapsed() < time {
            for place in [2, 1] {
                growth.remove(&mut site, &writers, place).await?;
            }
        }
    }
    let wrote = Wrote { told: writers.finish().await, windows: growth.windows, took: began.elapsed() };
    let mut findings = conclude(&site, &wrote, auditor, growth.callers).await?;
    findings.fault("changes_of_the_cluster", wrote.windows.len() as u64);
    let pauses = longest_pauses(&wrote.told.writes, &wrote.windows);
    findings.times("write_pause", &pauses, None);
    findings.figure("writes_per_second_outside_pauses", wrote.rate(pauses.iter().sum()).round());
    if !findings.passed() {
        findings.figure("files", site.keep());
    }
    Ok(findings)
}

/// The cluster's way from size to size.
struct Growth {
    callers: Callers,
    windows: Vec<Window>,
}

impl Growth {
    async fn add(
        &mut self,
        site: &mut Site<Routers>,
        writers: &Writers,
        place: usize,
    ) -> Result<(), Failure> {
        let from = Instant::now();
        let by = any(site, place);
        site.router_mut().start(place, Joins::Added)?;
        site.router().change(by, "add", place).await?;
        self.arrived(site, writers, place, from).await
    }

    /// Kills the router and takes its disk away.
    async fn replace(
        &mut self,
        site: &mut Site<Routers>,
        writers: &Writers,
        place: usize,
    ) -> Result<(), Failure> {
        let from = Instant::now();
        let by = any(site, place);
        self.callers.before_kill(place);
        site.router_mut().kill(place);
        self.callers.after_kill(place).await;
        site.router().wipe(place)?;
        site.router_mut().start(place, Joins::Added)?;
        // Without a leader, which may have been the router that is gone, nothing can be changed.
        site.router().leader().await?;
        site.router().change(by, "replace", place).await?;
        self.arrived(site, writers, place, from).await
    }

    /// Removes a router, and ends it then.
    async fn remove(
        &mut self,
        site: &mut Site<Routers>,
        writers: &Writers,
        place: usize,
    ) -> Result<(), Failure> {
        let from = Instant::now();
        let by = any(site, place);
        site.router().change(by, "remove", place).await?;
        self.callers.before_kill(place);
        site.router_mut().kill(place);
        self.callers.after_kill(place).await;
        site.router().wipe(place)?;
        self.seen(writers, from).await;
        Ok(())
    }

    async fn arrived(
        &mut self,
        site: &mut Site<Routers>,
        writers: &Writers,
        place: usize,
        from: Instant,
    ) -> Result<(), Failure> {
        site.router().until_caught_up(place).await?;
        self.callers.start(site, place).await?;
        self.seen(writers, from).await;
        Ok(())
    }

    async fn seen(&mut self, writers: &Writers, from: Instant) {
        let now = Instant::now();
        writers.until_acknowledged_since(now, STATE_BOUND).await;
        self.windows.push(Window { from, to: Instant::now().max(now + Duration::from_millis(1)) });
    }
}

/// A router that runs, by chance, other than this one.
fn any(site: &mut Site<Routers>, but: usize) -> usize {
    let running: Vec<usize> = site.router().running().into_iter().filter(|place| *place != but).collect();
    site.dice.choice(&running).copied().unwrap_or(0)
}
