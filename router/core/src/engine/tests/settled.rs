//! What must be true after every event, whatever it was; and that events alone make the state.

use std::time::Duration;

use super::world::*;
use crate::agreed::marks::{LastMember, MarkChange};
use crate::balance::Policy;
use crate::engine::callers::CallerEnd;
use crate::engine::calls::Call;
use crate::engine::*;
use crate::ids::{GroupId, MemberId};
use crate::view::Mark;

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
            let at = |call: &&Call| call.routes().any(|route| route.member() == member);
            let there = || calls().filter(at);
            (there().count(), there().filter(takes_place).count())
        });
        tables.groups.assert_settled(|group: GroupId| {
            let of_it = || calls().filter(|call| call.group == group);
            let there = of_it().filter(takes_place).flat_map(Call::routes);
            (there.count(), of_it().filter(|call| call.is_waiting()).count())
        });
        let ends: Vec<(CallerEnd, bool)> =
            calls().filter_map(|call| Some((call.caller?, call.operation.is_subscription()))).collect();
        tables.callers.assert_settled(&ends);
    }

    /// The events that were recorded, given to a new engine, have the same effects and make the same state.
    pub(super) fn assert_replays(&self) {
        let (mut engine, mut io) = (Engine::new(self.start), Recorder::default());
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

/// A drill as the operators' ones are: calls all the time, while members are killed, frozen, drained, moved and brought back, sockets
/// die, sets change, agents and operators speak, and the process ends. Its events alone make the same state and effects again.
#[test]
fn a_drill_replays_from_its_events() {
    let mut world = World::with_members(3, Policy::RoundRobin);
    let callers = [world.caller("idm0", 2), world.caller("idm1", 1)];
    let mut id = 0;
    let mut calls = |world: &mut World, count: usize| {
        for n in 0..count {
            id += 1;
            let request = [get(), create(), search()][n % 3].clone();
            let caller = &callers[n % 2];
            world.call(caller[n % caller.len()], id, request);
            if n % 4 != 3 {
                for member in 0..3 {
                    for (socket, envelope) in world.at_member(member) {
                        world.feed(
                            socket,
                            match n % 3 {
                                2 => search_end(envelope.message_id, 0, ""),
                                _ => answer(envelope.message_id),
                            },
                        );
                    }
                }
            }
        }
    };
    calls(&mut world, 20);
    world.kill(0);
    calls(&mut world, 20);
    world.start(0);
    world.frozen.push(1);
    world.pass(Duration::from_secs(15));
    calls(&mut world, 20);
    world.frozen.clear();
    world.kill(1);
    world.come_back(1);
    world.mark(&[(2, Mark::Draining)]);
    calls(&mut world, 10);
    world.pass(Duration::from_secs(5));
    world.mark(&[]);
    world.pass(Duration::from_secs(5));
    world.reported("n0", b"one");
    let wish = Wish::Mark {
        group: "g".into(),
        member: "n0".into(),
        change: MarkChange::Disable,
        last: LastMember::Kept,
    };
    let marked = world.ask(|ticket| Event::Operator { ticket, wish });
    assert_eq!(marked, Answer::Marked(Ok(())));
    let socket = world.members[1].pop().unwrap();
    world.apply(Event::Closed { socket, unsent: Vec::new() });
    calls(&mut world, 10);
    world.pass(Duration::from_secs(70));
    world.apply(Event::Drain);
    calls(&mut world, 4);
    world.apply(Event::DrainOver);
    world.apply(Event::LetGo { callers: 9 });
    world.apply(Event::LetGo { callers: 9 });
    assert!(world.engine.is_idle() && world.recorded.len() > 300, "{} events", world.recorded.len());
    world.assert_replays();
}

/// Everything that an engine knows, as a text.
fn state(engine: &Engine) -> String {
    let tables = &engine.tables;
    let (sockets, callers, members) = (&tables.sockets, &tables.callers, &tables.members);
    let (groups, calls, clock) = (&tables.groups, &tables.calls, &tables.clock);
    format!("{sockets:#?}{callers:#?}{members:#?}{groups:#?}{calls:#?}{clock:#?}{:#?}", tables.agreed)
}
