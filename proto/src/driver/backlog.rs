//! What waits for one socket, in order: in memory, and beyond a bound, as far as it is rows, in a spill file.
//!
//! ```text
//! head (memory) ◂ middle (chunks on disk, and what stays in memory between them) ◂ tail (memory)
//! ```
//!
//! Frames are written from the head. As long as little waits there is only a head. What comes while more waits goes to the tail,
//! and the tail is cut into chunks. Only parts of answers of many frames ("rows") go to disk: when a socket dies nobody is owed
//! one of them (an answer of which a part is lost ends with an error), while the last frame of an answer, or a request,
//! is given back, and so stays in memory. While rows wait:
//! - What is an answer by itself, an error, a session check or a WebSocket control frame overtakes them: other calls
//!   of the session go on. Peers match answers by id, and a call's frames keep their order among each other (WIRE 4.2, 5.3).
//! - An error ends its call, so the rows of that call that still wait are dropped.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::command::Command;
use super::counts::SocketCounts;
use super::limits;
use super::spill::{Chunk, Job, Spill, SpillFile, discard};
use crate::envelope::{Envelope, Kind, Part};
use crate::frames;
use crate::icf::exceptions;

/// What waits for one socket.
pub(super) struct Backlog {
    counts: Arc<SocketCounts>,
    spill: Arc<Spill>,
    file: SpillFile,
    /// Frames that overtake rows.
    urgent: VecDeque<Command>,
    head: VecDeque<Command>,
    head_bytes: usize,
    middle: VecDeque<Piece>,
    tail: VecDeque<Waiting>,
    tail_bytes: usize,
    /// Pauses that wait behind frames: nothing overtakes one.
    holds: usize,
    last_serial: u64,
    storing: Option<(u64, Job<Chunk>)>,
    loading: Option<(Rows, Job<Vec<Bytes>>)>,
    /// Not before this moment is a chunk written, after one that failed.
    store_after: Option<Instant>,
}

/// A command that waits behind others, and the call that it is a row of, if it is one.
struct Waiting {
    command: Command,
    row_of: Option<i64>,
}

enum Piece {
    /// Stays in memory.
    Kept(Command),
    /// A chunk that is to be written, or is being written.
    Cut { serial: u64, rows: Rows, frames: Vec<Bytes> },
    /// A chunk on disk.
    Stored { rows: Rows, chunk: Chunk },
}

/// What a chunk holds.
#[derive(Default)]
struct Rows {
    /// The calls whose rows they are, each once.
    calls: Vec<i64>,
    /// What they count for in the backlog, bytes.
    cost: usize,
    /// Those of the calls that have ended with an error since: their rows are dropped when the chunk is read.
    void: Vec<i64>,
}

/// What is to be written next.
pub(super) enum Next {
    /// This.
    Command(Command),
    /// What [`Backlog::moved`] waits for.
    OnDisk,
    /// Nothing waits.
    Nothing,
}

/// How a command may move among others.
enum Way {
    /// Before all rows; if it ends a call with an error, which.
    Urgent { ends: Option<i64> },
    /// In its place, on disk if need be.
    Row { call: i64 },
    /// In its place, in memory.
    InPlace,
}

impl Backlog {
    pub(super) fn new(counts: Arc<SocketCounts>, spill: Arc<Spill>) -> Self {
        Self {
            counts,
            file: SpillFile::new(Arc::clone(&spill)),
            spill,
            urgent: VecDeque::new(),
            head: VecDeque::new(),
            head_bytes: 0,
            middle: VecDeque::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            holds: 0,
            last_serial: 0,
            storing: None,
            loading: None,
            store_after: None,
        }
    }

    /// Takes a command behind those that wait.
    pub(super) fn push(&mut self, command: Command) {
        let cost = command.cost();
        let is_hold = matches!(command, Command::Hold(_));
        if is_hold {
            self.holds += 1;
        }
        if self.is_short() && (self.head.is_empty() || self.head_bytes + cost <= self.head_max()) {
            return self.push_head(command);
        }
        match way(&command) {
            Way::Urgent { ends } if self.holds == 0 => {
                self.urgent.push_back(command);
                if let Some(call) = ends {
                    self.drop_rows(call);
                }
            }
            Way::Row { call } => self.wait(command, Some(call)),
            Way::Urgent { .. } | Way::InPlace => self.wait(command, None),
        }
    }

