//! The owner's end of the metrics. A call costs one look-up by numbers; names are formatted once for each series.

use std::collections::HashMap;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use rcs_core::bundles::group::{Cause, Told};
use rcs_core::engine::Note;
use rcs_core::ids::{GroupId, MemberId};
use rcs_core::verdict::Outcome;
use rcs_proto::operation::Operation;

use super::{
    CallLabels, Counted, CutLabels, DurationLabels, MemberLabel, MemberLabels, OpLabel, RefusedLabels,
    SideLabel,
};
use crate::names::{Names, Side};

/// Counts.
pub(crate) struct Recorder {
    counted: Counted,
    /// Series by what they count. Bounded: groups, members, operations and outcomes all are.
    calls: HashMap<CallKey, CallSeries>,
    downstream: Gauge,
    upstream: Gauge,
}

type CallKey = (Option<GroupId>, Option<MemberId>, Operation, Outcome);

struct CallSeries {
    count: Counter,
    duration: Histogram,
}

impl Recorder {
    pub(super) fn new(counted: Counted) -> Self {
        let side = |side| counted.sockets.get_or_create_owned(&SideLabel { side });
        let (downstream, upstream) = (side("downstream"), side("upstream"));
        Self { counted, calls: HashMap::new(), downstream, upstream }
    }

    /// Counts what the engine noted.
    pub(crate) fn record(&mut self, note: &Note<'_>, names: &Names) {
        match *note {
            Note::CallEnded { group, member, operation, outcome, took, .. } => {
                self.call_ended((group, member, operation, outcome), took, names);
            }
            Note::CallRetried { operation, .. } => {
                self.counted.retries.get_or_create(&OpLabel { op: operation.label() }).inc();
            }
            Note::CallRefused { group, reason, .. } => {
                let group = group.map(|id| names.group(id)).unwrap_or_default();
                let labels = RefusedLabels { group, reason: reason.label() };
                self.counted.refused.get_or_create(&labels).inc();
            }
            Note::SocketRotated { member } => {
                let side = if member.is_some() { "upstream" } else { "downstream" };
                self.counted.rotated.get_or_create(&SideLabel { side }).inc();
            }
            Note::StreamCut { group, reason, .. } => {
                let labels = CutLabels { group: names.group(group), reason: reason.label() };
                self.counted.streams_cut.get_or_create(&labels).inc();
            }
            Note::Bundles { group, told: Told::Member { member, standing } }
                if matches!(standing.cause(), Some(Cause::Differs { .. })) =>
            {
                let labels = MemberLabels { group: names.group(group), member: names.member(*member) };
                self.counted.drifts.get_or_create(&labels).inc();
            }
            Note::FrameIgnored { .. } => {
                self.counted.frames_ignored.inc();
            }
            _ => {}
        }
    }

    /// Counts an attempt to reach a member that failed.
    pub(crate) fn dial_failed(&self, member: MemberId, names: &Names) {
        let member = names.member(member);
        self.counted.dial_failures.get_or_create(&MemberLabel { member }).inc();
    }

    /// Counts a socket in.
    pub(crate) fn socket_opened(&self, side: Side) {
        self.side(side).inc();
    }

    /// Counts a socket out.
    pub(crate) fn socket_closed(&self, side: Side) {
        self.side(side).dec();
    }

    fn side(&self, side: Side) -> &Gauge {
        match side {
            Side::Downstream => &self.downstream,
            Side::Upstream => &self.upstream,
        }
    }

    fn call_ended(&mut self, key: CallKey, took: Duration, names: &Names) {
        let counted = &self.counted;
        let series = self.calls.entry(key).or_insert_with(|| {
            let (group, member, operation, outcome) = key;
            let group = group.map(|id| names.group(id)).unwrap_or_default();
            let member = member.map(|id| names.member(id)).unwrap_or_default();
            let op = operation.label();
            let labels = CallLabels { group: group.clone(), member, op, outcome: outcome.label() };
            CallSeries {
                count: counted.calls.get_or_create_owned(&labels),
                duration: counted.durations.get_or_create_owned(&DurationLabels { group, op }),
            }
        });
        series.count.inc();
        series.duration.observe(took.as_secs_f64());
    }
}
