//! Calls of peers, with an executor and peers in the test's hands.

use std::sync::Mutex;

use super::super::rig::{Rig, config, end, item, parsed, search_request, test_answer};
use super::*;
use crate::envelope::Kind;

/// Hands every call to the test.
#[derive(Default)]
struct Handed(Mutex<Vec<IncomingCall>>);

impl Executor for Handed {
    fn connector_infos(&self) -> Bytes {
        Bytes::from_static(b"the list")
    }

    fn execute(&self, call: IncomingCall) {
        self.0.lock().unwrap().push(call);
    }
}

struct Served {
    rig: Rig,
    incoming: Incoming,
    executor: Arc<Handed>,
    /// Responders send here; the test stands in for the hub, and reads it.
    hub: (mpsc::UnboundedSender<ToHub>, mpsc::UnboundedReceiver<ToHub>),
}

impl Served {
    fn new(calls_max: usize) -> Self {
        let hub = mpsc::unbounded_channel();
        let executor = Arc::new(Handed::default());
        let config = EndpointConfig { calls_max, ..config() };
        let incoming = Incoming::new(&config, executor.clone(), hub.0.downgrade());
        Self { rig: Rig::new(), incoming, executor, hub }
    }

    /// Starts a search; gives its key, and whether its caller waits.
    fn search(&mut self, no: PeerNo, socket: SocketId, id: i64) -> (u64, Watch) {
        let request = parsed(frames::operation(id, &search_request()));
        assert!(self.incoming.start(no, socket, &request, &mut self.rig.net).is_none());
        let IncomingCall { request, responder, watch } = self.executor.0.lock().unwrap().pop().unwrap();
        assert!(request.search.is_some());
        responder.finish(Default::default());
        let Ok(ToHub::Final { call, .. }) = self.hub.1.try_recv() else { panic!("the last frame") };
        (call, watch)
    }

    async fn frames(&mut self, count: usize) -> Vec<(SocketId, Bytes)> {
        let mut frames = Vec::new();
        for _ in 0..count {
            let (socket, envelope) = self.rig.frame().await;
            frames.push((socket, envelope.frame().clone()));
        }
        frames
    }

    /// Does what the hub does when a socket has ended.
    fn lose(&mut self, no: PeerNo, dead: SocketId, unsent: Vec<Bytes>) {
        self.incoming.take_back(no, dead, &mut Lost::new(unsent, Vec::new()), &mut self.rig.net);
        self.incoming.move_to_living(no, &mut self.rig.net);
    }
}

#[tokio::test]
async fn an_answer_keeps_to_its_socket_and_ends_with_its_last_frame() {
    let mut served = Served::new(10);
    let (no, first) = served.rig.join("P").await;
    served.rig.join("P").await;
    let (key, watch) = served.search(no, first, 7);
    assert_eq!((served.incoming.len(), served.rig.net.executing(no)), (1, 1));
    served.incoming.item(key, item(7, 1), &served.rig.net);
    served.incoming.item(key, item(7, 2), &served.rig.net);
    served.incoming.last(key, end(7, 2), &mut served.rig.net);
    let frames = served.frames(3).await;
    assert_eq!(frames, [(first, item(7, 1)), (first, item(7, 2)), (first, end(7, 2))]);
    assert_eq!((served.incoming.len(), served.rig.net.executing(no), watch.is_gone()), (0, 0, true));
    // An executor that goes on is not heard.
    served.incoming.last(key, end(7, 2), &mut served.rig.net);
    served.rig.net.answer(no, Some(first), 8, test_answer(8));
    assert_eq!(served.frames(1).await, [(first, test_answer(8))]);
}

#[tokio::test]
async fn what_finds_its_socket_dead_goes_out_on_another_one_in_its_order() {
    let mut served = Served::new(10);
    let (no, first) = served.rig.join("P").await;
    let (key, watch) = served.search(no, first, 7);
    served.rig.kill(first).await;
    served.incoming.item(key, item(7, 2), &served.rig.net);
    served.incoming.last(key, end(7, 2), &mut served.rig.net);
    assert_eq!(served.incoming.len(), 1, "the end waits behind the item");
    served.rig.bury(first).await;
    // As if the first item had been queued on the dead socket, and had come back with it.
    served.incoming.calls.get_mut(&key).unwrap().on_pin = 1;
    served.lose(no, first, vec![item(7, 1)]);
    assert_eq!((served.incoming.len(), watch.is_gone()), (1, false), "no socket is there");
    let (_, second) = served.rig.join("P").await;
    served.incoming.move_to_living(no, &mut served.rig.net);
    let frames = served.frames(3).await;
    assert_eq!(frames, [(second, item(7, 1)), (second, item(7, 2)), (second, end(7, 2))]);
    assert_eq!(served.incoming.len(), 0);
}