    /// The next command, if it is in memory.
    pub(super) fn pop(&mut self) -> Next {
        if let Some(command) = self.urgent.pop_front() {
            return Next::Command(command);
        }
        while self.head.is_empty() && self.loading.is_none() && self.refill() {}
        if let Some(command) = self.head.pop_front() {
            self.head_bytes -= command.cost();
            if matches!(command, Command::Hold(_)) {
                self.holds -= 1;
            }
            return Next::Command(command);
        }
        if self.loading.is_some() {
            return Next::OnDisk;
        }
        // A file is not kept for a socket that nothing waits for, and what is still being written was sent meanwhile.
        self.storing = None;
        self.file.let_go();
        Next::Nothing
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.urgent.is_empty() && self.is_short()
    }

    /// Whether the next command is being read from disk.
    pub(super) fn is_loading(&self) -> bool {
        self.head.is_empty() && self.urgent.is_empty() && self.loading.is_some()
    }

    /// Cuts the tail into chunks if it is long, and has the oldest one written.
    pub(super) fn spill(&mut self) {
        if !self.spill.is_possible() {
            return;
        }
        if self.tail_bytes >= self.chunk_max() {
            self.cut();
        }
        if self.storing.is_none() && self.store_after.is_none_or(|after| after <= Instant::now()) {
            // Chunks are written in their order, so those that are not are the last pieces.
            let oldest = self.unwritten().last();
            self.storing = oldest.map(|(serial, frames)| (serial, self.file.store(frames.clone())));
        }
    }

    /// Waits until a chunk was written or read; for ever if none is. Cancelled, it loses nothing.
    pub(super) async fn moved(&mut self) {
        match first(&mut self.loading, &mut self.storing).await {
            Done::Loading(outcome) => self.loaded(outcome),
            Done::Storing(outcome) => self.stored(outcome),
        }
    }

    /// What waits and may be owed to somebody, in the order in which it would have been written.
    pub(super) fn drain(&mut self) -> Vec<Command> {
        let mut left: Vec<Command> = self.urgent.drain(..).chain(self.head.drain(..)).collect();
        self.head_bytes = 0;
        self.storing = None;
        if let Some((rows, _)) = self.loading.take() {
            self.release_stored(rows.cost);
        }
        let mut chunks = Vec::new();
        for piece in std::mem::take(&mut self.middle) {
            match piece {
                Piece::Kept(command) => left.push(command),
                Piece::Cut { rows, .. } => self.counts.release(rows.cost),
                Piece::Stored { rows, chunk } => {
                    self.release_stored(rows.cost);
                    chunks.push(chunk);
                }
            }
        }
        discard(chunks);
        self.file.let_go();
        self.tail_bytes = 0;
        left.extend(self.tail.drain(..).map(|waiting| waiting.command));
        left
    }

    /// Whether there is nothing but a head.
    fn is_short(&self) -> bool {
        self.tail.is_empty() && self.middle.is_empty() && self.loading.is_none()
    }

    fn head_max(&self) -> usize {
        match self.spill.is_tight() {
            true => limits::SPILL_FROM_TIGHT_BYTES,
            false => limits::SPILL_FROM_BYTES,
        }
    }

    fn chunk_max(&self) -> usize {
        match self.spill.is_tight() {
            true => limits::SPILL_CHUNK_TIGHT_BYTES,
            false => limits::SPILL_CHUNK_BYTES,
        }
    }

    fn push_head(&mut self, command: Command) {
        self.head_bytes += command.cost();
        self.head.push_back(command);
    }

    fn wait(&mut self, command: Command, row_of: Option<i64>) {
        self.tail_bytes += command.cost();
        self.tail.push_back(Waiting { command, row_of });
    }

