//! The text of `/metrics`.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rcs_core::engine::Report;
use rcs_proto::driver::spill::{Spill, Waiting};

use super::{GroupLabel, MemberLabels, WhereLabel, names};

/// Shows the metrics.
#[derive(Debug)]
pub(crate) struct Scraper {
    counted: Registry,
    spill: Arc<Spill>,
}

impl Scraper {
    /// The type of [`Scraper::text`].
    pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(super) fn new(counted: Registry, spill: Arc<Spill>) -> Self {
        Self { counted, spill }
    }

    /// Everything counted so far, and the gauges of this report.
    pub(crate) fn text(&self, report: &Report) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &gauges(report, self.spill.waiting()))?;
        encode_registry(&mut text, &self.counted)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn gauges(report: &Report, waiting: Waiting) -> Registry {
    let up = Family::<MemberLabels, Gauge>::default();
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
    for group in &report.groups {
        let label = GroupLabel { group: group.name.as_str().into() };
        queued.get_or_create(&label).set(whole(group.queued));
        alarm.get_or_create(&label).set(i64::from(group.alarm.is_some()));
        for member in &group.members {
            let labels =
                MemberLabels { group: group.name.as_str().into(), member: member.name.as_str().into() };
            up.get_or_create(&labels).set(i64::from(member.takes_calls()));
            quarantined.get_or_create(&labels).set(i64::from(member.quarantine.is_some()));
            in_flight.get_or_create(&labels).set(whole(member.in_flight));
        }
    }
    let mut registry = Registry::default();
    registry.register(names::MEMBER_UP, "1 if the member gets calls", up);
    registry.register(
        names::MEMBER_QUARANTINED,
        "1 if the member is quarantined for its bundle set",
        quarantined,
    );
    registry.register(names::BUNDLE_ALARM, "1 while no member has the group's bundle set", alarm);
    registry.register(names::CALLS_IN_FLIGHT, "Open calls at the member, of all its groups", in_flight);
    registry.register(names::CALLS_QUEUED, "Calls that wait in the group's queue", queued);
    registry.register(names::CALLERS, "Known callers: connected, or connected until a moment ago", callers);
    registry.register(names::BACKLOG, "Bytes that peers have not read yet, in memory or on disk", backlog);
    registry.register(
        names::LOG_LINES_DROPPED,
        "Lines of the log that were lost, because standard error could not be written, or not fast enough",
        ConstCounter::new(rcs_cli::log::lines_lost()),
    );
    registry
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
