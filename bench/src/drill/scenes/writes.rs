//! The end of a drill of a cluster: what writers were told is held against the audit log, and the routers against each other.

use std::time::Duration;

use rcs_cli::{Exit, Failure};
use rcs_rig::porcupine::Verdict;

use super::super::cluster::{Auditor, Callers, Routers, Told, Window, by_porcupine, judge};
use super::super::report::Findings;
use super::super::site::Site;

/// What writers did.
pub(super) struct Wrote {
    pub(super) told: Told,
    /// When the routers were damaged.
    pub(super) windows: Vec<Window>,
    pub(super) took: Duration,
}

impl Wrote {
    /// Acknowledged writes a second, outside of these pauses.
    pub(super) fn rate(&self, pauses: Duration) -> f64 {
        let acknowledged = self.told.writes.iter().filter(|write| write.acknowledged).count();
        acknowledged as f64 / self.took.saturating_sub(pauses).as_secs_f64().max(0.001)
    }
}

/// Waits until all routers are equal, ends the callers, and judges calls and writes.
pub(super) async fn conclude(
    site: &Site<Routers>,
    wrote: &Wrote,
    auditor: Auditor,
    callers: Callers,
) -> Result<Findings, Failure> {
    let are_equal = site.router().until_equal().await;
    if let Some(place) = site.router().running().first() {
        auditor.read(site.router().admin(*place)?).await;
    }
    let audit = auditor.finish();
    let mut findings = callers.finish(site).await;
    findings.require(are_equal, "the routers differ in revision, marks or audit log at the end");
    findings.require(audit.missed == 0, "entries of the audit log were dropped before they were read");
    let judged = judge(&wrote.told.writes, &audit.numbers);
    for (count, what) in [
        (judged.lost, "acknowledged writes were lost"),
        (judged.doubled, "writes were applied twice"),
        (judged.out_of_order, "writes stand in the log before one that was acknowledged before they began"),
    ] {
        findings.require(count == 0, format!("{count} {what}"));
    }
    findings.require(judged.acknowledged > 0, "no write was acknowledged");
    let (writes, numbers) = (wrote.told.writes.clone(), audit.numbers);
    let verdict = tokio::task::spawn_blocking(move || by_porcupine(&writes, &numbers));
    let verdict = verdict.await.map_err(|error| Exit::Internal.with(format!("Porcupine: {error}")))?;
    findings.require(
        matches!(verdict, None | Some(Verdict::Linearizable)),
        format!("the history is not linearizable, says Porcupine: {verdict:?}"),
    );
    findings
        .figure("porcupine", verdict.map_or_else(|| "not run".to_owned(), |verdict| format!("{verdict:?}")));
    findings.figure("writes", judged);
    findings.figure("write_refusals", &wrote.told.refusals);
    Ok(findings)
}
