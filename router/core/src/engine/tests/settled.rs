//! What must be true after every event, whatever it was; and that events alone make the state.

use super::world::*;
use crate::engine::callers::CallerEnd;
use crate::engine::calls::Call;
use crate::engine::*;
use crate::ids::{GroupId, MemberId};

/// Looking at every call after every event is too slow for tests with more.
const CALLS_LOOKED_AT_MAX: usize = 256;

impl World {
    /// No fault is open, no group is stale, no place is free that is waited for, every count is equal to its entries, and every
    /// agenda says what its entries say.
    pub(super) fn assert_settled(&mut self) {
        let tables = &self.engine.tables;
        if tables.calls.len() > CALLS_LOOKED_AT_MAX {
            return;
        }
        tables.calls.assert_settled();
        tables.sockets.assert_settled();
        let calls = || tables.calls.iter().map(|(_, call)| call);
        let takes_place = |call: &&Call| !call.operation.is_subscription();
        tables.members.assert_settled(|member: MemberId| {
            let there = || calls().filter(|call| call.member() == Some(member));
            (there().count(), there().filter(takes_place).count())
        });
        tables.groups.assert_settled(|group: GroupId| {
            let of_it = || calls().filter(|call| call.group == group);
            let there = of_it().filter(|call| call.route.is_some()).filter(takes_place);
            (there.count(), of_it().filter(|call| call.is_waiting()).count())
        });
        let ends: Vec<(CallerEnd, bool)> =
            calls().filter_map(|call| Some((call.caller?, call.operation.is_subscription()))).collect();
        tables.callers.assert_settled(&ends);
    }

    /// The events that were recorded, given to a new engine, have the same effects and make the same state.
    pub(super) fn assert_replays(&self) {
        let Some((first, _)) = self.recorded.first() else { return };
        let (mut engine, mut io) = (Engine::new(start_at(*first)), Recorder::default());
        for (now, event) in &self.recorded {
            engine.apply(event.clone(), *now, &mut io);
        }
        assert_eq!(io.effects.len(), self.io.effects.len());
        for (number, (again, before)) in io.effects.iter().zip(&self.io.effects).enumerate() {
            assert_eq!(again, before, "effect {number}");
        }
        assert_eq!(state(&engine), state(&self.engine));
        assert_eq!(engine.view(), self.engine.view());
    }
}

/// Everything that an engine knows, as a text.
fn state(engine: &Engine) -> String {
    let tables = &engine.tables;
    let (sockets, callers, members) = (&tables.sockets, &tables.callers, &tables.members);
    let (groups, calls, clock) = (&tables.groups, &tables.calls, &tables.clock);
    format!("{sockets:#?}{callers:#?}{members:#?}{groups:#?}{calls:#?}{clock:#?}{:#?}", tables.agreed)
}
