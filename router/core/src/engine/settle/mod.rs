//! What must always follow, in one order, whatever happened: when an event is applied, every table is settled before the next.
//!
//! 1. `sets`: what groups propose for their bundle sets is decided, and operators are told.
//! 2. `standings`: members that something happened to are looked at; who cannot be reached is forgotten by its groups' judgement.
//! 3. `pickers`: groups in which that changed something choose among other members from now on.
//! 4. `faults`, one call after the other: the verdict is asked and carried out. So calls that lost their member are moved only
//!    after the member is out of rotation, and none of them comes back to it.
//! 5. `hold`: calls that look like poison go on or end, when it is time to ask.
//! 6. `places`: what became free goes to the calls that wait. So no waiting call could go while the next event is applied, and a
//!    new call that finds a place overtakes nobody.
//! 7. `lists`: callers are shown the connectors of now.
//!
//! A step may leave work for one before it, so the order begins anew after each fault and each place. Nothing here recurses. An
//! event that breaks nothing, such as a frame of an answer, finds seven empty lists.

mod faults;
mod hold;
mod lists;
mod pickers;
mod places;
mod sets;
mod standings;

use rcs_proto::time::Moment;

use super::io::Io;
use super::tables::Tables;

impl Tables {
    /// Does what follows from the event that was applied, until nothing is left.
    pub(super) fn settle(&mut self, now: Moment, io: &mut impl Io) {
        loop {
            self.decide_sets(now, io);
            self.look_at_members(now, io);
            self.rebuild_pickers();
            if self.judge_next_fault(now, io) || self.ask_about_held(now, io) || self.give_places(now, io) {
                continue;
            }
            self.renew_lists(io);
            self.members.bury();
            return;
        }
    }
}
