//! Counts calls for connector versions that no serving member has, so that the log has one line a minute, and not one for each call.

use std::collections::BTreeSet;
use std::sync::Arc;

use rcs_proto::icf::ConnectorKey;
use rcs_proto::time::Moment;

use crate::engine::keys::CallerKey;
use crate::engine::note::UnservedCalls;
use crate::ids::GroupId;
use crate::limits;

/// Callers of one minute that are counted one by one. With more callers, the count stays at this number.
const CALLERS_TOLD_APART: usize = 64;

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Unserved {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    group: Option<GroupId>,
    connector: Option<ConnectorKey>,
    /// Calls since the last line, and calls in all.
    calls: u64,
    total: u64,
    callers: BTreeSet<CallerKey>,
    principals: BTreeSet<Arc<str>>,
    due: Moment,
}

impl Unserved {
    /// A call of this caller found no member with this connector.
    pub(super) fn note(
        &mut self,
        group: Option<GroupId>,
        connector: &ConnectorKey,
        (caller, principal): (CallerKey, &Arc<str>),
        now: Moment,
    ) {
        let is_it = |entry: &Entry| entry.group == group && entry.connector.as_ref() == Some(connector);
        let known = self.entries.iter().position(is_it);
        let at = known.unwrap_or_else(|| self.fresh(group, connector, now));
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.calls += 1;
        entry.total += 1;
        if entry.callers.len() < CALLERS_TOLD_APART {
            entry.callers.insert(caller);
        }
        if entry.principals.len() < limits::IN_USE_SHOWN_MAX {
            entry.principals.insert(Arc::clone(principal));
        }
    }

    /// The count for calls for a further connector. If there are too many connectors, several share one count.
    fn fresh(&mut self, group: Option<GroupId>, connector: &ConnectorKey, now: Moment) -> usize {
        let is_full = self.entries.len() >= limits::UNSERVED_MAX;
        if is_full && let Some(at) = self.entries.iter().position(|entry| entry.connector.is_none()) {
            return at;
        }
        let (group, connector) = if is_full { (None, None) } else { (group, Some(connector.clone())) };
        let (callers, principals) = (BTreeSet::new(), BTreeSet::new());
        self.entries.push(Entry { group, connector, calls: 0, total: 0, callers, principals, due: now });
        self.entries.len() - 1
    }

    /// The counts that must be noted by now.
    pub(super) fn due(&mut self, now: Moment) -> Vec<UnservedCalls> {
        let mut lines = Vec::new();
        self.entries.retain_mut(|entry| {
            if entry.due > now {
                return true;
            }
            let is_over = entry.calls == 0;
            lines.push(UnservedCalls {
                group: entry.group,
                connector: entry.connector.clone(),
                calls: if is_over { entry.total } else { entry.calls },
                callers: entry.callers.len(),
                principals: entry.principals.iter().map(ToString::to_string).collect(),
                is_over,
            });
            entry.calls = 0;
            entry.callers.clear();
            entry.due = now + limits::UNSERVED_EVERY;
            !is_over
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::keys::CallerTag;
    use crate::engine::tests::parts::{at, keys};

    fn key(version: usize) -> ConnectorKey {
        let (bundle_name, connector_name) = ("b".to_owned(), "C".to_owned());
        ConnectorKey { bundle_name, bundle_version: format!("1.{version}"), connector_name }
    }

    #[test]
    fn calls_for_a_missing_version_have_a_line_a_minute_and_one_when_it_is_over() {
        let (mut unserved, callers) = (Unserved::default(), keys::<CallerTag>(2));
        let (group, idm): (_, Arc<str>) = (Some(GroupId(0)), "idm".into());
        assert!(unserved.due(at(0)).is_empty());
        for call in 0..5 {
            unserved.note(group, &key(0), (callers[call % 2], &idm), at(1));
        }
        let first = unserved.due(at(1)).remove(0);
        assert_eq!((first.calls, first.callers, first.is_over), (5, 2, false));
        assert_eq!(first.principals, ["idm"]);
        unserved.note(group, &key(0), (callers[0], &idm), at(2));
        assert!(unserved.due(at(60)).is_empty());
        let second = unserved.due(at(61)).remove(0);
        assert_eq!((second.calls, second.callers, second.is_over), (1, 1, false));
        let last = unserved.due(at(61) + limits::UNSERVED_EVERY).remove(0);
        assert_eq!((last.calls, last.is_over), (6, true));
        assert!(unserved.due(at(9_999)).is_empty());
    }

    #[test]
    fn a_flood_of_versions_is_counted_together_p10() {
        let (mut unserved, caller) = (Unserved::default(), keys::<CallerTag>(1)[0]);
        for version in 0..10 * limits::UNSERVED_MAX {
            unserved.note(None, &key(version), (caller, &"idm".into()), at(1));
        }
        let lines = unserved.due(at(2));
        assert_eq!(lines.len(), limits::UNSERVED_MAX + 1);
        assert_eq!(lines.last().unwrap().connector, None);
        assert_eq!(lines.iter().map(|line| line.calls).sum::<u64>(), 10 * limits::UNSERVED_MAX as u64);
        assert_eq!(unserved.due(at(2) + Duration::from_secs(60)).len(), limits::UNSERVED_MAX + 1);
        assert!(unserved.entries.is_empty());
    }
}
