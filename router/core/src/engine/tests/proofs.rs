//! Streams that a starved Java server cuts short: the last item comes twice, and the end looks like any other (P13, WIRE 5.3).

use std::time::Duration;

use rcs_proto::envelope::{Kind, Part};
use rcs_proto::session::SocketId;

use super::world::*;
use crate::balance::Policy;
use crate::engine::event::Event;
use crate::limits;
use crate::settings::{GroupSettings, Settings, StreamEnd};

const PAUSE: Duration = limits::STREAM_STALL;

/// A search that is under way at a member, with one item passed on.
struct Search {
    world: World,
    caller: Vec<SocketId>,
    /// The member's sockets.
    sockets: Vec<SocketId>,
    id: i64,
}

impl Search {
    /// `pause` is the time from the request to the first item.
    fn begun(mut world: World, pause: Duration) -> Self {
        let caller = world.caller("idm", 1);
        world.call(caller[0], 1, search());
        let (member, _, id) = world.only_request();
        world.pass(pause);
        let sockets = world.members[member].clone();
        let mut search = Self { world, caller, sockets, id };
        search.world.io.pinged.clear();
        search.item(0, 1);
        assert!(matches!(search.told()[..], [Told::Item]));
        search
    }

    /// A search whose end was passed on although the pong of the second socket did not come.
    fn given_up() -> Self {
        let mut search = Self::begun(two_sockets(), PAUSE);
        search.world.frozen.push(0);
        search.end(0, 1);
        search.pong(0);
        assert_eq!(search.told(), []);
        search.world.pass(limits::STREAM_PROOF_WAIT);
        assert_eq!(search.told(), [Told::End]);
        search
    }

    /// Another search at the same member, with one item passed on.
    fn begin_another(&mut self, pause: Duration) {
        self.world.call(self.caller[0], 2, search());
        let (_, _, id) = self.world.only_request();
        self.id = id;
        self.world.pass(pause);
        self.item(0, 1);
        assert!(matches!(self.told()[..], [Told::Item]));
    }

    fn item(&mut self, socket: usize, sequence: i64) {
        self.world.feed(self.sockets[socket], search_item(self.id, sequence));
    }

    fn end(&mut self, socket: usize, count: i64) {
        self.world.feed(self.sockets[socket], search_end(self.id, count, ""));
    }

    fn pong(&mut self, socket: usize) {
        self.world.apply(Event::Pong { socket: self.sockets[socket] });
    }

