//! Trials of detection: how long the router takes to see that a member is out, and that it is back.

use std::time::Duration;

use tokio::time::Instant;

use super::super::report::Findings;
use super::super::site::Site;

/// Longest wait for the router to see something.
const SEEN_BOUND: Duration = Duration::from_secs(45);

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
