//! What callers are shown in answer to CONNECTOR_INFO: the connectors of the set that their group accepted, during an upgrade those
//! of the next one as well (WIRE 11.7), and never those that they may not see.
//!
//! An IDM asks once in the life of a session (WIRE 4.4). One that was shown an older list cannot be told: a new list needs a new
//! sessionId of ours on new sockets, and a 1.8.0 IDM opens none (WIRE 7.5). So such callers are counted and shown to the operator,
//! and members of a group under upgrade serve the old version as long as they have it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire;

use super::{Engine, Io, Note, Selector};
use crate::bundles::infos::{Edition, Review, Visible};
use crate::ids::GroupId;

/// An empty list: what an IDM answers to a server that asks for its connectors.
pub(super) fn none() -> Bytes {
    Vec::<ConnectorInfo>::new().encode()
}

/// One list of several, the first of equal keys wins. A single list, or several with the same keys, stays as its server
/// wrote it: entries can be copied only by encoding them again (LEGACY 2).
fn merged(lists: &[Bytes]) -> Option<Bytes> {
    let first = lists.first()?;
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    let mut of_first = 0;
    for (at, list) in lists.iter().enumerate() {
        // A list that cannot be read is shown only if it stands alone.
        let Ok(infos) = Vec::<ConnectorInfo>::decode(list) else { continue };
        all.extend(infos.into_iter().filter(|info| seen.insert(info.key.clone())));
        if at == 0 {
            of_first = all.len();
        }
    }
    Some(if all.len() == of_first { first.clone() } else { all.encode() })
}

impl Engine {
    /// What a caller is shown; none while no member ever told its group's set.
    pub(super) fn connector_infos(&self, selector: Selector) -> Option<Bytes> {
        match selector {
            Selector::Group(group) => self.list_of(group),
            Selector::ByConnectorKey => {
                let groups = self.view.groups().iter();
                let lists: Vec<Bytes> = groups.filter_map(|group| self.list_of(group.id)).collect();
                merged(&lists)
            }
        }
    }

    /// That of its set; or, while there is none, what a member that serves all the same told, which nobody here can read.
    fn list_of(&self, group: GroupId) -> Option<Bytes> {
        let state = self.groups.get(&group)?;
        let listed = self.view.group(group)?;
        let unread = || {
            let mut serving = listed.members.iter().filter(|member| state.sets.may_serve(**member));
            let list = serving.find_map(|member| self.members.get(member)?.list.as_ref());
            list.filter(|_| listed.settings.visible == Visible::All).map(|list| list.infos.clone())
        };
        state.shown.list().cloned().or_else(unread)
    }

    /// Which list that is.
    pub(super) fn edition(&self, selector: Selector) -> Option<ShownEdition> {
        match selector {
            Selector::Group(group) => Some(ShownEdition::OfGroup(self.groups.get(&group)?.shown.edition())),
            Selector::ByConnectorKey => {
                let mut all = DefaultHasher::new();
                for group in self.view.groups() {
                    (group.id, self.groups.get(&group.id)?.shown.edition()).hash(&mut all);
                }
                Some(ShownEdition::OfAll(all.finish()))
            }
        }
    }

    /// Callers of a group, or of all groups, that were shown a list which lacks something of the present one.
    pub(super) fn callers_behind(&self, selector: Selector) -> usize {
        let Some(now) = self.edition(selector) else { return 0 };
        let callers = self.downstreams.iter().map(|(_, caller)| caller);
        let of_it = callers.filter(|caller| caller.id.0 == selector && caller.session.is_connected());
        of_it.filter(|caller| caller.shown.is_some_and(|shown| !shown.covers(&now))).count()
    }

    /// Makes the lists of the groups anew, from their sets and what their members told last.
    pub(super) fn refresh_infos(&mut self, io: &mut impl Io) {
        let members = &self.members;
        let mut changed: Vec<GroupId> = Vec::new();
        for group in self.view.groups() {
            let Some(state) = self.groups.get_mut(&group.id) else { continue };
            let lists = group.members.iter().filter_map(|member| members.get(member)?.list.as_ref());
            let told = lists.filter_map(|list| Some((list.wire.as_ref().ok()?, &list.infos)));
            let visible = &group.settings.visible;
            if state.shown.refresh(state.sets.shown(), told, visible) == Review::Changed {
                changed.push(group.id);
            }
        }
        if changed.is_empty() {
            return;
        }
        for group in changed {
            let callers = self.callers_behind(Selector::Group(group));
            if callers > 0 {
                io.note(Note::CallersBehind { group: Some(group), callers });
            }
        }
        let callers = self.callers_behind(Selector::ByConnectorKey);
        if callers > 0 {
            io.note(Note::CallersBehind { group: None, callers });
        }
        self.answer_waiting_infos(io);
    }
}

/// Which list a caller was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShownEdition {
    /// That of its group.
    OfGroup(Edition),
    /// That of all groups, as a hash of theirs: of such a list only is known whether it is the present one.
    OfAll(u64),
}

impl ShownEdition {
    fn covers(&self, now: &Self) -> bool {
        match (self, now) {
            (Self::OfGroup(shown), Self::OfGroup(now)) => shown.covers(now),
            (shown, now) => shown == now,
        }
    }
}
