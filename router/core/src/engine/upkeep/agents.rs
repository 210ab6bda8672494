//! What agents beside members report of the members' files (G12).

use std::sync::Arc;

use rcs_proto::time::Moment;

use crate::engine::event::{AgentSays, UnknownMember};
use crate::engine::tables::Tables;
use crate::ids::GroupId;

impl Tables {
    /// An agent reported something; the shell has checked its proof. Returns whether the router knows the files of the report.
    ///
    /// # Errors
    /// [`UnknownMember`]
    pub(in crate::engine) fn on_agent(
        &mut self,
        member: &str,
        says: AgentSays,
        now: Moment,
    ) -> Result<bool, UnknownMember> {
        let found = self.view.member_named(member).ok_or_else(|| UnknownMember(member.to_owned()))?.id;
        let groups: Vec<GroupId> = self.view.groups_of(found).map(|group| group.id).collect();
        let mut is_known = true;
        for group in groups {
            // Each group must get the report, even if another group knows the files already.
            is_known &= match &says {
                AgentSays::Files(files) => {
                    self.groups.sets_change(group, |sets| sets.files_seen(found, Arc::clone(files), now));
                    true
                }
                AgentSays::StillThere(digest) => self.groups.agent_heard(group, found, digest, now),
            };
        }
        Ok(is_known)
    }
}