    /// What the caller was told since it was last asked.
    fn told(&mut self) -> Vec<Told> {
        let told = self.world.at_caller(&self.caller);
        told.iter()
            .map(|envelope| match &envelope.kind {
                Kind::Answer(head) if matches!(head.part, Part::Item { .. }) => Told::Item,
                Kind::Answer(_) => Told::End,
                Kind::Error(error) => {
                    assert!(error.class.ends_with(".RetryableException"), "{error:?}");
                    Told::Error
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn cuts(&self, reason: &str) -> usize {
        self.world.io.notes.iter().filter(|note| note.contains("StreamCut") && note.contains(reason)).count()
    }

    fn pinged(&self) -> usize {
        self.world.io.pinged.len()
    }
}

#[derive(Debug, PartialEq)]
enum Told {
    Item,
    End,
    Error,
}

fn two_sockets() -> World {
    World::with_members(1, Policy::Failover)
}

#[test]
fn a_stream_whose_last_item_came_twice_is_an_error_although_its_end_has_a_result() {
    let mut search = Search::begun(two_sockets(), PAUSE);
    search.item(1, 1);
    search.end(0, 1);
    assert_eq!(search.told(), [Told::Error]);
    assert!(search.world.io.notes.iter().any(|note| note.contains("LastRepeated")));
    // An item that came twice in the middle was written at the second try, and the stream went on.
    let mut search = Search::begun(two_sockets(), PAUSE);
    search.item(1, 1);
    search.item(1, 2);
    search.end(1, 2);
    (0..2).for_each(|socket| search.pong(socket));
    assert_eq!(search.told(), [Told::Item, Told::End]);
}

#[test]
fn the_end_of_a_stream_that_paused_waits_for_a_pong_on_each_socket() {
    let mut search = Search::begun(two_sockets(), PAUSE);
    search.end(0, 1);
    assert_eq!((search.told(), search.pinged()), (Vec::new(), 2));
    search.pong(0);
    assert_eq!(search.told(), []);
    search.pong(1);
    assert_eq!(search.told(), [Told::End]);
    assert!(search.world.engine.is_idle());
    // The second copy is behind the end, on the other socket.
    let mut search = Search::begun(two_sockets(), PAUSE);
    search.end(0, 1);
    search.pong(0);
    search.item(1, 1);
    assert_eq!(search.told(), [Told::Error]);
    search.pong(1);
    assert_eq!(search.told(), []);
    // The end overtook the first copy.
    let mut search = Search::begun(two_sockets(), Duration::ZERO);
    search.world.pass(PAUSE);
    search.end(1, 2);
    search.item(0, 2);
    assert_eq!(search.told(), [Told::Item]);
    (0..2).for_each(|socket| search.pong(socket));
    assert_eq!(search.told(), [Told::End]);
}

#[test]
fn a_stream_without_a_pause_or_without_an_item_needs_no_proof() {
    let mut search = Search::begun(two_sockets(), PAUSE - Duration::from_millis(1));
    search.end(1, 1);
    assert_eq!((search.told(), search.pinged()), (vec![Told::End], 0));
    let mut world = two_sockets();
    let caller = world.caller("idm", 1);
    world.call(caller[0], 1, super::world::search());
    let (_, socket, id) = world.only_request();
    world.pass(PAUSE);
    world.io.pinged.clear();
    world.feed(socket, search_end(id, 0, ""));
    assert_eq!((world.at_caller(&caller).len(), world.io.pinged.len()), (1, 0));
}

#[test]
fn a_proof_that_does_not_come_or_is_lost_ends_the_wait() {
    // A peer may answer two pings with one pong. That costs one wait, and no later one.
    let mut search = Search::given_up();
    search.world.frozen.clear();
    search.world.pass(limits::PING_INTERVAL * 2);
    search.begin_another(PAUSE);
    search.end(0, 1);
    (0..2).for_each(|socket| search.pong(socket));
    assert_eq!(search.told(), [Told::End]);
    // With the socket, a copy may have been lost.
    let mut search = Search::begun(two_sockets(), PAUSE);
    search.end(0, 1);
    search.world.apply(Event::Closed { socket: search.sockets[1], unsent: Vec::new() });
    assert_eq!((search.told(), search.cuts("CopyLost")), (vec![Told::Error], 1));
    let mut search = Search::begun(two_sockets(), PAUSE);
    search.world.apply(Event::Closed { socket: search.sockets[1], unsent: Vec::new() });
    search.end(0, 1);
    assert_eq!((search.told(), search.cuts("CopyLost")), (vec![Told::Error], 1), "lost just before the end");
    // A pong of a ping before says nothing of what came later.
    let mut search = Search::given_up();
    search.begin_another(PAUSE);
    search.end(0, 1);
    search.pong(0);
    search.pong(1);
    assert_eq!(search.told(), [], "that was the pong of the first search's ping");
    search.item(1, 1);
    assert_eq!(search.told(), [Told::Error]);
    // The caller's cancel, or the loss of the member, ends the call as ever.
    let mut search = Search::begun(two_sockets(), PAUSE);
    search.end(0, 1);
    search.world.kill(0);
    assert_eq!(search.told(), [Told::Error]);
    let mut search = Search::begun(two_sockets(), PAUSE);
    search.end(0, 1);
    search.world.feed(search.caller[0], rcs_proto::frames::cancel(1));
    assert_eq!(search.told(), []);
    (0..2).for_each(|socket| search.pong(socket));
    assert!(search.world.engine.is_idle() && search.told().is_empty());
}

#[test]
fn a_group_that_takes_ends_as_they_come_asks_for_no_proof() {
    let mut world = two_sockets();
    let group = GroupSettings { stream_end: StreamEnd::AsItCame, ..GroupSettings::default() };
    world.set(&Settings { groups: [("g".to_owned(), group)].into(), ..Settings::default() });
    let mut search = Search::begun(world, PAUSE);
    search.item(1, 1);
    search.end(0, 1);
    assert_eq!((search.told(), search.pinged()), (vec![Told::End], 0));
}