    /// Moves what comes after the head into it, or begins to. Answers false if there is nothing.
    fn refill(&mut self) -> bool {
        match self.middle.pop_front() {
            Some(Piece::Kept(command)) => self.push_head(command),
            // If it is being written, the outcome finds no place to go to.
            Some(Piece::Cut { frames, .. }) => {
                frames.into_iter().for_each(|frame| self.push_head(Command::Frame(frame)));
            }
            Some(Piece::Stored { rows, chunk }) => self.loading = Some((rows, chunk.load())),
            None if self.tail.is_empty() => return false,
            None => {
                let tail = std::mem::take(&mut self.tail);
                tail.into_iter().for_each(|waiting| self.push_head(waiting.command));
                self.tail_bytes = 0;
            }
        }
        true
    }

    /// Turns the tail into pieces: rows into chunks, the rest stays between them.
    fn cut(&mut self) {
        let chunk_max = self.chunk_max();
        let mut rows = Rows::default();
        let mut frames = Vec::new();
        self.tail_bytes = 0;
        for Waiting { command, row_of } in std::mem::take(&mut self.tail) {
            match (command, row_of) {
                (Command::Frame(frame), Some(call)) => {
                    if !rows.calls.contains(&call) {
                        rows.calls.push(call);
                    }
                    rows.cost += frame.len() + limits::FRAME_OVERHEAD_BYTES;
                    frames.push(frame);
                    if rows.cost >= chunk_max {
                        self.push_cut(std::mem::take(&mut rows), std::mem::take(&mut frames));
                    }
                }
                (command, _) => {
                    self.push_cut(std::mem::take(&mut rows), std::mem::take(&mut frames));
                    self.middle.push_back(Piece::Kept(command));
                }
            }
        }
        // What is too little for a chunk goes into the next one.
        if rows.cost < limits::SPILL_CHUNK_MIN_BYTES && rows.calls.len() == 1 {
            let row_of = rows.calls.first().copied();
            frames.into_iter().for_each(|frame| self.wait(Command::Frame(frame), row_of));
        } else {
            self.push_cut(rows, frames);
        }
    }

    fn push_cut(&mut self, rows: Rows, frames: Vec<Bytes>) {
        if rows.cost < limits::SPILL_CHUNK_MIN_BYTES {
            self.middle.extend(frames.into_iter().map(|frame| Piece::Kept(Command::Frame(frame))));
            return;
        }
        self.last_serial += 1;
        self.middle.push_back(Piece::Cut { serial: self.last_serial, rows, frames });
    }

    /// Chunks that are not on disk, from the last one.
    fn unwritten(&self) -> impl Iterator<Item = (u64, &Vec<Bytes>)> {
        self.middle.iter().rev().take_while(|piece| !matches!(piece, Piece::Stored { .. })).filter_map(
            |piece| match piece {
                Piece::Cut { serial, frames, .. } => Some((*serial, frames)),
                _ => None,
            },
        )
    }

    fn stored(&mut self, outcome: io::Result<Chunk>) {
        let Some((stored, _)) = self.storing.take() else { return };
        let Ok(chunk) = outcome else {
            self.store_after = Some(Instant::now() + limits::SPILL_TRY_AGAIN);
            return;
        };
        self.store_after = None;
        self.file.stored(&chunk);
        let place = self
            .middle
            .iter_mut()
            .rev()
            .find(|piece| matches!(piece, Piece::Cut { serial, .. } if *serial == stored));
        match place {
            Some(piece) => {
                let Piece::Cut { rows, .. } = piece else { unreachable!("such a piece was looked for") };
                let rows = std::mem::take(rows);
                self.counts.spill(rows.cost);
                *piece = Piece::Stored { rows, chunk };
            }
            // It was written to the peer, or dropped, meanwhile.
            None => discard(vec![chunk]),
        }
    }

    fn loaded(&mut self, outcome: io::Result<Vec<Bytes>>) {
        let Some((rows, _)) = self.loading.take() else { return };
        self.counts.unspill(rows.cost);
        match outcome {
            Ok(frames) => {
                frames.into_iter().for_each(|frame| self.push_head(Command::Frame(frame)));
                rows.void.into_iter().for_each(|call| self.drop_from_head(call));
            }
            Err(error) => {
                tracing::error!(%error, "a spill file cannot be read: the calls whose rows it held are failed");
                self.counts.release(rows.cost);
                rows.calls.into_iter().for_each(|call| self.fail(call));
            }
        }
    }

