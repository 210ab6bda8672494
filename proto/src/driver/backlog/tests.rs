//! The queue by itself: what goes in comes out, in order, whatever was on disk meanwhile.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::driver::spill::Share;
use crate::messages::{
    ConnectorObject, OperationResponse, SearchOpResponse, SearchResult, ValidateOpResponse,
};

pub(in crate::driver) fn row(call: i64, sequence: i64, bytes: usize) -> Bytes {
    let object = ConnectorObject { attributes: vec![sequence as u8; bytes].into(), ..Default::default() };
    let row = SearchOpResponse { sequence, connector_object: Some(object), result: None };
    frames::answer(call, &OperationResponse { search: Some(row), ..Default::default() })
}

pub(in crate::driver) fn end(call: i64, count: i64) -> Bytes {
    let result = Some(SearchResult::default());
    let end = SearchOpResponse { sequence: count, connector_object: None, result };
    frames::answer(call, &OperationResponse { search: Some(end), ..Default::default() })
}

pub(in crate::driver) fn unary(call: i64) -> Bytes {
    frames::answer(call, &OperationResponse { validate: Some(ValidateOpResponse {}), ..Default::default() })
}

struct Rig {
    backlog: Backlog,
    counts: Arc<SocketCounts>,
    spill: Arc<Spill>,
    /// Has the process count as full, so that little is much.
    _share: Share,
    _directory: tempfile::TempDir,
}

impl Rig {
    /// A queue that spills from the least on.
    fn tight(disk_max: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill::into(directory.path(), disk_max).unwrap();
        let mut share = Share::new(Arc::clone(&spill));
        share.report(limits::SPILL_TIGHT_BYTES + 1);
        let counts = Arc::new(SocketCounts::default());
        let backlog = Backlog::new(Arc::clone(&counts), Arc::clone(&spill));
        Self { backlog, counts, spill, _share: share, _directory: directory }
    }

    fn push(&mut self, command: Command) {
        self.counts.charge(command.cost());
        self.backlog.push(command);
        self.backlog.spill();
    }

    fn push_frame(&mut self, frame: Bytes) {
        self.push(Command::Frame(frame));
    }

    /// Waits until all that is cut is on disk.
    async fn settle(&mut self) {
        self.backlog.spill();
        while self.backlog.storing.is_some() {
            self.backlog.moved().await;
            self.backlog.spill();
        }
    }

    async fn pop(&mut self) -> Option<Command> {
        loop {
            match self.backlog.pop() {
                Next::Command(command) => {
                    self.counts.release(command.cost());
                    return Some(command);
                }
                Next::OnDisk => self.backlog.moved().await,
                Next::Nothing => return None,
            }
        }
    }

    async fn pop_frame(&mut self) -> Option<Bytes> {
        match self.pop().await? {
            Command::Frame(frame) => Some(frame),
            other => panic!("expected a frame, got {other:?}"),
        }
    }

