//! `GET /v1/status`: whether the router serves every group, in one word and one sentence; files that were rejected, certificates that end
//! soon, and the router's version.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use rcs_consensus::{self as cluster, Role};
use rcs_core::engine::{Administration, GroupReport, GroupSupply, Phase};
use serde::Serialize;

use super::json::Json;
use super::{Admin, no_answer};
use crate::access::IssuerState;
use crate::control::Status;
use crate::files::FileState;
use crate::idms::IdmState;

/// How well a group, or the whole router, is off. The order is from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Condition {
    /// Every member that should serve serves.
    Ok,
    /// Calls are served, by fewer members than should serve; or the router is shutting down.
    Degraded,
    /// A group has no member for its calls.
    Down,
}

#[derive(Debug, Serialize)]
struct Summary<'a> {
    version: &'static str,
    condition: Condition,
    sentence: String,
    callers: usize,
    calls: usize,
    /// Lines of the log that were lost.
    log_lines_lost: u64,
    /// Files on disk that are not in force.
    rejected_files: Vec<RejectedFile<'a>>,
    /// A sentence for each certificate of the trust store, of a router of the cluster, and for the router's own, that has ended or ends soon, and for
    /// what is wrong with the cluster.
    warnings: Vec<String>,
    /// The certificate that the router shows, if it has one.
    own_certificate: Option<OwnCertificate<'a>>,
    /// The IDMs that the router dials, with a row for each URL.
    idms: Vec<IdmState>,
    /// The issuers of access tokens, by name.
    issuers: Vec<IssuerState>,
    groups: Vec<Group<'a>>,
}

/// The certificate that the router shows.
#[derive(Debug, Serialize)]
struct OwnCertificate<'a> {
    subject: &'a str,
    /// The last day on which it is valid (UTC).
    ends: String,
    /// Whole days until then; negative once it has ended.
    days_left: i64,
}

#[derive(Debug, Serialize)]
struct RejectedFile<'a> {
    file: &'static str,
    /// When the router saw the file first (RFC 3339).
    since: &'a str,
    /// What is wrong and what to do.
    why: &'a str,
}

#[derive(Debug, Serialize)]
struct Group<'a> {
    group: &'a str,
    condition: Condition,
    /// Members that get the group's calls.
    serving: usize,
    members: usize,
    /// Calls that wait in the group's queue.
    queued: usize,
    /// Members that do not serve, and why.
    missing: Vec<Missing<'a>>,
}

#[derive(Debug, Serialize)]
struct Missing<'a> {
    member: &'a str,
    /// A word of [`MemberState`](rcs_core::state::MemberState).
    state: &'static str,
    reason: Option<&'a str>,
}

pub(super) async fn show(State(admin): State<Admin>) -> Response {
    let Ok(status) = admin.control.status().await else { return no_answer() };
    let (files, trusted) = (admin.files.all(), admin.files.certificates());
    let mut warnings = crate::trust::date_warnings(&trusted.of_all);
    let now = crate::identity::now();
    let own = trusted.own.as_ref();
    let of_own = own.and_then(|own| own.warning_as_own(now, crate::identity::OWN_WAY_OUT));
    warnings.extend(of_own.map(|warning| format!("the router's certificate: {warning}")));
    let own_certificate = own.map(|own| OwnCertificate {
        subject: &own.subject,
        ends: own.last_day(),
        days_left: own.days_left(now),
    });
    let seen = summary(&status);
    let of_cluster = admin.cluster.as_ref().and_then(|cluster| leaderless(&cluster.status().borrow()));
    // Calls are served, but nobody can react to what happens to members, or callers that verify the certificate cannot connect.
    let idms = admin.idms.all();
    let issuers = admin.access.issuers();
    let unasked = issuers.iter().filter_map(IssuerState::warning);
    let lost: Vec<String> = idms.iter().filter_map(IdmState::warning).chain(unasked).collect();
    // The same of an IDM that the router does not reach, and of an issuer: a peer cannot connect.
    let is_short = of_cluster.is_some() || own.is_some_and(|own| !own.is_valid(now)) || !lost.is_empty();
    let condition = if is_short { seen.condition.max(Condition::Degraded) } else { seen.condition };
    warnings.extend(of_cluster);
    warnings.extend(lost);
    if let Some(cluster) = &admin.cluster {
        warnings.extend(super::cluster::ending(&cluster.certificates()));
    }
    let rejected_files = files.iter().filter_map(rejected).collect();
    let summary = Summary { rejected_files, warnings, own_certificate, idms, issuers, condition, ..seen };
    Json(summary).into_response()
}

/// What is to be said of a cluster in which nothing can be changed.
fn leaderless(status: &cluster::Status) -> Option<String> {
    let routes = "this router routes on what it knew last, and nothing can be changed";
    match (&status.role, status.leader) {
        (Role::Down { reason }, _) => Some(format!("the consensus part of this router does not run ({reason}): {routes}")),
        (Role::Removed, _) => Some(format!("this router was removed from its cluster: {routes}. Stop it")),
        (Role::Waiting, _) => Some(
            "this router belongs to no cluster yet: start the other routers, or add this one with `rcs-router cluster add`".to_owned(),
        ),
        (_, None) => Some(format!("the cluster has no leader that this router can hear: {routes}. See `rcs-router cluster status`")),
        (_, Some(_)) => None,
    }
}