    /// Rows are missing for good: the caller hears so, and gets none of those that wait. What comes later it ignores.
    fn fail(&mut self, call: i64) {
        let error = Command::Frame(frames::error(call, exceptions::CONNECTOR, ROWS_LOST));
        self.counts.charge(error.cost());
        self.urgent.push_back(error);
        self.drop_rows(call);
    }

    /// The call has ended with an error: those of its rows that wait are not wanted. A chunk that is shared with other calls and
    /// not on disk keeps them: they are few, and a caller ignores what follows an error.
    fn drop_rows(&mut self, call: i64) {
        self.drop_from_head(call);
        if let Some((rows, _)) = &mut self.loading {
            rows.void.push(call);
        }
        let mut chunks = Vec::new();
        for piece in std::mem::take(&mut self.middle) {
            match piece {
                Piece::Cut { rows, .. } if rows.calls == [call] => self.counts.release(rows.cost),
                Piece::Stored { rows, chunk } if rows.calls == [call] => {
                    self.release_stored(rows.cost);
                    chunks.push(chunk);
                }
                Piece::Stored { mut rows, chunk } => {
                    rows.void.push(call);
                    self.middle.push_back(Piece::Stored { rows, chunk });
                }
                piece => self.middle.push_back(piece),
            }
        }
        discard(chunks);
        for waiting in std::mem::take(&mut self.tail) {
            match waiting.row_of == Some(call) {
                true => {
                    self.tail_bytes -= waiting.command.cost();
                    self.counts.release(waiting.command.cost());
                }
                false => self.tail.push_back(waiting),
            }
        }
    }

    fn drop_from_head(&mut self, call: i64) {
        for command in std::mem::take(&mut self.head) {
            match way(&command) {
                Way::Row { call: of } if of == call => {
                    self.head_bytes -= command.cost();
                    self.counts.release(command.cost());
                }
                _ => self.head.push_back(command),
            }
        }
    }

    fn release_stored(&self, cost: usize) {
        self.counts.unspill(cost);
        self.counts.release(cost);
    }
}

const ROWS_LOST: &str =
    "rcs-router lost a part of the answer that waited in its spill directory. The search may be repeated.";

fn way(command: &Command) -> Way {
    let frame = match command {
        Command::Ping | Command::Pong(_) => return Way::Urgent { ends: None },
        Command::Hold(_) | Command::Close(_) => return Way::InPlace,
        Command::Frame(frame) | Command::Reply(frame) => frame,
    };
    let Ok(envelope) = Envelope::parse(frame.clone()) else { return Way::InPlace };
    let call = envelope.message_id;
    match envelope.kind {
        Kind::Answer(head) => match head.part {
            Part::Only => Way::Urgent { ends: None },
            Part::Item { .. } | Part::Event { completed: false } => Way::Row { call },
            // A batch tells of changes: none of that is ever dropped.
            Part::End { .. } | Part::Event { completed: true } | Part::Batch(_) => Way::InPlace,
        },
        Kind::Error(_) => Way::Urgent { ends: Some(call) },
        Kind::ControlRequest(_) | Kind::ControlResponse(_) => Way::Urgent { ends: None },
        _ => Way::InPlace,
    }
}

/// What has ended first.
enum Done {
    Loading(io::Result<Vec<Bytes>>),
    Storing(io::Result<Chunk>),
}

async fn first(
    loading: &mut Option<(Rows, Job<Vec<Bytes>>)>,
    storing: &mut Option<(u64, Job<Chunk>)>,
) -> Done {
    let load = async {
        match loading {
            Some((_, job)) => job.await,
            None => std::future::pending().await,
        }
    };
    let store = async {
        match storing {
            Some((_, job)) => job.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        outcome = load => Done::Loading(outcome),
        outcome = store => Done::Storing(outcome),
    }
}

#[cfg(test)]
pub(super) mod tests;
