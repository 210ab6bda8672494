//! Hedged calls: reads of which nothing came for long, and that are at two members. The first answer counts.

use super::{CallKey, Calls, Route};
use crate::ids::MemberId;

impl Calls {
    /// A call is at a second member as well. A call is hedged once.
    pub(in crate::engine) fn hedged(&mut self, key: CallKey, member: MemberId, route: Route) {
        let Some(call) = self.entries.get_mut(key) else { return };
        assert!(call.route.is_some() && call.hedge.is_none(), "{key:?} has one route before it is hedged");
        call.hedge = Some(route);
        call.hedge_at = None;
        call.tried.insert(member);
        call.attempts.elsewhere = call.attempts.elsewhere.saturating_add(1);
    }

    /// Of the two members that have a call, the call stays at one: where `stays` says. Returns the route to the other member; none if the
    /// call is at one member anyway.
    pub(in crate::engine) fn leave_one(
        &mut self,
        key: CallKey,
        stays: impl Fn(&Route) -> bool,
    ) -> Option<Route> {
        let call = self.entries.get_mut(key)?;
        let hedge = call.hedge.take()?;
        if !stays(&hedge) {
            return Some(hedge);
        }
        // A timer that runs for the first member no longer concerns the call.
        call.sends += 1;
        call.is_watched = false;
        call.route.replace(hedge)
    }
}
