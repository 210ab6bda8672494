//! What a client gets next: agreed changes from the cluster's audit log, and this router's sightings, in the order of time.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use rcs_core::agreed::AuditEntry;
use serde::Serialize;

use crate::clock::{rfc3339, wall};
use crate::cluster::Cluster;
use crate::limits::EVENTS_TOGETHER_MAX;
use crate::sightings::{Position, Sighting, Sightings};

/// Reads events for one client, and knows how far the client is.
pub(super) struct Reader {
    /// None: the router keeps its state in memory, and has no agreed changes.
    cluster: Option<Cluster>,
    sightings: Sightings,
    at: Position,
    /// The one group whose events are wanted.
    group: Option<String>,
}

/// Events that a client cannot get any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// The audit log does not reach back far enough. The first and the last missed revision.
    Forgotten(u64, u64),
    /// The cluster has fewer changes than the client: it was restored from a backup, or is another cluster. Its revision.
    WentBack(u64),
    /// This router's list of sightings does not reach back far enough.
    Sightings,
    /// The client had the sightings of another router, or of an earlier run of this one.
    OtherRouter,
}

/// It cannot be known now where the stream begins: this router's part in the cluster is down, or no majority says whether the cluster has
/// reached the change that the client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotKnown;

/// The first event of each stream: who sends it.
#[derive(Serialize)]
struct Start {
    at: String,
    /// The router's number; none for a router without a data directory.
    router: Option<u32>,
    version: &'static str,
    revision: u64,
    line: String,
}

#[derive(Serialize)]
struct Missed {
    at: String,
    /// What was missed, `changes` or `sightings`.
    of: &'static str,
    /// The first and the last missed revision, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
    line: String,
}

/// One agreed change.
#[derive(Serialize)]
struct Change<'a> {
    at: String,
    revision: u64,
    index: u64,
    author: &'static str,
    who: &'a str,
    from: &'a str,
    action: &'a str,
    line: &'a str,
}

#[derive(Serialize)]
struct End {
    at: String,
    line: &'static str,
}

impl Reader {
    pub(super) fn new(cluster: Option<Cluster>, sightings: Sightings, group: Option<String>) -> Self {
        let at = Position { revision: 0, run: sightings.run(), sequence: 0 };
        Self { cluster, sightings, at, group }
    }

    /// Begins with what happens from now on.
    ///
    /// # Errors
    /// [`NotKnown`]
    pub(super) fn begin_now(&mut self) -> Result<Vec<Gap>, NotKnown> {
        self.at.revision = self.revision()?;
        self.at.sequence = self.sightings.last();
        Ok(Vec::new())
    }

    /// Begins with the oldest event that is remembered.
    ///
    /// # Errors
    /// [`NotKnown`]
    pub(super) fn begin_at_first(&mut self) -> Result<Vec<Gap>, NotKnown> {
        let first = self.look(|state| state.changes_after(0).next().map(|entry| entry.revision));
        self.at.revision = match first.flatten() {
            Some(first) => first - 1,
            None => self.revision()?,
        };
        self.at.sequence = self.sightings.after(0, 1).first().map_or(0, |first| first.sequence - 1);
        Ok(Vec::new())
    }

    /// Goes on where the client was, at this router or at another one.
    ///
    /// # Errors
    /// [`NotKnown`]
    pub(super) async fn go_on(&mut self, known: Position) -> Result<Vec<Gap>, NotKnown> {
        let mut gaps = Vec::new();
        self.at.revision = known.revision;
        if let Some(cluster) = &self.cluster
            && known.revision > self.revision()?
        {
            // The client may have been at a router that is ahead of this one. Without a majority nobody knows, and the client waits: if the
            // cluster was restored, its next changes would otherwise be taken for changes that the client has.
            cluster.read_barrier().await.map_err(|_| NotKnown)?;
            if known.revision > self.revision()? {
                self.at.revision = self.revision()?;
                gaps.push(Gap::WentBack(self.at.revision));
            }
        }
        let last = self.sightings.last();
        if known.run == self.sightings.run() {
            self.at.sequence = known.sequence.min(last);
        } else {
            self.at.sequence = last;
            if known.run != 0 {
                gaps.push(Gap::OtherRouter);
            }
        }
        Ok(gaps)
    }

    /// The text of the first event.
    pub(super) fn start(&self) -> String {
        let router = self.cluster.as_ref().map(Cluster::number);
        let (version, revision) = (env!("CARGO_PKG_VERSION"), self.at.revision);
        let line = match router {
            Some(number) => format!("events of router {number}, and the changes after revision {revision}"),
            None => "events of a router that keeps its state in memory".to_owned(),
        };
        self.write("start", &Start { at: now(), router, version, revision, line })
    }

    /// The text for the end of a stream. A stream that ends without it was cut.
    pub(super) fn end(&self, follow: bool) -> String {
        let line = match follow {
            true => "the router is shutting down: go on at another router with the id of this event",
            false => "these are all remembered events",
        };
        self.write("end", &End { at: now(), line })
    }

