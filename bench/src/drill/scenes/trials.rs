//! Trials of detection: how long the router takes to see that a member is out, and that it is back.

use std::time::Duration;

use rcs_cli::Failure;
use tokio::time::Instant;

use super::super::load::{Load, Plan};
use super::super::members::Members;
use super::super::promise::Promise;
use super::super::report::Findings;
use super::super::site::{Site, SitePlan};
use super::Scope;

/// Longest wait for the router to see something.
const SEEN_BOUND: Duration = Duration::from_secs(45);

/// A member that is silent and has open sockets is out within this time, whatever silenced it (P6).
const SILENT_OUT_WITHIN: Duration = Duration::from_secs(10);
/// From the end of the silence: the next dial finds it, and the router's patience with the last one has to end.
const SILENT_BACK_WITHIN: Duration = Duration::from_secs(10);

/// How members fall silent, and speak again.
pub(super) trait Silence {
    /// What the findings call it.
    const FAULT: &'static str;

    /// Silences the member of this number.
    fn begin(&mut self, site: &mut Site, member: usize);

    /// Lets it speak again.
    fn end(&mut self, site: &mut Site, member: usize);
}

/// Silences one member after the other under calls, and times how the router takes it.
pub(super) async fn silence_each<S: Silence>(
    mut silence: S,
    members: &Members,
    scope: Scope,
    seed: u64,
) -> Result<Findings, Failure> {
    let mut site = Site::start(members, SitePlan { members: 6, ..SitePlan::default() }, seed).await?;
    // Many, since those whose call is at the silent member wait for it.
    let plan = Plan { workers: 40, pause: Duration::from_millis(150), ..Plan::default() };
    let load = Load::start(&mut site, &plan).await?;
    load.until_ok(100, Duration::from_secs(10)).await;

    let mut trials = Trials::default();
    for trial in 0..scope.trials(1, 30) {
        let chosen = trial % site.members.len();
        silence.begin(&mut site, chosen);
        trials.see_out(&site, chosen).await;
        silence.end(&mut site, chosen);
        trials.see_back(&site, chosen).await;
    }

    let mut tally = load.finish().await;
    site.compare(&mut tally).await;
    let mut findings = Findings::of(tally, Promise::EveryCallServed);
    findings.fault(S::FAULT, trials.count());
    trials.report(&mut findings, SILENT_OUT_WITHIN, SILENT_BACK_WITHIN);
    site.end(&mut findings);
    Ok(findings)
}

/// What the trials of one kind of fault found.
#[derive(Default)]
pub(super) struct Trials {
    out: Vec<Duration>,
    back: Vec<Duration>,
    /// Never seen within the bound.
    unseen: u64,
}

impl Trials {
    /// Waits until the member gets no calls; its fault began just now.
    pub(super) async fn see_out(&mut self, site: &Site, member: usize) {
        let Some(name) = site.members.get(member).map(|member| member.name().to_owned()) else { return };
        let began = Instant::now();
        match site.router().until_out(&name, SEEN_BOUND).await {
            Some(seen) => self.out.push(seen.saturating_duration_since(began)),
            None => self.unseen += 1,
        }
    }

    /// Waits until the member gets calls again; its fault ended just now.
    pub(super) async fn see_back(&mut self, site: &Site, member: usize) {
        let Some(name) = site.members.get(member).map(|member| member.name().to_owned()) else { return };
        let began = Instant::now();
        match site.router().until_up(&name, SEEN_BOUND).await {
            Some(seen) => self.back.push(seen.saturating_duration_since(began)),
            None => self.unseen += 1,
        }
    }

    /// Trials so far.
    pub(super) fn count(&self) -> u64 {
        self.out.len() as u64 + self.unseen
    }

    /// Adds them to the findings of a drill.
    pub(super) fn report(&self, findings: &mut Findings, out_within: Duration, back_within: Duration) {
        findings.times("detection", &self.out, Some(out_within));
        findings.times("return", &self.back, Some(back_within));
        findings.require(self.unseen == 0, format!("{} changes of a member were never seen", self.unseen));
    }
}
