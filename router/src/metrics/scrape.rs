//! The text of `/metrics`.

use std::fmt;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rcs_core::engine::Report;

use super::{GroupLabel, MemberLabels, names};

/// Shows the metrics.
#[derive(Debug)]
pub(crate) struct Scraper(Registry);

impl Scraper {
    /// The type of [`Scraper::text`].
    pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(super) fn new(counted: Registry) -> Self {
        Self(counted)
    }

    /// Everything counted so far, and the gauges of this report.
    pub(crate) fn text(&self, report: &Report) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &gauges(report))?;
        encode_registry(&mut text, &self.0)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn gauges(report: &Report) -> Registry {
    let up = Family::<MemberLabels, Gauge>::default();
    let quarantined = Family::<MemberLabels, Gauge>::default();
    let in_flight = Family::<MemberLabels, Gauge>::default();
    let callers = Gauge::<i64>::default();
    let queued = Family::<GroupLabel, Gauge>::default();
    callers.set(whole(report.callers));
    for group in &report.groups {
        let label = GroupLabel { group: group.name.as_str().into() };
        queued.get_or_create(&label).set(whole(group.queued));
        for member in &group.members {
            let labels =
                MemberLabels { group: group.name.as_str().into(), member: member.name.as_str().into() };
            up.get_or_create(&labels).set(i64::from(member.takes_calls()));
            // Bundle sets are not compared yet, so no member is kept out for them.
            quarantined.get_or_create(&labels).set(0);
            in_flight.get_or_create(&labels).set(whole(member.in_flight));
        }
    }
    let mut registry = Registry::default();
    registry.register(names::MEMBER_UP, "Whether the member takes calls", up);
    registry.register(
        names::MEMBER_QUARANTINED,
        "Whether the member is kept out for its bundles",
        quarantined,
    );
    registry.register(names::CALLS_IN_FLIGHT, "Calls that the member holds, of all its groups", in_flight);
    registry.register(names::CALLS_QUEUED, "Calls that wait for a free place", queued);
    registry.register(names::CALLERS, "Callers that are known", callers);
    registry
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
