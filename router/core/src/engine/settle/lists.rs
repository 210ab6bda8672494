//! The lists of connectors that callers are shown follow the groups' sets and the connectors that members reported last.

use std::sync::Arc;

use rcs_proto::frames;

use crate::bundles::infos::Review;
use crate::engine::io::Io;
use crate::engine::note::Note;
use crate::engine::selector::Selector;
use crate::engine::tables::Tables;
use crate::ids::GroupId;

impl Tables {
    pub(super) fn renew_lists(&mut self, io: &mut impl Io) {
        let mut changed: Vec<GroupId> = Vec::new();
        let mut looked = false;
        while let Some(id) = self.groups.next_stale_list() {
            looked = true;
            let view = Arc::clone(&self.view);
            let Some(listed) = view.group(id) else { continue };
            let Self { groups, members, .. } = self;
            let lists = listed.members.iter().filter_map(|member| members.get(*member)?.list.as_ref());
            let told = lists.filter_map(|list| Some((list.wire.as_ref().ok()?, &list.infos)));
            if groups.renew_list(listed, told) == Review::Changed {
                changed.push(id);
            }
        }
        if !looked {
            return;
        }
        for group in &changed {
            self.tell_of_callers_behind(Some(*group), io);
        }
        if !changed.is_empty() {
            self.tell_of_callers_behind(None, io);
        }
        self.answer_waiting_infos(io);
    }

    fn tell_of_callers_behind(&self, group: Option<GroupId>, io: &mut impl Io) {
        let callers = self.callers_behind(group.map_or(Selector::ByConnectorKey, Selector::Group));
        if callers > 0 {
            io.note(Note::CallersBehind { group, callers });
        }
    }

    /// Answers the callers that asked for connectors before any member had reported its connectors.
    fn answer_waiting_infos(&mut self, io: &mut impl Io) {
        for key in self.callers.waiting_for_infos() {
            let Some(infos) = self.connector_infos(key) else { continue };
            for (socket, id) in self.callers.take_infos_wanted(key) {
                io.reply(socket, frames::control_response(id, Some(infos.clone())));
            }
            self.callers.was_shown(key, self.edition_for(key));
        }
    }
}
