//! The text of `/metrics`.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use rcs_core::agreed::At;
use rcs_core::engine::Report;
use rcs_core::state::MemberState;
use rcs_proto::driver::spill::{Spill, Waiting};
use rcs_proto::driver::tls::Certificate;

use super::cluster::of_cluster;
use super::format::{Format, classic};
use super::process::Process;
use super::{
    AdminRefusals, CertificateLabels, GroupLabel, IdmLabel, IdmLabels, IssuerLabel, MemberLabels,
    OwnCertificateLabels, Reloads, StateLabels, VersionLabel, WhereLabel, names,
};
use crate::access::{Access, IssuerState};
use crate::cluster::Cluster;
use crate::files::{Certificates, Files};
use crate::idms::{Board, IdmState};
use crate::limits::METRIC_CERTIFICATES_MAX;
use crate::unknown::Unknowns;

/// Shows the metrics.
#[derive(Debug)]
pub(crate) struct Scraper {
    counted: Registry,
    refusals: AdminRefusals,
    asked: Asked,
}

/// What is asked at each scrape: each of these knows its own figures.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) spill: Arc<Spill>,
    pub(crate) reloads: Reloads,
    pub(crate) unknowns: Unknowns,
    pub(crate) files: Files,
    pub(crate) access: Access,
    pub(crate) idms: Board,
}

impl Scraper {
    pub(super) fn new(counted: Registry, refusals: AdminRefusals, asked: Asked) -> Self {
        Self { counted, refusals, asked }
    }

    /// Where refused requests to the admin address are counted.
    pub(crate) fn refusals(&self) -> AdminRefusals {
        self.refusals.clone()
    }

    /// Everything counted so far, the gauges of this report, and the number of open event streams, in this format.
    pub(crate) fn text(
        &self,
        report: &Report,
        cluster: Option<&Cluster>,
        event_streams: usize,
        format: Format,
    ) -> Result<String, fmt::Error> {
        let Asked { spill, reloads, unknowns, files, access, idms } = &self.asked;
        let mut text = String::new();
        encode_registry(&mut text, &gauges(report, spill.waiting()))?;
        encode_registry(&mut text, &of_process(&Process::now(), reloads))?;
        encode_registry(&mut text, &of_unknowns(unknowns))?;
        encode_registry(&mut text, &of_streams(event_streams))?;
        encode_registry(&mut text, &of_certificates(&files.certificates()))?;
        encode_registry(&mut text, &of_issuers(&access.issuers()))?;
        encode_registry(&mut text, &of_idms(&idms.all()))?;
        if let Some(cluster) = cluster {
            encode_registry(&mut text, &of_cluster(cluster))?;
        }
        encode_registry(&mut text, &self.counted)?;
        encode_eof(&mut text)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Text => classic(&text),
        })
    }
}

/// The event streams that are open.
fn of_streams(open: usize) -> Registry {
    let mut registry = Registry::default();
    let help = "Event streams (GET /v1/events) that are open";
    registry.register(names::EVENT_STREAMS, help, ConstGauge::new(whole(open)));
    registry
}

/// The connections to IDMs that the router dials, whether their tokens come, and when their tokens end; nothing if it dials none.
fn of_idms(idms: &[IdmState]) -> Registry {
    let mut registry = Registry::default();
    let (connections, failing) =
        (Family::<IdmLabels, Gauge>::default(), Family::<IdmLabels, Gauge>::default());
    let ends = Family::<IdmLabel, Gauge>::default();
    for state in idms {
        let labels = IdmLabels { idm: state.idm.clone(), url: state.url.clone() };
        connections.get_or_create(&labels).set(whole(state.connections));
        failing.get_or_create(&labels).set(i64::from(state.token_failure.is_some()));
        // All URLs of an IDM share one token.
        if let Some(At(millis)) = state.token_ends {
            ends.get_or_create(&IdmLabel { idm: state.idm.clone() }).set(whole_seconds(millis));
        }
    }
    let help = "Open connections to a URL of an IDM that the router dials";
    registry.register(names::IDM_CONNECTIONS, help, connections);
    let help = "1 while the token endpoint for a dialled IDM gives no new access token";
    registry.register(names::IDM_TOKEN_FAILING, help, failing);
    if idms.iter().any(|state| state.token_ends.is_some()) {
        let help = "Until when the access token is valid with which an IDM is dialled, in seconds since 1970";
        registry.register(names::IDM_TOKEN_END, help, ends);
    }
    registry
}

