//! Other routers of the cluster are told which members in client mode are connected here. Routers that forward calls to a member that has gone
//! lose their sockets, behind the last word on each of their calls: so they judge the loss as if the member had been theirs.

use std::collections::BTreeSet;

use crate::engine::event::Phase;
use crate::engine::io::Io;
use crate::engine::tables::Tables;

impl Tables {
    pub(super) fn tell_presence(&mut self, io: &mut impl Io) {
        for member in self.members.take_left() {
            for router in self.callers.forwarding_to(member) {
                self.callers.close_down_to(router, 0, io);
            }
        }
        let is_serving = self.phase == Phase::Serving;
        match self.members.present_anew() {
            Some(present) if is_serving => io.present(present),
            // A router that ends is used for no new call.
            Some(_) => io.present(&BTreeSet::new()),
            None => {}
        }
    }
}
