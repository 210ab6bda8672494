//! What this router saw happen to members, groups and the cluster, in order: the latest of it, for the event stream. Changes that the
//! routers agreed on are not kept here, because the cluster's audit log has them.
//!
//! The owner adds a sighting only when a state changes, never for a call. Event streams read from the list at their own pace, so no
//! reader is ever waited for.

mod noted;
mod position;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcs_core::agreed::At;
use serde::Serialize;
use tokio::sync::watch;

pub(crate) use self::noted::seen;
pub(crate) use self::position::Position;
use crate::clock::{rfc3339, wall};
use crate::limits::{SIGHTING_LINE_BYTES_MAX, SIGHTINGS_KEPT};

/// What was seen. Fields that do not apply are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    /// When (RFC 3339), by this router's clock.
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    /// The id of a connector configuration, which does not reveal it.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
    /// The state since then, in one word. Programs rely on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Why, in one word. Programs rely on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The groups of the member at that time. None: they are not known, or too many.
    #[serde(skip)]
    of: Option<Vec<Arc<str>>>,
    #[serde(flatten)]
    lead: Option<Lead>,
    /// The same in one line for people.
    line: String,
}

impl Seen {
    /// Whether it may concern this group. What concerns no group in particular, such as the leader, concerns all of them.
    pub(crate) fn may_concern(&self, group: &str) -> bool {
        match (&self.group, &self.of) {
            (Some(own), _) => own == group,
            (None, Some(groups)) => groups.iter().any(|own| **own == *group),
            (None, None) => true,
        }
    }
}

/// Who leads the cluster, as this router sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Lead {
    /// The number of the leader; none while this router hears of no leader.
    leader: Option<u32>,
    /// What this router is.
    role: &'static str,
    term: u64,
}

/// One sighting with its place in the order.
#[derive(Debug)]
pub(crate) struct Sighting {
    /// Counts the sightings of this run from 1 on.
    pub(crate) sequence: u64,
    /// When, for the order beside agreed changes.
    pub(crate) at: At,
    /// The name of the event: `member`, `group`, `bundles`, `quarantine` or `leader`.
    pub(crate) kind: &'static str,
    /// What was seen.
    pub(crate) seen: Seen,
}

/// The sightings of this run of the router; clones are the same list.
#[derive(Clone, Debug)]
pub(crate) struct Sightings(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Tells this run of this router from all others.
    run: u32,
    kept: Mutex<Kept>,
    /// Changes whenever there may be something new. The value: whether the router is ending.
    news: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    /// The latest sightings, oldest first, without a hole.
    latest: VecDeque<Arc<Sighting>>,
}

impl Sightings {
    /// Nothing seen yet.
    pub(crate) fn new() -> Self {
        let (run, kept) = (fastrand::u32(1..), Mutex::default());
        Self(Arc::new(Inner { run, kept, news: watch::Sender::new(false) }))
    }

    /// Tells this run of this router from all others.
    pub(crate) fn run(&self) -> u32 {
        self.0.run
    }

    /// Adds a sighting of this moment.
    pub(crate) fn add(&self, kind: &'static str, seen: Seen) {
        let at = wall();
        let seen = Seen { at: rfc3339(at), line: clip(&seen.line).to_owned(), ..seen };
        let mut kept = self.lock();
        kept.last += 1;
        let sequence = kept.last;
        kept.latest.push_back(Arc::new(Sighting { sequence, at, kind, seen }));
        if kept.latest.len() > SIGHTINGS_KEPT {
            kept.latest.pop_front();
        }
        drop(kept);
        self.wake();
    }

    /// Adds who leads the cluster.
    pub(crate) fn add_lead(&self, leader: Option<u32>, role: &'static str, term: u64) {
        let line = match (leader, role) {
            (_, "leader") => "this router leads the cluster".to_owned(),
            (Some(leader), _) => format!("router {leader} leads the cluster (this router: {role})"),
            (None, _) => format!("no leader of the cluster can be heard (this router: {role})"),
        };
        self.add("leader", Seen { line, lead: Some(Lead { leader, role, term }), ..Seen::default() });
    }

    /// The sequence number of the latest sighting; 0: none.
    pub(crate) fn last(&self) -> u64 {
        self.lock().last
    }

    /// The remembered sightings after this one, the oldest first, at most `most`.
    pub(crate) fn after(&self, sequence: u64, most: usize) -> Vec<Arc<Sighting>> {
        let kept = self.lock();
        let first = kept.latest.partition_point(|sighting| sighting.sequence <= sequence);
        kept.latest.range(first..).take(most).cloned().collect()
    }

    /// Something may be new: wakes all event streams.
    pub(crate) fn wake(&self) {
        self.0.news.send_modify(|_| ());
    }

    /// The router is ending: so do all event streams, at once.
    pub(crate) fn end(&self) {
        self.0.news.send_replace(true);
    }

    /// Is changed whenever there may be something new. The value: whether the router is ending.
    pub(crate) fn news(&self) -> watch::Receiver<bool> {
        self.0.news.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The beginning of a sentence or name. Names that operators and members chose may be long.
fn clip(text: &str) -> &str {
    let mut end = text.len().min(SIGHTING_LINE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_sightings_are_kept_in_order_within_the_bounds() {
        let sightings = Sightings::new();
        assert_eq!((sightings.last(), sightings.after(0, 9).len()), (0, 0));
        let long = "é".repeat(SIGHTING_LINE_BYTES_MAX);
        for _ in 0..SIGHTINGS_KEPT + 3 {
            sightings.add("member", Seen { line: long.clone(), ..Seen::default() });
        }
        let numbers = |after| -> Vec<u64> {
            sightings.after(after, 2).iter().map(|sighting| sighting.sequence).collect()
        };
        assert_eq!(numbers(0), [4, 5], "the oldest three are forgotten");
        assert_eq!(numbers(5), [6, 7]);
        assert_eq!(numbers(sightings.last() - 1), [sightings.last()]);
        assert_eq!(numbers(u64::MAX), [0; 0]);
        let kept = sightings.after(0, 1);
        assert_eq!(kept[0].seen.line.len(), SIGHTING_LINE_BYTES_MAX);
    }

    #[test]
    fn a_group_is_concerned_by_its_members_and_by_what_concerns_all() {
        let seen = |group: Option<&str>, of: Option<Vec<Arc<str>>>| Seen {
            group: group.map(str::to_owned),
            of,
            ..Seen::default()
        };
        for (seen, concerns) in [
            (seen(Some("hr"), None), true),
            (seen(Some("crm"), None), false),
            (seen(None, Some(vec!["crm".into(), "hr".into()])), true),
            (seen(None, Some(vec!["crm".into()])), false),
            (seen(None, None), true),
        ] {
            assert_eq!(seen.may_concern("hr"), concerns, "{seen:?}");
        }
    }

    #[test]
    fn readers_are_woken_by_news_and_by_the_end() {
        let sightings = Sightings::new();
        let mut news = sightings.news();
        assert!(!news.has_changed().unwrap());
        sightings.add_lead(Some(2), "follower", 7);
        assert!(news.has_changed().unwrap() && !*news.borrow_and_update());
        sightings.end();
        assert!(news.has_changed().unwrap() && *news.borrow_and_update());
        let told = serde_json::to_value(&sightings.after(0, 1)[0].seen).unwrap();
        assert_eq!(
            (&told["leader"], &told["role"], &told["term"]),
            (&2.into(), &"follower".into(), &7.into())
        );
    }
}