/// The length of the work list of unknown outcomes.
fn of_unknowns(unknowns: &Unknowns) -> Registry {
    let (open, lost) = unknowns.counts();
    let mut registry = Registry::default();
    let help = "Calls with an unknown outcome that no operator has acknowledged";
    registry.register(names::UNKNOWN_OUTCOMES, help, ConstGauge::new(whole(open)));
    let help = "Calls with an unknown outcome for which the list had no room";
    registry.register(names::UNKNOWN_LOST, help, ConstCounter::new(lost));
    registry
}

/// The ends of trusted certificates. If there are more than a scrape has room for, the ones that end first are shown.
fn of_certificates(trusted: &Certificates) -> Registry {
    let of_all = trusted.of_all.iter().map(|certificate| ("", certificate));
    let of_one = trusted
        .of_one
        .iter()
        .flat_map(|(member, all)| all.iter().map(move |certificate| (member.as_str(), certificate)));
    let mut all: Vec<_> = of_all.chain(of_one).collect();
    all.sort_by_key(|(_, certificate)| certificate.not_after);
    let family = Family::<CertificateLabels, Gauge>::default();
    for (member, certificate) in all.into_iter().take(METRIC_CERTIFICATES_MAX).rev() {
        let Certificate { subject, serial, not_after, .. } = certificate.clone();
        // Of two certificates with the same labels, the one that ends first is set last.
        family
            .get_or_create(&CertificateLabels { member: member.to_owned(), subject, serial })
            .set(not_after);
    }
    let mut registry = Registry::default();
    let help = "Until when a trusted certificate is valid, in seconds since 1970";
    registry.register(names::CERTIFICATE_END, help, family);
    if let Some(Certificate { subject, serial, not_after, .. }) = trusted.own.clone() {
        let own = Family::<OwnCertificateLabels, Gauge>::default();
        own.get_or_create(&OwnCertificateLabels { subject, serial }).set(not_after);
        let help = "Until when the router's own certificate is valid, in seconds since 1970";
        registry.register(names::OWN_CERTIFICATE_END, help, own);
    }
    registry
}

/// Whether each issuer of access tokens answers that is asked over the network.
fn of_issuers(issuers: &[IssuerState]) -> Registry {
    let mut registry = Registry::default();
    let family = Family::<IssuerLabel, Gauge>::default();
    for state in issuers {
        if let Some(up) = state.up {
            family.get_or_create(&IssuerLabel { issuer: state.issuer.clone() }).set(i64::from(up));
        }
    }
    if issuers.iter().any(|state| state.up.is_some()) {
        let help = "1 if an issuer of access tokens answered when it was asked last";
        registry.register(names::ISSUER_UP, help, family);
    }
    registry
}

/// Figures of the process and of its files.
fn of_process(process: &Process, reloads: &Reloads) -> Registry {
    let mut registry = Registry::default();
    let build = Family::<VersionLabel, Gauge>::default();
    build.get_or_create(&VersionLabel { version: env!("CARGO_PKG_VERSION") }).set(1);
    registry.register(names::BUILD_INFO, "The version of the router; always 1", build);
    let (successful, at) = reloads.last();
    registry.register(
        names::RELOAD_SUCCESSFUL,
        "1 if the last changed file was good, 0 if it was refused",
        ConstGauge::new(i64::from(successful)),
    );
    registry.register(
        names::RELOAD_TIME,
        "When the router last took over a changed file, or its files at the start, in seconds since 1970",
        ConstGauge::new(at),
    );
    if let Some(seconds) = process.cpu_seconds {
        let help = "Processor time of the process, user and system, in seconds";
        registry.register(names::PROCESS_CPU, help, ConstCounter::new(seconds));
    }
    if let Some(seconds) = process.start_seconds {
        let help = "When the process began, in seconds since 1970";
        registry.register(names::PROCESS_START, help, ConstGauge::new(seconds));
    }
    for (name, help, value) in [
        (names::PROCESS_RESIDENT, "Memory of the process that is resident, in bytes", process.resident_bytes),
        (names::PROCESS_OPEN_FDS, "Open file descriptors", process.open_fds),
        (names::PROCESS_MAX_FDS, "File descriptors that may be open", process.max_fds),
    ] {
        if let Some(value) = value {
            registry.register(name, help, ConstGauge::new(value));
        }
    }
    registry
}

