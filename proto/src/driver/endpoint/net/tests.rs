//! Sockets and sessions, with peers in the test's hands.

use super::super::rig::{Rig, parsed, test_answer, test_request};
use super::*;

#[tokio::test]
async fn sockets_of_one_session_are_one_peers_and_stand_in_for_each_other() {
    let mut rig = Rig::new();
    let (no, first) = rig.join("P").await;
    let (same, second) = rig.join("P").await;
    let (other, _) = rig.join("Q").await;
    assert_eq!((same, rig.net.peers(), rig.net.sockets()), (no, 2, 3));
    assert_eq!(rig.net.latest_peer(), Some(other));
    assert_ne!(other, no);
    assert_eq!(rig.net.deliver(no, Some(first), &test_answer(1)), Some(first));
    rig.kill(first).await;
    assert!(rig.net.handle(first).is_some(), "its end is not reported yet");
    assert_eq!(rig.net.deliver(no, Some(first), &test_answer(2)), Some(second));
    rig.bury(first).await;
    assert_eq!((rig.net.peer_of(first), rig.net.peer_of(second)), (None, Some(no)));
    assert_eq!(rig.net.next_socket(no, Some(first)), Some(second));
}

#[tokio::test]
async fn an_answer_without_a_socket_waits_for_one() {
    let mut rig = Rig::new();
    let (no, socket) = rig.join("P").await;
    rig.kill(socket).await;
    rig.bury(socket).await;
    rig.net.answer(no, None, 7, test_answer(7));
    assert_eq!((rig.net.latest_peer(), rig.net.peers()), (None, 1));
    let (again, socket) = rig.join("P").await;
    assert_eq!(again, no, "the peer is remembered");
    rig.net.send_kept(no);
    let (from, envelope) = rig.frame().await;
    assert_eq!((from, envelope.frame()), (socket, &test_answer(7)));
    rig.kill(socket).await;
    let left = {
        let (_, socket::SocketEvent::Closed(closed)) = rig.report().await else { panic!("the end") };
        let no = rig.net.remove(socket, closed.reason).unwrap();
        rig.net.leave(no, socket).unwrap()
    };
    assert!(left.was_last);
    assert_eq!(left.unconfirmed, [(7, test_answer(7))], "a last frame may not have arrived");
}

#[tokio::test]
async fn a_peer_without_sockets_is_forgotten_in_time_and_one_that_is_back_is_not() {
    let mut rig = Rig::new();
    let (gone, socket) = rig.join("P").await;
    rig.kill(socket).await;
    rig.bury(socket).await;
    let (_, socket) = rig.join("Q").await;
    rig.kill(socket).await;
    rig.bury(socket).await;
    rig.join("Q").await;
    assert!(rig.net.forget_lost().is_empty(), "not yet");
    rig.net.keep_lost = Duration::ZERO;
    assert_eq!(rig.net.forget_lost(), [gone]);
    let (new, _) = rig.join("P").await;
    assert_ne!(new, gone);
}

#[tokio::test]
async fn frames_mean_the_calls_that_their_ids_were_given_to() {
    let mut rig = Rig::new();
    let (no, socket) = rig.join("P").await;
    assert!(matches!(rig.net.receive(no, &parsed(frames::operation(5, &test_request()))), Some(Event::Call)));
    rig.net.accept(no, 5, 50);
    assert_eq!(rig.net.executing(no), 1);
    assert!(matches!(rig.net.receive(no, &parsed(frames::cancel(5))), Some(Event::Cancel(50))));
    rig.net.finish(no, 5);
    let id = rig.net.open_call(no, 60).unwrap();
    assert_eq!(rig.net.open_key(no, id), Some(60));
    rig.send(socket, test_answer(id));
    let (_, socket::SocketEvent::Frame(envelope)) = rig.report().await else { panic!("the answer") };
    assert!(matches!(rig.net.receive(no, &envelope), Some(Event::Answer(60))));
    rig.net.close_call(no, id);
    assert_eq!((rig.net.open_key(no, id), rig.net.executing(no)), (None, 0));
}