fn rejected(state: &FileState) -> Option<RejectedFile<'_>> {
    let rejected = state.rejected.as_ref()?;
    Some(RejectedFile { file: state.file, since: &rejected.since, why: &rejected.why })
}

/// What the engine knows; of files nothing.
fn summary(status: &Status) -> Summary<'_> {
    let report = &status.report;
    let groups: Vec<Group<'_>> = report.groups.iter().map(group).collect();
    let worst = groups.iter().map(|group| group.condition).max().unwrap_or(Condition::Down);
    let is_draining = status.phase != Phase::Serving;
    let condition = if is_draining { worst.max(Condition::Degraded) } else { worst };
    let sentence = if is_draining {
        "the router is shutting down and refuses new calls".to_owned()
    } else {
        sentence(&groups)
    };
    Summary {
        version: env!("CARGO_PKG_VERSION"),
        condition,
        sentence,
        callers: report.callers,
        calls: report.calls,
        log_lines_lost: rcs_cli::log::lines_lost(),
        rejected_files: Vec::new(),
        warnings: Vec::new(),
        own_certificate: None,
        idms: Vec::new(),
        issuers: Vec::new(),
        groups,
    }
}

fn group(report: &GroupReport) -> Group<'_> {
    let away = report.members.iter().filter(|member| !member.takes_calls());
    let missing = away.clone().map(|member| Missing {
        member: &member.name,
        state: member.state.label(),
        reason: member.reason.as_deref(),
    });
    // Members that somebody took out of service on purpose do not count as missing.
    let is_short =
        away.clone().any(|member| member.admin == Administration::Enabled) || report.alarm.is_some();
    let condition = match report.supply {
        GroupSupply::Served if is_short => Condition::Degraded,
        GroupSupply::Served => Condition::Ok,
        GroupSupply::NeverServed | GroupSupply::OutSince(_) => Condition::Down,
    };
    let missing: Vec<_> = missing.collect();
    let members = report.members.len();
    let serving = members - missing.len();
    Group { group: &report.name, condition, serving, members, queued: report.queued, missing }
}

fn sentence(groups: &[Group<'_>]) -> String {
    let those = |condition: Condition| {
        let names: Vec<&str> =
            groups.iter().filter(|group| group.condition == condition).map(|group| group.group).collect();
        names.join(", ")
    };
    let (down, degraded) = (those(Condition::Down), those(Condition::Degraded));
    match (groups.len(), down.is_empty(), degraded.is_empty()) {
        (0, ..) => "the provider file has no group and no server".to_owned(),
        (_, false, _) => format!("no member serves {down}: calls wait or fail; see `rcs-router member list`"),
        (_, true, false) => {
            format!("all calls are served, but not every member of {degraded} serves as it should")
        }
        (1, true, true) => "the group is served by all its members".to_owned(),
        (count, true, true) => format!("all {count} groups are served by all their members"),
    }
}

#[cfg(test)]
mod tests {
    use rcs_core::agreed::At;
    use rcs_core::bundles::group::Alarm;

    use super::*;

    fn of(name: &str, supply: GroupSupply, alarm: Option<Alarm>) -> GroupReport {
        GroupReport {
            name: name.to_owned(),
            algorithm: "failover",
            queued: 0,
            alarm,
            supply,
            callers_waiting: 0,
            members: Vec::new(),
        }
    }

    #[test]
    fn the_worst_group_decides_and_is_named() {
        let (fine, out) = (GroupSupply::Served, GroupSupply::OutSince(At(0)));
        for (phase, groups, condition, words) in [
            (
                Phase::Serving,
                vec![of("a", fine, None), of("b", fine, None)],
                Condition::Ok,
                "all 2 groups are served",
            ),
            (
                Phase::Serving,
                vec![of("a", fine, Some(Alarm::KeepsLast)), of("b", fine, None)],
                Condition::Degraded,
                "not every member of a serves",
            ),
            (
                Phase::Serving,
                vec![of("a", fine, None), of("b", out, None)],
                Condition::Down,
                "no member serves b:",
            ),
            (
                Phase::Serving,
                vec![of("a", GroupSupply::NeverServed, None)],
                Condition::Down,
                "no member serves a:",
            ),
            (Phase::Serving, vec![], Condition::Down, "no group and no server"),
            (Phase::Draining, vec![of("a", fine, None)], Condition::Degraded, "shutting down"),
        ] {
            let report = rcs_core::engine::Report { groups, callers: 0, calls: 0, quarantined: 0 };
            let status = Status { phase, report };
            let summary = summary(&status);
            assert_eq!(summary.condition, condition, "{summary:?}");
            assert!(summary.sentence.contains(words), "{summary:?}");
        }
    }
}
