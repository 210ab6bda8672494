//! Nobody waits for a call any more.

use rcs_proto::time::Moment;

use crate::engine::io::Io;
use crate::engine::keys::{CallKey, CallerKey};
use crate::engine::tables::Tables;
use crate::verdict::Outcome;

impl Tables {
    /// Nobody waits for the call any more. A call that can be stopped is stopped; a change runs on, and is forgotten when its
    /// answer comes (WIRE 11.6).
    pub(in crate::engine) fn abandon(&mut self, key: CallKey, now: Moment, io: &mut impl Io) {
        let Some(call) = self.calls.get(key) else { return };
        if call.is_cancellable() || call.route.is_none() {
            self.cancel_at_member(key, now, io);
            return self.end(key, Outcome::Cancelled, now, io);
        }
        let is_subscription = call.operation.is_subscription();
        self.end_hedge(key, now, io);
        if let Some(caller) = self.calls.forget_caller(key) {
            self.callers.finish(&caller, is_subscription);
        }
    }

    /// Ends a caller's session, and abandons its calls.
    pub(in crate::engine) fn forget_caller(&mut self, key: CallerKey, now: Moment, io: &mut impl Io) {
        let open = self.callers.get(key).map(|caller| caller.open_keys()).unwrap_or_default();
        for call in open {
            self.abandon(call, now, io);
        }
        self.callers.remove(key);
    }
}