    /// The text of a gap.
    pub(super) fn gap(&self, gap: Gap) -> String {
        let (of, from, to, line) = match gap {
            Gap::Forgotten(from, to) => (
                "changes",
                Some(from),
                Some(to),
                format!("the changes {from} to {to} are forgotten: read the state again, such as GET /v1/export and GET /v1/members"),
            ),
            Gap::WentBack(revision) => (
                "changes",
                None,
                None,
                format!(
                    "the cluster is at revision {revision}, before the id that was sent: it was restored, or is another one. Read the state again, such as GET /v1/export and GET /v1/members"
                ),
            ),
            Gap::Sightings => (
                "sightings",
                None,
                None,
                "some of what this router saw is forgotten: read the states of members again, with GET /v1/members".to_owned(),
            ),
            Gap::OtherRouter => (
                "sightings",
                None,
                None,
                "what this router saw is not what the router before saw: read the states of members again, with GET /v1/members".to_owned(),
            ),
        };
        self.write("gap", &Missed { at: now(), of, from, to, line })
    }

    /// The text of the next events, a bounded number of them; empty: there is nothing new.
    pub(super) fn next(&mut self) -> String {
        loop {
            let before = self.at;
            let text = self.batch();
            // Events that were left out may have others behind them.
            if !text.is_empty() || self.at == before {
                return text;
            }
        }
    }

    /// The next events, of which those that are not wanted are left out.
    fn batch(&mut self) -> String {
        let members = self.members();
        let mut text = String::new();
        let mut changes = self.changes(&mut text);
        let mut sightings: VecDeque<Arc<Sighting>> =
            self.sightings.after(self.at.sequence, EVENTS_TOGETHER_MAX).into();
        if sightings.front().is_some_and(|first| first.sequence > self.at.sequence + 1) {
            // From here on the client misses nothing.
            self.at.sequence = sightings.front().map_or(0, |first| first.sequence - 1);
            text.push_str(&self.gap(Gap::Sightings));
        }
        for _ in 0..EVENTS_TOGETHER_MAX {
            let is_change_first = match (changes.front(), sightings.front()) {
                (Some(change), Some(sighting)) => change.at <= sighting.at,
                (change, _) => change.is_some(),
            };
            if is_change_first && let Some(change) = changes.pop_front() {
                self.at.revision = change.revision;
                if self
                    .group
                    .as_ref()
                    .is_some_and(|group| !change.may_concern(group, members.iter().map(String::as_str)))
                {
                    continue;
                }
                text.push_str(&self.write("change", &shown(&change)));
            } else if let Some(sighting) = sightings.pop_front() {
                self.at.sequence = sighting.sequence;
                if self.group.as_ref().is_some_and(|group| !sighting.seen.may_concern(group)) {
                    continue;
                }
                text.push_str(&self.write(sighting.kind, &sighting.seen));
            } else {
                break;
            }
        }
        text
    }

    /// The members of the group that is wanted, as the routers agree now.
    fn members(&self) -> Vec<String> {
        let Some(group) = &self.group else { return Vec::new() };
        let found = self.look(|state| {
            let groups = &state.agreed().document().groups;
            groups.iter().find(|known| known.name == *group).map(|known| known.members.clone())
        });
        found.flatten().unwrap_or_default()
    }

    /// The next agreed changes; writes a gap before them, if some are forgotten.
    fn changes(&mut self, text: &mut String) -> VecDeque<AuditEntry> {
        let known = self.at.revision;
        let found = self.look(|state| {
            let next: VecDeque<AuditEntry> =
                state.changes_after(known).take(EVENTS_TOGETHER_MAX).cloned().collect();
            let reached = next.front().map_or(state.revision(), |first| first.revision - 1);
            (reached, next)
        });
        let Some((reached, next)) = found else { return VecDeque::new() };
        if reached > known {
            self.at.revision = reached;
            text.push_str(&self.gap(Gap::Forgotten(known + 1, reached)));
        }
        next
    }

    /// The revision of the cluster; 0 for a router without one.
    fn revision(&self) -> Result<u64, NotKnown> {
        match &self.cluster {
            Some(_) => self.look(rcs_core::agreed::ClusterState::revision).ok_or(NotKnown),
            None => Ok(0),
        }
    }

    fn look<V>(&self, at: impl FnOnce(&rcs_core::agreed::ClusterState) -> V) -> Option<V> {
        self.cluster.as_ref()?.look(at)
    }

    /// One event with the place behind it.
    fn write<T: Serialize>(&self, kind: &str, data: &T) -> String {
        // Names of members and operators are in the data: no line end and no control character may get out of them.
        let data = serde_json::to_string(data).unwrap_or_default();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "id: {}\nevent: {kind}\ndata: {}\n\n", self.at, rcs_cli::printable::line(&data));
        text
    }
}

fn shown(entry: &AuditEntry) -> Change<'_> {
    Change {
        at: rfc3339(entry.at),
        revision: entry.revision,
        index: entry.index,
        author: entry.author.label(),
        who: &entry.who,
        from: &entry.from,
        action: &entry.action,
        line: &entry.line,
    }
}

fn now() -> String {
    rfc3339(wall())
}
