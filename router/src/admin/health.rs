//! Health probes: live means that the routing loop runs; ready means that calls can be routed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rcs_core::engine::{Administration, MemberReport, Phase};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::json::Json;
use super::no_answer;
use crate::control::{Control, NoAnswer, Status};
use crate::files::Files;
use crate::limits::PROBE_FRESH;

/// Whether new calls should be sent to this router, and why not.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    members_up: usize,
    members: usize,
    /// Files on disk that are not in force; see `GET /v1/files`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rejected_files: Vec<&'static str>,
}

/// Asks the owner once for all probes of one moment. So any number of probes costs only a few questions, and no probe is refused because
/// of others.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    control: Control,
    files: Files,
    latest: Arc<Mutex<Option<Latest>>>,
}

/// The latest answer, with the time at which it came.
type Latest = (Instant, Result<Arc<Status>, NoAnswer>);

impl Pulse {
    pub(super) fn new(control: Control, files: Files) -> Self {
        Self { control, files, latest: Arc::default() }
    }

    /// The state, as the owner reported it after this was called or within [`PROBE_FRESH`] before.
    async fn status(&self) -> Result<Arc<Status>, NoAnswer> {
        let came = Instant::now();
        // The first probe holds the lock while it asks, so that the others wait for the same answer.
        let mut latest = self.latest.lock().await;
        match &*latest {
            Some((at, answer)) if *at + PROBE_FRESH > came => answer.clone(),
            _ => {
                let answer = self.control.status().await.map(Arc::new);
                *latest = Some((Instant::now(), answer.clone()));
                answer
            }
        }
    }
}

pub(super) async fn live(State(pulse): State<Pulse>) -> Response {
    match pulse.status().await {
        Ok(_) => "live\n".into_response(),
        Err(_) => no_answer(),
    }
}

pub(super) async fn ready(State(pulse): State<Pulse>) -> Response {
    let Ok(status) = pulse.status().await else { return no_answer() };
    let readiness = Readiness { rejected_files: pulse.files.rejected(), ..judge(&status) };
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

fn judge(status: &Status) -> Readiness {
    let all = || status.report.groups.iter().flat_map(|group| &group.members);
    // A member in several groups is one member.
    let members: BTreeMap<&str, &MemberReport> = all().map(|m| (&*m.name, m)).collect();
    let members_up: BTreeSet<&str> =
        all().filter(|member| member.takes_calls()).map(|member| &*member.name).collect();
    // Unfit ones serve as long as their group has no better (panic threshold): what ails them all is behind them, and to send
    // callers elsewhere would not mend it.
    let is_wanted = |member: &MemberReport| member.admin == Administration::Enabled;
    let is_reached = |m: &MemberReport| is_wanted(m) && (m.up || m.unfit.is_some());
    // In one of its groups a member may be right, in another one quarantined.
    let is_let = |m: &MemberReport| is_reached(m) && m.quarantine.is_none();
    let reason = match status.phase {
        Phase::Draining | Phase::Leaving => Some("draining"),
        Phase::Serving if !members.values().any(|m| is_reached(m)) => Some("no member is up"),
        Phase::Serving if !all().any(is_let) => {
            Some("every member that is up is quarantined for its bundle set: see rcs-router bundles status")
        }
        Phase::Serving => None,
    };
    Readiness {
        ready: reason.is_none(),
        reason,
        members_up: members_up.len(),
        members: members.len(),
        rejected_files: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use rcs_core::agreed::At;
    use rcs_core::engine::{GroupReport, GroupSupply, MemberMode, Report};
    use rcs_core::state::MemberState;

    use super::*;

    fn status(phase: Phase, groups: &[&[(&str, bool)]]) -> Status {
        let member = |(name, up): &(&str, bool)| MemberReport {
            name: (*name).to_owned(),
            state: if *up { MemberState::Serving } else { MemberState::Down },
            since: At(0),
            reason: None,
            until: None,
            error: None,
            mode: MemberMode::Server,
            address: None,
            via: None,
            server: None,
            set: None,
            latency: None,
            up: *up,
            unfit: None,
            quarantine: None,
            admin: Administration::Enabled,
            sockets: 0,
            in_flight: 0,
            connectors: Vec::new(),
        };
        let groups = groups.iter().map(|members| GroupReport {
            name: "g".to_owned(),
            algorithm: "failover",
            queued: 0,
            alarm: None,
            supply: GroupSupply::Served,
            callers_waiting: 0,
            members: members.iter().map(member).collect(),
        });
        Status { phase, report: Report { groups: groups.collect(), callers: 0, calls: 0, quarantined: 0 } }
    }

    #[test]
    fn ready_needs_one_member_and_no_drain() {
        let one_up: &[(&str, bool)] = &[("n1", false), ("n2", true)];
        for (phase, groups, reason) in [
            (Phase::Serving, vec![one_up], None),
            (Phase::Draining, vec![one_up], Some("draining")),
            (Phase::Serving, vec![&one_up[..1]], Some("no member is up")),
            (Phase::Serving, vec![], Some("no member is up")),
        ] {
            assert_eq!(judge(&status(phase, &groups)).reason, reason, "{groups:?}");
        }
    }

    /// A poison call makes every member of a group look unfit; the group serves all the same.
    #[test]
    fn ready_while_unfit_members_serve_in_panic() {
        let mut status = status(Phase::Serving, &[&[("n1", false), ("n2", false)]]);
        for member in &mut status.report.groups[0].members {
            member.unfit = Some("ejected");
        }
        let readiness = judge(&status);
        assert!(readiness.ready);
        assert_eq!((readiness.members_up, readiness.members), (0, 2));
    }

    /// Bundle sets that are wrong everywhere are not mended by waiting; one group that serves is enough.
    #[test]
    fn not_ready_when_every_member_is_quarantined_in_every_group() {
        let members: &[(&str, bool)] = &[("n1", true)];
        let mut status = status(Phase::Serving, &[members, members]);
        let quarantine = Some("is quarantined: it differs".to_owned());
        status.report.groups[0].members[0].quarantine.clone_from(&quarantine);
        status.report.groups[0].members[0].state = MemberState::Quarantined;
        assert!(judge(&status).ready);
        status.report.groups[1].members[0].quarantine = quarantine;
        status.report.groups[1].members[0].state = MemberState::Quarantined;
        let readiness = judge(&status);
        assert!(readiness.reason.is_some_and(|reason| reason.contains("bundle set")), "{readiness:?}");
        assert_eq!((readiness.members_up, readiness.members), (0, 1));
    }

    #[test]
    fn a_member_of_two_groups_counts_once() {
        let members: &[(&str, bool)] = &[("n1", true), ("n2", true)];
        let readiness = judge(&status(Phase::Serving, &[members, members]));
        assert_eq!((readiness.members_up, readiness.members), (2, 2));
    }
}
