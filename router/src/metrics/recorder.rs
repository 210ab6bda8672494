//! The owner's end of the metrics. A call costs one look-up by numbers; names are formatted once for each series.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use rcs_core::bundles::group::{Cause, Told};
use rcs_core::engine::{Note, TurnedAway};
use rcs_core::ids::{GroupId, MemberId};
use rcs_core::verdict::{Class, Outcome, Paging};
use rcs_core::view::View;
use rcs_proto::operation::Operation;

use super::{
    CallLabels, Counted, CutLabels, DurationLabels, GroupLabel, MemberDurationLabels, MemberLabel,
    MemberLabels, OpLabel, ReasonLabel, RefusedLabels, SideLabel,
};
use crate::limits::METRIC_SERIES_BORN_MAX;
use crate::names::{Names, Side};

/// Series of calls that one member of a group has at most.
const SERIES_OF_A_MEMBER: usize = Operation::CALLS.len() * Outcome::ALL.len();

/// Counts.
pub(crate) struct Recorder {
    counted: Counted,
    /// Series by what they count. Bounded: groups, members, operations and outcomes all are.
    calls: HashMap<CallKey, CallSeries>,
    /// Members of groups, and groups without a member, whose series exist.
    born: HashSet<(GroupId, Option<MemberId>)>,
    downstream: Gauge,
    upstream: Gauge,
}

type CallKey = (Option<GroupId>, Option<MemberId>, Operation, Outcome);

struct CallSeries {
    count: Counter,
    /// The series for calls that succeeded.
    duration: Option<Histogram>,
    member_duration: Histogram,
}

impl Recorder {
    pub(super) fn new(counted: Counted) -> Self {
        let side = |side| counted.sockets.get_or_create_owned(&SideLabel { side });
        let (downstream, upstream) = (side("downstream"), side("upstream"));
        Self { counted, calls: HashMap::new(), born: HashSet::new(), downstream, upstream }
    }

    /// Makes the series of calls of each group and member at 0, so that the first call with an outcome is an increase. There is a series
    /// for each operation with each outcome that the operation can have. Beyond [`METRIC_SERIES_BORN_MAX`], a member's series begin with
    /// its first call.
    pub(crate) fn learn(&mut self, view: &View, names: &Names) {
        for group in view.groups() {
            let members = group.members.iter().map(|member| Some(*member)).chain([None]);
            for member in members {
                let is_room = self.born.len() < METRIC_SERIES_BORN_MAX / SERIES_OF_A_MEMBER;
                if is_room && self.born.insert((group.id, member)) {
                    self.bear(group.id, member, names);
                }
            }
        }
    }

    fn bear(&self, group: GroupId, member: Option<MemberId>, names: &Names) {
        let (group, member) = (names.group(group), member.map(|id| names.member(id)).unwrap_or_default());
        for operation in Operation::CALLS {
            let is_read = Class::of(operation, Paging::Starts).is_read();
            for outcome in Outcome::ALL {
                // A read has no unknown outcome, and a call without a member has no outcome that is a member's answer.
                let is_answer = matches!(outcome, Outcome::Ok | Outcome::ConnectorError);
                if !(is_read && outcome == Outcome::Unknown || member.is_empty() && is_answer) {
                    let (group, member) = (group.clone(), member.clone());
                    let (op, outcome) = (operation.label(), outcome.label());
                    drop(self.counted.calls.get_or_create_owned(&CallLabels { group, member, op, outcome }));
                }
            }
        }
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
            Note::CallHedged { group, .. } => {
                self.counted.hedges.get_or_create(&GroupLabel { group: names.group(group) }).inc();
            }
            Note::HedgeWon { group, .. } => {
                self.counted.hedges_won.get_or_create(&GroupLabel { group: names.group(group) }).inc();
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
            Note::CallsNotHeld { calls } => {
                self.counted.calls_not_held.inc_by(calls as u64);
            }
            Note::FrameIgnored { .. } => {
                self.counted.frames_ignored.inc();
            }
            _ => {}
        }
    }

    /// Counts a connection whose peer is neither a caller nor a member.
    pub(crate) fn turned_away(&self, why: TurnedAway) {
        self.counted.turned_away.get_or_create(&ReasonLabel { reason: why.label() }).inc();
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
            let word = outcome.label();
            let labels = CallLabels { group: group.clone(), member: member.clone(), op, outcome: word };
            let at_member = MemberDurationLabels { group: group.clone(), member, outcome: word };
            let succeeded = outcome == Outcome::Ok;
            CallSeries {
                count: counted.calls.get_or_create_owned(&labels),
                duration: succeeded
                    .then(|| counted.durations.get_or_create_owned(&DurationLabels { group, op })),
                member_duration: counted.member_durations.get_or_create_owned(&at_member),
            }
        });
        series.count.inc();
        series.member_duration.observe(took.as_secs_f64());
        if let Some(duration) = &series.duration {
            duration.observe(took.as_secs_f64());
        }
    }
}
