//! What a group shows its callers in answer to CONNECTOR_INFO: the connectors of its accepted set, and during a rolling upgrade
//! those of the next set beside them, without those that callers may not see.
//!
//! An IDM resolves its references against the list once in the life of a session, and forgets nothing (WIRE 4.4). So it must be
//! shown both versions while both are served: the reference to a range then finds the newer one, an exact one still
//! finds its own. When the list changes, an IDM learns it from a new session only.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::icf::{ConnectorInfo, ConnectorKey};
use rcs_proto::legacy::Wire;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::in_use;
use super::range::{ConnectorRef, StandIns};
use super::wire::WireManifest;

/// The connectors that callers of a group may see and use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Visible {
    /// All.
    #[default]
    All,
    /// Those that one of these means.
    Only(Vec<ConnectorRef>),
}

impl Visible {
    /// Whether callers may see and use it.
    pub fn allows(&self, key: &ConnectorKey) -> bool {
        match self {
            Self::All => true,
            Self::Only(references) => references.iter().any(|reference| reference.matches(key)),
        }
    }
}

/// The sets of a group that callers are shown, by the digests of what their members tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShownSets {
    /// The accepted one.
    pub accepted: Option<Digest>,
    /// The next one, once enough members serve it.
    pub next: Option<Digest>,
}

/// The list of a group. It stays when the last member that told it is gone.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    accepted: Option<Told>,
    next: Option<Told>,
    visible: Visible,
    list: Option<Bytes>,
    /// Goes up when other connectors are visible.
    visibility: u32,
}

/// What a caller was shown: enough to tell whether it knows what is shown now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edition {
    sets: [Option<Digest>; 2],
    visibility: u32,
}

impl Edition {
    /// The same for whoever makes it, in any process.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.visibility.to_le_bytes().to_vec();
        for set in self.sets {
            bytes.push(u8::from(set.is_some()));
            bytes.extend(set.iter().flat_map(|digest| digest.to_string().into_bytes()));
        }
        bytes
    }

    /// Whether a caller that was shown this knows all that is in the other one. One that knows more does: an IDM forgets nothing.
    pub fn covers(&self, now: &Self) -> bool {
        let knows = |digest: &Digest| self.sets.contains(&Some(*digest));
        self.visibility == now.visibility && now.sets.iter().flatten().all(knows)
    }
}

/// The list of one set, as the first member that had it wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    wire: Arc<WireManifest>,
    infos: Bytes,
}

/// Whether callers know what they would be shown now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// The list says what it said before.
    Same,
    /// Callers that were shown another list should be told, or their sessions be renewed.
    Changed,
}

impl Shown {
    /// The list as callers get it; none while nothing is known of the accepted set but its digest.
    pub fn list(&self) -> Option<&Bytes> {
        self.list.as_ref()
    }

    /// Which list that is.
    pub fn edition(&self) -> Edition {
        Edition { sets: self.digests(), visibility: self.visibility }
    }

    /// Whether callers see this connector, or one of which the version may stand for it.
    pub fn has(&self, key: &ConnectorKey, stand_ins: &StandIns) -> bool {
        let sets = || [&self.accepted, &self.next].into_iter().flatten();
        if !self.visible.allows(key) {
            return false;
        }
        sets().any(|told| told.wire.connectors().contains_key(key))
            || !stand_ins.0.is_empty()
                && stand_ins.satisfying(key, sets().flat_map(|told| told.wire.connectors().keys())).is_some()
    }

    /// The versions of a connector that callers see, whatever version is asked for.
    pub fn versions_of<'a>(&'a self, asked: &'a ConnectorKey) -> impl Iterator<Item = &'a str> {
        let sets = [&self.accepted, &self.next].into_iter().flatten();
        let keys = sets.flat_map(move |told| in_use::keys_of(&told.wire, asked));
        keys.filter(|key| self.visible.allows(key)).map(|key| &*key.bundle_version)
    }