fn gauges(report: &Report, waiting: Waiting) -> Registry {
    let up = Family::<MemberLabels, Gauge>::default();
    let state = Family::<StateLabels, Gauge>::default();
    let waiting_callers = Family::<GroupLabel, Gauge>::default();
    let quarantined = Family::<MemberLabels, Gauge>::default();
    let in_flight = Family::<MemberLabels, Gauge>::default();
    let callers = Gauge::<i64>::default();
    let backlog = Family::<WhereLabel, Gauge>::default();
    backlog.get_or_create(&WhereLabel { r#where: "memory" }).set(whole(waiting.memory));
    let disk = i64::try_from(waiting.disk).unwrap_or(i64::MAX);
    backlog.get_or_create(&WhereLabel { r#where: "disk" }).set(disk);
    let queued = Family::<GroupLabel, Gauge>::default();
    let alarm = Family::<GroupLabel, Gauge>::default();
    callers.set(whole(report.callers));
    let configurations = Gauge::<i64>::default();
    configurations.set(whole(report.quarantined));
    for group in &report.groups {
        let label = GroupLabel { group: group.name.as_str().into() };
        queued.get_or_create(&label).set(whole(group.queued));
        waiting_callers.get_or_create(&label).set(whole(group.callers_waiting));
        alarm.get_or_create(&label).set(i64::from(group.alarm.is_some()));
        for member in &group.members {
            let labels =
                MemberLabels { group: group.name.as_str().into(), member: member.name.as_str().into() };
            up.get_or_create(&labels).set(i64::from(member.takes_calls()));
            quarantined.get_or_create(&labels).set(i64::from(member.quarantine.is_some()));
            in_flight.get_or_create(&labels).set(whole(member.in_flight));
            for word in MemberState::ALL {
                let (group, member_name) = (labels.group.clone(), labels.member.clone());
                let labels = StateLabels { group, member: member_name, state: word.label() };
                state.get_or_create(&labels).set(i64::from(member.state == word));
            }
        }
    }
    let mut registry = Registry::default();
    registry.register(names::MEMBER_UP, "1 if the member gets calls", up);
    registry.register(names::MEMBER_STATE, "1 for the state that the member is in, 0 for the others", state);
    registry.register(
        names::CALLERS_WAITING,
        "Callers that wait for connectors because no member of the group has reported any",
        waiting_callers,
    );
    registry.register(
        names::MEMBER_QUARANTINED,
        "1 if the member is quarantined for its bundle set",
        quarantined,
    );
    registry.register(names::BUNDLE_ALARM, "1 while no member has the group's bundle set", alarm);
    registry.register(names::CALLS_IN_FLIGHT, "Open calls at the member, of all its groups", in_flight);
    registry.register(names::CALLS_QUEUED, "Calls that wait in the group's queue", queued);
    registry.register(
        names::CONFIGURATIONS_QUARANTINED,
        "Connector configurations whose calls are refused, since members were lost with them",
        configurations,
    );
    registry.register(names::CALLERS, "Known callers: connected, or connected until a moment ago", callers);
    registry.register(names::BACKLOG, "Bytes that peers have not read yet, in memory or on disk", backlog);
    registry.register(
        names::LOG_LINES_DROPPED,
        "Lines of the log that were lost, because standard error could not be written, or not fast enough",
        ConstCounter::new(rcs_cli::log::lines_lost()),
    );
    registry
}

fn whole_seconds(millis: u64) -> i64 {
    i64::try_from(millis / 1000).unwrap_or(i64::MAX)
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