    /// Nothing is counted any more; space on disk goes back on another thread.
    async fn assert_nothing_is_left(&self) {
        assert_eq!((self.counts.memory(), self.counts.spilled_bytes()), (0, 0));
        let gone = async {
            while self.spill.waiting().disk > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.expect("the files are closed");
    }
}

#[tokio::test]
async fn rows_come_back_from_disk_in_order_and_memory_stays_small_p10() {
    let mut rig = Rig::tight(1 << 30);
    let rows: Vec<Bytes> = (1..=20_000).map(|sequence| row(7, sequence, 1000)).collect();
    let mut most = 0;
    for row in &rows {
        rig.push_frame(row.clone());
        rig.settle().await;
        most = most.max(rig.counts.memory());
    }
    assert!(most <= limits::SPILL_FROM_TIGHT_BYTES + 2 * limits::SPILL_CHUNK_TIGHT_BYTES, "{most}");
    assert!(rig.spill.waiting().disk > 19 << 20);
    for row in &rows {
        assert_eq!(rig.pop_frame().await.as_ref(), Some(row));
        assert!(rig.counts.memory() <= most + limits::SPILL_CHUNK_TIGHT_BYTES);
    }
    assert!(rig.pop().await.is_none());
    rig.assert_nothing_is_left().await;
}

#[tokio::test]
async fn what_is_an_answer_by_itself_overtakes_rows_and_an_end_does_not() {
    let mut rig = Rig::tight(1 << 30);
    let rows: Vec<Bytes> = (1..=500).map(|sequence| row(7, sequence, 1000)).collect();
    rows.iter().for_each(|row| rig.push_frame(row.clone()));
    rig.push_frame(end(7, 500));
    rig.push_frame(unary(8));
    rig.push(Command::Ping);
    let check = frames::control_request(9, frames::Ask::Check, &[], &[]);
    rig.push_frame(check.clone());
    rig.settle().await;
    assert_eq!(rig.pop_frame().await, Some(unary(8)));
    assert!(matches!(rig.pop().await, Some(Command::Ping)));
    assert_eq!(rig.pop_frame().await, Some(check));
    for row in rows {
        assert_eq!(rig.pop_frame().await, Some(row));
    }
    assert_eq!(rig.pop_frame().await, Some(end(7, 500)));
    assert!(rig.pop().await.is_none());
    rig.assert_nothing_is_left().await;
}

#[tokio::test]
async fn nothing_overtakes_a_pause_c07() {
    let mut rig = Rig::tight(1 << 30);
    (1..=500).for_each(|sequence| rig.push_frame(row(7, sequence, 1000)));
    rig.push(Command::Hold(Instant::now()));
    rig.push_frame(unary(8));
    for _ in 1..=500 {
        assert!(rig.pop_frame().await.is_some_and(|frame| frame != unary(8)));
    }
    assert!(matches!(rig.pop().await, Some(Command::Hold(_))));
    assert_eq!(rig.pop_frame().await, Some(unary(8)));
}

#[tokio::test]
async fn an_error_drops_the_rows_of_its_call_and_of_no_other() {
    let mut rig = Rig::tight(1 << 30);
    for sequence in 1..=2000 {
        rig.push_frame(row(7, sequence, 1000));
        // The second half of the chunks holds rows of both calls.
        if sequence > 1000 {
            rig.push_frame(row(8, sequence - 1000, 1000));
        }
    }
    rig.settle().await;
    let before = rig.spill.waiting().disk;
    let error = frames::error(7, exceptions::CONNECTOR, "too slow");
    rig.push_frame(error.clone());
    assert_eq!(rig.pop_frame().await, Some(error));
    for sequence in 1..=1000 {
        assert_eq!(rig.pop_frame().await, Some(row(8, sequence, 1000)));
    }
    assert!(rig.pop().await.is_none());
    assert!(before > 2 << 20);
    rig.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_dying_socket_gives_back_all_but_rows_and_leaves_nothing() {
    let mut rig = Rig::tight(1 << 30);
    (1..=2000).for_each(|sequence| rig.push_frame(row(7, sequence, 1000)));
    rig.push_frame(end(7, 2000));
    (1..=500).for_each(|sequence| rig.push_frame(row(9, sequence, 1000)));
    rig.push_frame(unary(8));
    rig.settle().await;
    // One chunk is on its way back.
    while !matches!(rig.backlog.pop(), Next::OnDisk) {}
    let left = rig.backlog.drain();
    let owed: Vec<&Bytes> = left
        .iter()
        .filter_map(|command| match command {
            Command::Frame(frame) if !matches!(way(command), Way::Row { .. }) => Some(frame),
            _ => None,
        })
        .collect();
    assert_eq!(owed, [&end(7, 2000)], "the unary answer was taken out before");
    rig.counts.release(rig.counts.memory());
    rig.assert_nothing_is_left().await;
}

#[tokio::test]
async fn a_full_disk_keeps_rows_in_memory_and_loses_none() {
    const DISK: u64 = 300 << 10;
    let mut rig = Rig::tight(DISK);
    let rows: Vec<Bytes> = (1..=2000).map(|sequence| row(7, sequence, 1000)).collect();
    for row in &rows {
        rig.push_frame(row.clone());
        rig.settle().await;
        assert!(rig.spill.waiting().disk <= DISK);
    }
    assert!(rig.counts.memory() > 1 << 20);
    for row in rows {
        assert_eq!(rig.pop_frame().await, Some(row));
    }
    assert!(rig.pop().await.is_none());
    rig.assert_nothing_is_left().await;
}

#[tokio::test]
async fn rows_that_cannot_be_read_back_fail_their_calls_and_no_other() {
    let mut rig = Rig::tight(1 << 30);
    (1..=500).for_each(|sequence| rig.push_frame(row(7, sequence, 1000)));
    rig.push_frame(end(7, 500));
    rig.settle().await;
    for piece in &mut rig.backlog.middle {
        if let Piece::Stored { chunk, .. } = piece {
            chunk.spoil();
        }
    }
    let mut last = None;
    while let Some(frame) = rig.pop_frame().await {
        last = Some(frame);
        if last.as_ref().is_some_and(
            |frame| matches!(Envelope::parse(frame.clone()), Ok(e) if matches!(e.kind, Kind::Error(_))),
        ) {
            break;
        }
    }
    assert_eq!(last, Some(frames::error(7, exceptions::CONNECTOR, ROWS_LOST)));
    assert_eq!(rig.pop_frame().await, Some(end(7, 500)), "the caller ignores it");
    assert!(rig.pop().await.is_none());
    rig.assert_nothing_is_left().await;
}

#[derive(Clone, Debug)]
enum Step {
    Rows { call: i64, count: u16, bytes: usize },
    End { call: i64 },
    Unary,
    Error { call: i64 },
    Pop { count: u16 },
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..4_i64, 1..60_u16, prop_oneof![10..3000_usize, Just(70_000)])
            .prop_map(|(call, count, bytes)| Step::Rows { call, count, bytes }),
        1 => (1..4_i64).prop_map(|call| Step::End { call }),
        1 => Just(Step::Unary),
        1 => (1..4_i64).prop_map(|call| Step::Error { call }),
        4 => (1..120_u16).prop_map(|count| Step::Pop { count }),
        3 => Just(Step::Settle),
    ]
}