    /// Follows the sets of the group, with what its members told: each one's manifest and its list.
    pub fn refresh<'a>(
        &mut self,
        sets: ShownSets,
        told: impl IntoIterator<Item = (&'a Arc<WireManifest>, &'a Bytes)> + Clone,
        visible: &Visible,
    ) -> Review {
        let before = (self.digests(), self.visible.clone());
        let kept = [self.accepted.take(), self.next.take()];
        let find = |wanted: Option<Digest>| {
            let wanted = wanted?;
            // What is known already stays as it is: two servers write one list in two orders.
            let known = kept.iter().flatten().find(|kept| *kept.wire.digest() == wanted).cloned();
            known.or_else(|| {
                let (wire, infos) = told.clone().into_iter().find(|(wire, _)| *wire.digest() == wanted)?;
                Some(Told { wire: Arc::clone(wire), infos: infos.clone() })
            })
        };
        self.accepted = find(sets.accepted);
        self.next = find(sets.next.filter(|next| sets.accepted != Some(*next)));
        if self.visible != *visible {
            self.visible = visible.clone();
            self.visibility = self.visibility.wrapping_add(1);
        }
        if before == (self.digests(), self.visible.clone()) {
            return Review::Same;
        }
        self.list = self.written();
        Review::Changed
    }

    fn digests(&self) -> [Option<Digest>; 2] {
        [&self.accepted, &self.next].map(|told| told.as_ref().map(|told| *told.wire.digest()))
    }

    /// One list stays as its server wrote it; entries can be left out or put together only by writing them again (LEGACY 2).
    fn written(&self) -> Option<Bytes> {
        if let (Some(only), None) | (None, Some(only)) = (&self.accepted, &self.next)
            && self.visible == Visible::All
        {
            return Some(only.infos.clone());
        }
        let (mut all, mut seen) = (Vec::<ConnectorInfo>::new(), HashSet::new());
        let sets = [&self.accepted, &self.next].into_iter().flatten();
        if self.accepted.is_none() && self.next.is_none() {
            return None;
        }
        for told in sets {
            // It was read before: only what can be read has a digest.
            for info in Vec::<ConnectorInfo>::decode(&told.infos).unwrap_or_default() {
                if self.visible.allows(&info.key) && seen.insert(info.key.clone()) {
                    all.push(info);
                }
            }
        }
        Some(all.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundles::samples::{info, key, rig, rig_at};

    struct Member {
        wire: Arc<WireManifest>,
        infos: Bytes,
    }

    fn member(infos: &[ConnectorInfo]) -> Member {
        let infos = infos.to_vec();
        Member { wire: Arc::new(WireManifest::of(&infos).unwrap()), infos: infos.encode() }
    }

    fn refresh(
        shown: &mut Shown,
        sets: [Option<&Member>; 2],
        members: &[&Member],
        visible: &Visible,
    ) -> Review {
        let [accepted, next] = sets.map(|member| member.map(|member| *member.wire.digest()));
        let told: Vec<_> = members.iter().map(|member| (&member.wire, &member.infos)).collect();
        shown.refresh(ShownSets { accepted, next }, told, visible)
    }

    fn keys(shown: &Shown) -> Vec<String> {
        let infos = Vec::<ConnectorInfo>::decode(shown.list().unwrap()).unwrap();
        infos.iter().map(|info| info.key.to_string()).collect()
    }

    #[test]
    fn the_accepted_list_is_shown_as_written_and_stays_when_its_members_are_gone() {
        let mut shown = Shown::default();
        let (old, other) = (member(&rig()), member(&rig_at("2.0.0.0")));
        assert_eq!(refresh(&mut shown, [Some(&old), None], &[], &Visible::All), Review::Same);
        assert_eq!(shown.list(), None);
        assert_eq!(refresh(&mut shown, [Some(&old), None], &[&other, &old], &Visible::All), Review::Changed);
        assert_eq!(shown.list(), Some(&old.infos));
        assert_eq!(refresh(&mut shown, [Some(&old), None], &[&other], &Visible::All), Review::Same);
        assert_eq!(shown.list(), Some(&old.infos));
    }

    #[test]
    fn a_list_of_the_same_content_in_another_order_changes_nothing() {
        let mut shown = Shown::default();
        let one = member(&[info("a", "1.0"), info("b", "1.0")]);
        let two = member(&[info("b", "1.0"), info("a", "1.0")]);
        assert_ne!(one.infos, two.infos);
        refresh(&mut shown, [Some(&one), None], &[&one], &Visible::All);
        assert_eq!(refresh(&mut shown, [Some(&two), None], &[&two, &one], &Visible::All), Review::Same);
        assert_eq!(shown.list(), Some(&one.infos));
    }

    #[test]
    fn both_versions_are_shown_during_an_upgrade_and_the_new_one_after_it() {
        let mut shown = Shown::default();
        let (old, new) = (member(&rig()), member(&rig_at("1.0.0.1")));
        let all = &Visible::All;
        refresh(&mut shown, [Some(&old), None], &[&old], all);
        assert_eq!(refresh(&mut shown, [Some(&old), Some(&new)], &[&old, &new], all), Review::Changed);
        assert_eq!(
            keys(&shown),
            ["rig.connector/1.0.0.0/rig.RigConnector", "rig.connector/1.0.0.1/rig.RigConnector"]
        );
        assert_eq!(refresh(&mut shown, [Some(&new), None], &[], all), Review::Changed);
        assert_eq!(shown.list(), Some(&new.infos));
    }

    #[test]
    fn connectors_that_are_not_allowed_are_left_out() {
        let mut shown = Shown::default();
        let both = member(&[info("a", "1.0.0.0"), info("b", "1.0.0.0")]);
        let visible = |references: &[&str]| {
            Visible::Only(references.iter().map(|reference| reference.parse().unwrap()).collect())
        };
        for (references, expected) in [
            (&["a"][..], &["a/1.0.0.0/a.Connector"][..]),
            (&["a", "b/[2.0,3.0)"], &["a/1.0.0.0/a.Connector"]),
            (&["*/*/b.Connector"], &["b/1.0.0.0/b.Connector"]),
            (&["*"], &["a/1.0.0.0/a.Connector", "b/1.0.0.0/b.Connector"]),
            (&[], &[]),
        ] {
            let visible = visible(references);
            assert_eq!(refresh(&mut shown, [Some(&both), None], &[&both], &visible), Review::Changed);
            assert_eq!(keys(&shown), expected, "{references:?}");
        }
    }

    #[test]
    fn a_caller_knows_what_is_shown_if_it_was_shown_as_much_before() {
        let mut shown = Shown::default();
        let (old, new) = (member(&rig()), member(&rig_at("1.0.0.1")));
        let mut edition = |sets: [Option<&Member>; 2], visible: &Visible| {
            refresh(&mut shown, sets, &[&old, &new], visible);
            shown.edition()
        };
        let first = edition([Some(&old), None], &Visible::All);
        let both = edition([Some(&old), Some(&new)], &Visible::All);
        let last = edition([Some(&new), None], &Visible::All);
        assert!(first.covers(&first) && both.covers(&first) && both.covers(&last));
        assert!(!first.covers(&both) && !first.covers(&last));
        let fewer = edition([Some(&new), None], &Visible::Only(Vec::new()));
        assert!(!last.covers(&fewer));
    }

    #[test]
    fn a_connector_is_there_if_it_is_shown_or_one_that_is_shown_stands_for_it() {
        let mut shown = Shown::default();
        let set = member(&[info("a", "1.0.0.1"), info("b", "1.0")]);
        let only_a = Visible::Only(vec!["a".parse().unwrap()]);
        refresh(&mut shown, [Some(&set), None], &[&set], &only_a);
        let (none, rule) = (StandIns::default(), StandIns(vec!["a/[1.0,1.1)".parse().unwrap()]));
        for (wanted, by_itself, with_rule) in [
            (key("a", "1.0.0.1", "a.Connector"), true, true),
            (key("a", "1.0.0.0", "a.Connector"), false, true),
            (key("a", "2.0", "a.Connector"), false, false),
            (key("b", "1.0", "b.Connector"), false, false),
        ] {
            assert_eq!(
                (shown.has(&wanted, &none), shown.has(&wanted, &rule)),
                (by_itself, with_rule),
                "{wanted}"
            );
        }
    }
}