#[tokio::test]
async fn an_answer_of_which_a_part_may_be_lost_ends_in_an_error() {
    let mut served = Served::new(10);
    let (no, first) = served.rig.join("P").await;
    let (_, second) = served.rig.join("P").await;
    let (key, watch) = served.search(no, first, 7);
    served.incoming.item(key, item(7, 1), &served.rig.net);
    assert_eq!(served.frames(1).await, [(first, item(7, 1))]);
    served.rig.kill(first).await;
    // The last frame came behind one whose fate was not known.
    served.incoming.last(key, end(7, 1), &mut served.rig.net);
    let unsent = served.rig.bury(first).await;
    served.lose(no, first, unsent);
    let (socket, envelope) = served.rig.frame().await;
    let Kind::Error(error) = envelope.kind else { panic!("an error: {envelope:?}") };
    assert_eq!((socket, error.class.as_str()), (second, exceptions::CONNECTION_BROKEN));
    assert_eq!((served.incoming.len(), watch.is_gone()), (0, true));
}

#[tokio::test]
async fn a_peer_with_too_many_calls_is_refused_and_a_forgotten_one_has_none() {
    let mut served = Served::new(1);
    let (no, socket) = served.rig.join("P").await;
    let (other, elsewhere) = served.rig.join("Q").await;
    assert!(served.incoming.refusal(no, 1, &served.rig.net).is_none());
    let (key, cancelled) = served.search(no, socket, 1);
    let (_, kept) = served.search(other, elsewhere, 1);
    let refusal = parsed(served.incoming.refusal(no, 2, &served.rig.net).unwrap());
    assert!(matches!(refusal.kind, Kind::Error(error) if error.class == exceptions::CONNECTION_FAILED));
    served.incoming.cancel(key);
    assert!(cancelled.is_gone());
    assert_eq!(served.incoming.len(), 2, "a cancelled call runs on until its executor ends it");
    served.incoming.forget(no);
    assert_eq!((served.incoming.len(), kept.is_gone()), (1, false));
}

#[tokio::test]
async fn a_request_that_cannot_be_decoded_is_refused_and_not_run() {
    let mut served = Served::new(1);
    let (no, socket) = served.rig.join("P").await;
    // An operation whose `search` is cut short, with lengths that fit.
    let request = parsed(Bytes::from_static(&[0x08, 3, 0x12, 5, 0x1a, 3, 0x62, 1, 0x0a]));
    let refusal = parsed(served.incoming.start(no, socket, &request, &mut served.rig.net).unwrap());
    assert!(matches!(refusal.kind, Kind::Error(error) if error.class == exceptions::CONNECTOR));
    assert_eq!((served.incoming.len(), served.rig.net.executing(no)), (0, 0));
}

/// The tables take no memory for a frame on its way to its socket. The queue to the writer does, for many frames at once.
#[tokio::test]
async fn a_frame_costs_no_allocation_of_its_own() {
    const FRAMES: usize = 1_000;
    let mut served = Served::new(10);
    let (no, first) = served.rig.join("P").await;
    served.rig.join("P").await;
    let (key, _watch) = served.search(no, first, 7);
    // One that was cloned before is cloned without an allocation.
    let frame = item(7, 1);
    let _clone = frame.clone();
    let Served { rig, incoming, .. } = &mut served;
    let measured = allocation_counter::measure(|| {
        for _ in 0..FRAMES {
            incoming.item(key, frame.clone(), &rig.net);
            rig.net.deliver(no, None, &frame).expect("a socket takes it");
        }
    });
    assert!(measured.count_total <= FRAMES as u64 / 8, "{measured:?}");
    assert_eq!(incoming.calls[&key].on_pin, FRAMES);
}
