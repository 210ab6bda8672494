//! OpenICF #109: until 2.0.4 Java ran the frames of one socket on a pool, in any order, and sends each answer on any socket.
//! Here a member of two sockets lets the frames of many streams at once overtake each other, at random, and sends some twice.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rcs_proto::frames;
use rcs_proto::messages::OperationRequest;
use rcs_rig::scripted::{FakeMember, Socket};

use crate::answers::{end_of_rows, row_of, search_request};
use crate::bounds::PATIENCE;
use crate::fleet::Fleet;

/// Streams of a usual run; with `RCS_LONG=1` ten times as many.
const STREAMS: usize = 10_000;
const STREAMS_LONG: usize = 100_000;
/// Streams that are open at once: the more, the longer a frame may be overtaken.
const OPEN: usize = 64;
const ROWS_MAX: i64 = 4;
const SEED: u64 = 109;

#[test]
fn openicf_109_frames_overtake_each_other_on_two_sockets() {
    let streams = if env::var_os("RCS_LONG").is_some() { STREAMS_LONG } else { STREAMS };
    println!("{streams} streams, seed {SEED}");
    let mut fleet = Fleet::start(1, "failover", 2);
    let mut idm = fleet.idm(2);
    let member = fleet.members.remove(0);
    let answering = thread::spawn(move || answer_in_disorder(member, streams));

    let mut rng = Rng::with_seed(SEED);
    let mut open: HashMap<i64, (u64, Vec<i64>)> = HashMap::new();
    let (mut begun, mut ended, mut overtaken) = (0, 0, 0_u64);
    while ended < streams {
        while begun < streams && open.len() < OPEN {
            let number = rng.usize(..2);
            open.insert(idm.call_on(number, &numbered(begun)), (begun as u64, Vec::new()));
            begun += 1;
        }
        let frame = idm.inbox.next("a frame of a stream", |f| f.answer().is_some() || f.error().is_some());
        let id = frame.id();
        let answer = frame.answer().and_then(|a| a.search.as_ref());
        let answer = answer.unwrap_or_else(|| panic!("stream {id}: {frame:?}"));
        let (number, rows) =
            open.get_mut(&id).unwrap_or_else(|| panic!("stream {id} had its end: {frame:?}"));
        match &answer.connector_object {
            Some(object) => {
                assert!(!rows.contains(&answer.sequence), "stream {id}: row {} twice", answer.sequence);
                assert_eq!(object.attributes, content(*number, answer.sequence), "stream {id}");
                overtaken += u64::from(rows.last().is_some_and(|last| *last > answer.sequence));
                rows.push(answer.sequence);
            }
            None => {
                let (_, mut rows) = open.remove(&id).expect("it was there a moment ago");
                rows.sort_unstable();
                let all: Vec<i64> = (1..=answer.sequence).collect();
                assert_eq!(rows, all, "stream {id}: the end came before its rows, or lies");
                ended += 1;
            }
        }
    }
    assert!(overtaken > streams as u64 / 10, "only {overtaken} rows were overtaken: this proves nothing");
    let sent = answering.join().expect("the member answers to the end");
    println!("{sent} frames sent, {overtaken} rows arrived behind a later one");
}

/// A frame that may be sent next.
#[derive(Clone)]
struct Ready {
    frame: Bytes,
    /// Whether the frame may be sent again later. A last row that comes twice says that its stream was cut short (WIRE 5.3).
    may_be_repeated: bool,
}

/// Answers `streams` searches of up to [`ROWS_MAX`] rows. All frames that are ready lie in one heap, from which any is sent
/// next, on either socket; one in eight is sent again later.
fn answer_in_disorder(mut member: FakeMember, streams: usize) -> u64 {
    let sockets: Vec<Arc<Socket>> = member.await_sockets(2);
    let mut rng = Rng::with_seed(SEED + 1);
    let (mut heap, mut taken, mut sent): (Vec<Ready>, usize, u64) = (Vec::new(), 0, 0);
    while taken < streams || !heap.is_empty() {
        let wait = if heap.is_empty() { PATIENCE } else { Duration::ZERO };
        if let Some(call) = member.inbox.find(wait, |f| f.operation().is_some()) {
            let search = call.operation().and_then(|o| o.search.as_ref()).expect("searches only");
            let number = id_of(&search.filter);
            let rows = rng.i64(0..=ROWS_MAX);
            let row = |n| frames::answer(call.id(), &row_of(n, content(number, n)));
            heap.extend((1..=rows).map(|n| Ready { frame: row(n), may_be_repeated: n < rows }));
            let end = frames::answer(call.id(), &end_of_rows(rows));
            heap.push(Ready { frame: end, may_be_repeated: true });
            taken += 1;
            continue;
        }
        let ready = heap.swap_remove(rng.usize(..heap.len()));
        if rng.u8(..8) == 0 && ready.may_be_repeated {
            heap.push(ready.clone());
        }
        sockets[rng.usize(..2)].send(&ready.frame);
        sent += 1;
    }
    sent
}

/// A search that says its number.
fn numbered(number: usize) -> OperationRequest {
    let mut request = search_request();
    if let Some(search) = &mut request.search {
        search.filter = (number as u64).to_be_bytes().to_vec().into();
    }
    request
}

/// What row `sequence` of search `number` holds.
fn content(number: u64, sequence: i64) -> Bytes {
    [number.to_be_bytes(), sequence.to_be_bytes()].concat().into()
}

fn id_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(u64::MAX, |number| u64::from_be_bytes(*number))
}