/// What a frame must look like when it comes out: the calls' frames carry a number of their own.
async fn any_weather(steps: Vec<Step>) {
    let mut rig = Rig::tight(4 << 20);
    let mut in_place: VecDeque<Bytes> = VecDeque::new();
    let mut urgent: HashSet<Bytes> = HashSet::new();
    let mut ended: HashSet<i64> = HashSet::new();
    let mut number = 0;
    for step in steps.into_iter().chain([Step::Settle, Step::Pop { count: u16::MAX }]) {
        match step {
            Step::Rows { call, count, bytes } => {
                for _ in 0..count {
                    number += 1;
                    in_place.push_back(row(call, number, bytes));
                    rig.push_frame(row(call, number, bytes));
                }
            }
            Step::End { call } => {
                number += 1;
                in_place.push_back(end(call, number));
                rig.push_frame(end(call, number));
            }
            Step::Unary => {
                number += 1;
                urgent.insert(unary(1000 + number));
                rig.push_frame(unary(1000 + number));
            }
            Step::Error { call } => {
                number += 1;
                let error = frames::error(call, exceptions::CONNECTOR, &number.to_string());
                urgent.insert(error.clone());
                ended.insert(call);
                rig.push_frame(error);
            }
            Step::Pop { count } => {
                for _ in 0..count {
                    let Some(frame) = rig.pop_frame().await else { break };
                    if urgent.remove(&frame) {
                        continue;
                    }
                    // Rows of a call that has ended with an error may be missing; nothing else may.
                    while in_place.front() != Some(&frame) {
                        let missing = in_place.pop_front().expect("no frame is made up or comes twice");
                        let envelope = Envelope::parse(missing).unwrap();
                        assert!(ended.contains(&envelope.message_id), "lost {envelope:?}");
                        assert!(
                            matches!(envelope.kind, Kind::Answer(head) if matches!(head.part, Part::Item { .. }))
                        );
                    }
                    in_place.pop_front();
                }
            }
            Step::Settle => rig.settle().await,
        }
    }
    assert!(rig.pop().await.is_none());
    assert!(urgent.is_empty());
    for missing in in_place {
        assert!(ended.contains(&Envelope::parse(missing).unwrap().message_id));
    }
    rig.assert_nothing_is_left().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn the_order_is_kept_and_nothing_is_lost_in_any_weather(steps in proptest::collection::vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(any_weather(steps));
    }
}
