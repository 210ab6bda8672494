//! Configurations that members were lost with. Time decides on those that are held back, and releases those that are quarantined. An
//! operator may release a configuration earlier.

use rcs_proto::time::Moment;

use crate::engine::event::NotQuarantined;
use crate::engine::io::Io;
use crate::engine::tables::Tables;
use crate::ids::ConfigurationId;

impl Tables {
    /// Does what is due by now.
    pub(super) fn look_after_configurations(&mut self, now: Moment, io: &mut impl Io) {
        if self.groups.configurations().is_empty() {
            return;
        }
        let mut turned = Vec::new();
        let Self { groups, members, .. } = self;
        let living = members.living();
        let lives = |member, remote: &str| living.contains(&(member, remote, None));
        groups.configurations_mut().review(lives, now, &mut turned);
        self.tell_configurations(&turned, io);
    }

    /// An operator releases a configuration.
    ///
    /// # Errors
    /// [`NotQuarantined`]; then nothing was changed.
    pub(super) fn release_configuration(
        &mut self,
        id: ConfigurationId,
        now: Moment,
        io: &mut impl Io,
    ) -> Result<(), NotQuarantined> {
        let mut turned = Vec::new();
        let is_released = self.groups.configurations_mut().release(id, now, &mut turned);
        self.tell_configurations(&turned, io);
        if is_released { Ok(()) } else { Err(NotQuarantined(id)) }
    }
}
