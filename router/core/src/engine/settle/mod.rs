//! What must always follow an event, in one order: when an event is applied, every table is settled before the next event.
//!
//! 1. `sets`: what groups propose for their bundle sets is decided, and noted for operators. Members that may serve from now on are warmed
//!    up before they serve.
//! 2. `standings`: members that something happened to are reviewed. If a member cannot be reached, its groups no longer judge it.
//! 3. `pickers`: each group whose members can do something else than before gets another picker.
//! 4. `states`: the state of each member in its groups is updated. A group without a member that gets calls is noted for operators.
//! 5. `faults`, one call after the other: the verdict is asked and carried out. By then a lost member is out of rotation, so no call
//!    that moves away from the member comes back to it.
//! 6. `hold`: calls that were held back as suspects go on or end, when it is time to ask.
//! 7. `places`: places that became free go to the calls that wait. So when the next event is applied, no place is free that a waiting
//!    call could have, and a new call that finds a place overtakes nobody.
//! 8. `lists`: the lists of connectors that callers are shown are renewed.
//! 9. `presence`: other routers are told which members in client mode are connected here.
//!
//! `errors` has the errors that callers get, whichever step ends their calls; `forwarded` judges the faults of calls that other routers forward.
//!
//! A step may leave work for an earlier step, so the order begins anew after each fault and each place. Nothing here recurses. An
//! event that breaks nothing, such as a frame of an answer, finds nine empty lists.

mod errors;
mod faults;
mod forwarded;
mod hedges;
mod hold;
mod lists;
mod pickers;
mod places;
mod presence;
mod sets;
mod standings;
mod states;

use rcs_proto::time::Moment;

use super::io::Io;
use super::tables::Tables;

impl Tables {
    /// Does what follows from the event that was applied, until nothing is left.
    pub(super) fn settle(&mut self, now: Moment, io: &mut impl Io) {
        loop {
            self.decide_sets(now, io);
            self.warm_up_let_in(now, io);
            self.look_at_members(now, io);
            self.rebuild_pickers();
            self.look_at_states(now, io);
            self.judge_orphans(now, io);
            if self.judge_next_fault(now, io) || self.ask_about_held(now, io) || self.give_places(now, io) {
                continue;
            }
            self.renew_lists(io);
            self.tell_presence(io);
            self.members.bury();
            return;
        }
    }
}
