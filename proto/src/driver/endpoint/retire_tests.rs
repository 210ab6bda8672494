//! Sockets that their owner retires, under calls.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::tests::{Handed, config, end, item, search_request, target, test_answer, test_request, within};
use super::*;
use crate::driver::listen::{Arrival, serve};
use crate::driver::socket::CloseReason;

/// A stream goes on over the socket on which it began, and new calls take the other one. Then the socket closes.
#[tokio::test]
async fn a_retiring_socket_ends_behind_its_last_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handed, mut calls) = mpsc::unbounded_channel();
    let endpoint = Endpoint::start(config(), Arc::new(Handed(handed)));
    let (arrivals, mut arrived) = mpsc::channel(16);
    tokio::spawn(serve(listener, None, |_| Ok(()), arrivals));
    let adopt = async {
        let mut adopted = Vec::new();
        for _ in 0..2 {
            let Arrival { outcome, .. } = arrived.recv().await.unwrap();
            let Adopted { joined, ended } = endpoint.adopt_to_retire(outcome.unwrap().0);
            adopted.push((joined.await.unwrap(), ended));
        }
        adopted
    };
    let connect = Caller::connect(target(address), 2, config());
    let (caller, mut adopted) = within("two sockets", async { tokio::join!(connect, adopt) }).await;
    let caller = caller.unwrap();
    let (retired, mut ended) = adopted.remove(0);

    // Requests take the sockets in turn, so one of the two answers begins on the socket that retires.
    let mut streams = [caller.call(search_request(2)), caller.call(search_request(2))];
    let mut responders = Vec::new();
    for stream in &mut streams {
        let mut call = within("the search", calls.recv()).await.unwrap();
        call.responder.send(item(1, 10)).await.unwrap();
        responders.push(call.responder);
        within("the first row", stream.next()).await.unwrap().unwrap();
    }
    endpoint.retire(retired);
    for _ in 0..2 {
        let (answer, ()) = tokio::join!(caller.ask(test_request()), async {
            let call = within("a call meanwhile", calls.recv()).await.unwrap();
            call.responder.finish(test_answer());
        });
        answer.unwrap();
    }
    assert!(ended.try_recv().is_err(), "an answer still uses the socket");
    for (stream, mut responder) in streams.iter_mut().zip(responders) {
        responder.send(item(2, 10)).await.unwrap();
        responder.finish(end(2));
        within("the second row", stream.next()).await.unwrap().unwrap();
        within("the end", stream.next()).await.unwrap().unwrap();
    }
    let reason = within("the end of the socket", ended).await.unwrap();
    assert!(matches!(reason, CloseReason::PeerClose(_)), "the peer agreed to the end: {reason:?}");
    let (answer, ()) = tokio::join!(caller.ask(test_request()), async {
        let call = within("the call after it", calls.recv()).await.unwrap();
        call.responder.finish(test_answer());
    });
    answer.unwrap();
}
