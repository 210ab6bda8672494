//! What callers are shown in answer to CONNECTOR_INFO: the connectors of the set that their group accepted, during an upgrade also
//! the connectors of the next set (WIRE 11.7). Connectors that the settings hide are never shown.
//!
//! An IDM requests the list once per session (WIRE 4.4). An IDM that was shown an older list cannot be notified: a new list needs
//! a new sessionId of the router on new sockets, and a 1.8.0 IDM opens none (WIRE 7.5). So such callers are counted and shown to
//! the operator, and members of a group in a rolling upgrade serve the old version as long as they have it.

use std::collections::HashSet;

use bytes::Bytes;
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire;

use crate::bundles::infos::Visible;
use crate::digest64::digest64;
use crate::engine::allowed::Allowed;
use crate::engine::callers::ShownEdition;
use crate::engine::keys::CallerKey;
use crate::engine::selector::Selector;
use crate::engine::tables::Tables;
use crate::ids::{GroupId, MemberId};

/// Makes one list of several; of entries with equal keys the first one wins. A single list, or the first of several with the same
/// keys, stays as its server wrote it: entries can be copied only by encoding them again (LEGACY 2).
fn merged(lists: &[Bytes]) -> Option<Bytes> {
    let first = lists.first()?;
    let (mut seen, mut read) = (HashSet::new(), HashSet::new());
    let mut all = Vec::new();
    let mut of_first = 0;
    for (at, list) in lists.iter().enumerate() {
        // Groups of alike servers share one list.
        if !read.insert(list) {
            continue;
        }
        // A list that cannot be read is shown only if it stands alone.
        let Ok(infos) = Vec::<ConnectorInfo>::decode(list) else { continue };
        all.extend(infos.into_iter().filter(|info| seen.insert(info.key.clone())));
        if at == 0 {
            of_first = all.len();
        }
    }
    Some(if all.len() == of_first { first.clone() } else { all.encode() })
}

impl Tables {
    /// The list that a caller is shown; `None` until a member with the set of its group has reported connectors. A question costs a copy
    /// of the answer, because the list of several groups is made only once for each change of a group's list.
    pub(in crate::engine) fn connector_infos(&mut self, caller: CallerKey) -> Option<Bytes> {
        let caller = self.callers.get(caller)?;
        match caller.id.selector {
            Selector::Group(group) => self.list_of(group),
            Selector::Via(member) => self.list_beyond(member),
            Selector::ByConnectorKey => {
                let allowed = &caller.allowed;
                if let Some(known) = self.groups.list_of_several(allowed) {
                    return known.list.clone();
                }
                let its_own = self.view.meant_groups().filter(|group| allowed.has(&group.name));
                let lists = its_own.filter_map(|group| self.list_of(group.id)).collect();
                let edition = self.edition_of_several(allowed);
                self.groups.renew_list_of_several(allowed, lists, edition, merged).list.clone()
            }
        }
    }

    /// The list of the group's set. While there is none: the list of a member that serves all the same; the router cannot read that
    /// list, and passes it on as it came.
    fn list_of(&self, group: GroupId) -> Option<Bytes> {
        let shown = self.groups.shown(group)?;
        let listed = self.view.group(group)?;
        let unread = || {
            let sets = self.groups.sets(group)?;
            let mut serving = listed.members.iter().filter(|member| sets.may_serve(**member));
            let list = serving.find_map(|member| self.members.get(*member)?.list.as_ref());
            list.filter(|_| listed.settings.visible == Visible::All).map(|list| list.infos.clone())
        };
        shown.list().cloned().or_else(unread)
    }

    /// The list of a member that is connected here, as its server wrote the list.
    fn list_beyond(&self, member: MemberId) -> Option<Bytes> {
        let is_here = self.members.is_here(member);
        let list = self.members.get(member)?.list.as_ref();
        list.filter(|_| is_here).map(|list| list.infos.clone())
    }

    /// The edition of the list that a caller is shown.
    pub(in crate::engine) fn edition_for(&self, caller: CallerKey) -> Option<ShownEdition> {
        let caller = self.callers.get(caller)?;
        self.edition(caller.id.selector, &caller.allowed)
    }

    /// The edition of the list that a caller on this way in is shown. Where the connector decides, its rights count.
    fn edition(&self, selector: Selector, allowed: &Allowed) -> Option<ShownEdition> {
        match selector {
            // The router that forwards asks again by itself, as it asks every member.
            Selector::Via(_) => None,
            Selector::Group(group) => Some(ShownEdition::OfGroup(self.groups.shown(group)?.edition())),
            Selector::ByConnectorKey => {
                let known = self.groups.list_of_several(allowed).map(|known| known.edition);
                known.unwrap_or_else(|| self.edition_of_several(allowed)).map(ShownEdition::OfSeveral)
            }
        }
    }

    fn edition_of_several(&self, allowed: &Allowed) -> Option<u64> {
        let its_own = self.view.meant_groups().filter(|group| allowed.has(&group.name));
        let editions = its_own.map(|group| {
            let edition = self.groups.shown(group.id)?.edition();
            Some(digest64(&[group.name.as_bytes(), &edition.to_bytes()]).to_le_bytes())
        });
        let all: Vec<[u8; 8]> = editions.collect::<Option<_>>()?;
        Some(digest64(&[all.as_flattened()]))
    }

    /// Callers on the way in of a group, or on the way in where the connector decides, that were shown a list which lacks something of the
    /// present one.
    pub(in crate::engine) fn callers_behind(&self, selector: Selector) -> usize {
        let behind = |allowed: &Allowed, rights: Option<&Allowed>| {
            self.edition(selector, allowed).map_or(0, |now| self.callers.behind(selector, rights, &now))
        };
        match selector {
            Selector::Via(_) => 0,
            Selector::Group(_) => behind(&Allowed::All, None),
            Selector::ByConnectorKey => {
                let rights = self.callers.rights_by_connector().into_iter();
                rights.map(|rights| behind(rights, Some(rights))).sum()
            }
        }
    }
}
