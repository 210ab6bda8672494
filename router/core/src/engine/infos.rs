//! What callers are shown in answer to CONNECTOR_INFO: the connectors of the group's members (WIRE 11.7).

use std::collections::HashSet;

use bytes::Bytes;
use rcs_proto::icf::ConnectorInfo;
use rcs_proto::legacy::Wire;

use super::{Engine, Selector};

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
    /// What a caller is shown; none while no member ever answered.
    pub(super) fn connector_infos(&self, selector: Selector) -> Option<Bytes> {
        match selector {
            Selector::Group(group) => self.groups.get(&group)?.infos.clone(),
            Selector::ByConnectorKey => {
                let groups = self.view.groups().iter();
                let lists: Vec<Bytes> =
                    groups.filter_map(|group| self.groups.get(&group.id)?.infos.clone()).collect();
                merged(&lists)
            }
        }
    }

    /// Makes the lists of the groups anew, from what their members told last.
    pub(super) fn refresh_infos(&mut self) {
        for group in self.view.groups() {
            let members = group.members.iter();
            let lists: Vec<Bytes> =
                members.filter_map(|member| self.members.get(member)?.infos.clone()).collect();
            if let Some(state) = self.groups.get_mut(&group.id) {
                state.infos = merged(&lists);
            }
        }
    }
}
