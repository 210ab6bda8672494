//! The writing task of a socket: a queue of commands in, bytes out, and what was not written handed back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::backlog::{Backlog, Next};
use super::command::Command;
use super::counts::SocketCounts;
use super::framing::{Opcode, Role, apply_mask, close_payload, frame_into, header_into};
use super::spill::{Share, Spill};
use super::{WriteHalf, limits};

/// Payloads up to this size are copied next to each other; larger ones are written from where they are.
const COPY_BYTES: usize = limits::WRITE_BATCH_BYTES / 4;

/// How writing ended.
pub(super) struct WriterEnd {
    pub(super) cause: EndCause,
    /// Messages of which the peer cannot have all bytes, in their order.
    pub(super) unsent: Vec<Bytes>,
    /// The stream, if it stands between two frames.
    pub(super) clean: Option<WriteHalf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndCause {
    /// All was written, the Close frame and FIN too.
    Finished,
    /// The stream refused.
    Failed,
    /// The reader said so.
    Halted,
}

/// Writes until the owner closes, the stream fails or `halt` resolves.
pub(super) async fn run(
    io: WriteHalf,
    role: Role,
    queue: mpsc::UnboundedReceiver<Command>,
    counts: Arc<SocketCounts>,
    spill: Arc<Spill>,
    halt: oneshot::Receiver<()>,
) -> WriterEnd {
    let ledger =
        Ledger { written: 0, boundary: 0, encoded: 0, sending: VecDeque::new(), counts: Arc::clone(&counts) };
    let mut writer = Writer {
        out: Out { io, role, buffer: Vec::new(), ledger },
        inbox: Inbox {
            queue,
            is_abandoned: false,
            batch: Vec::new(),
            backlog: Backlog::new(Arc::clone(&counts), Arc::clone(&spill)),
            share: Share::new(spill),
            counts,
        },
    };
    let cause = tokio::select! {
        biased;
        result = writer.write_all() => match result {
            Ok(()) => EndCause::Finished,
            Err(_) => EndCause::Failed,
        },
        _ = halt => EndCause::Halted,
    };
    writer.finish(cause)
}

struct Writer {
    out: Out,
    inbox: Inbox,
}

/// The way to the stream.
struct Out {
    io: WriteHalf,
    role: Role,
    /// Encoded bytes that go out with the next write.
    buffer: Vec<u8>,
    ledger: Ledger,
}

/// The way from the owner. It is emptied also while the stream takes nothing, so that what waits can go to disk.
struct Inbox {
    queue: mpsc::UnboundedReceiver<Command>,
    /// Whether the owner has forgotten the socket.
    is_abandoned: bool,
    /// Where the queue is emptied into; empty otherwise.
    batch: Vec<Command>,
    backlog: Backlog,
    share: Share,
    counts: Arc<SocketCounts>,
}

/// Which commands the stream has taken wholly. Cancelling a write between two of its polls leaves it exact.
struct Ledger {
    /// Bytes that the kernel (or TLS) has taken since the start.
    written: u64,
    /// Where in the stream the last wholly written frame ends.
    boundary: u64,
    /// Where the last encoded frame will end.
    encoded: u64,
    /// Commands encoded and not wholly written, each with its end in the stream.
    sending: VecDeque<(Command, u64)>,
    counts: Arc<SocketCounts>,
}

impl Ledger {
    /// A frame of so many bytes, header included, goes next.
    fn add(&mut self, command: Command, bytes: usize) {
        self.encoded += bytes as u64;
        self.sending.push_back((command, self.encoded));
    }

    fn advance(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.counts.wrote(bytes);
        let (mut released, mut own) = (0, 0);
        while let Some((command, end)) = self.sending.pop_front_if(|(_, end)| *end <= self.written) {
            released += command.cost();
            own += command.own_cost();
            self.boundary = end;
        }
        self.counts.release_own(own);
        self.counts.release(released);
    }
}

impl Writer {
    /// Writes what waits, small frames together, and flushes once nothing does; until the end.
    async fn write_all(&mut self) -> io::Result<()> {
        let Self { out, inbox } = self;
        loop {
            match inbox.backlog.pop() {
                Next::Command(command) if is_small(&command) => {
                    out.put(command);
                    if out.buffer.len() >= limits::WRITE_BATCH_BYTES {
                        inbox.open_during(out.write_buffer()).await?;
                    }
                }
                Next::Command(close @ Command::Close(_)) => {
                    return inbox.open_during(out.close(close)).await;
                }
                Next::Command(command) => inbox.open_during(out.write_alone(command)).await?,
                Next::OnDisk => {
                    inbox.open_during(out.flush()).await?;
                    inbox.read_back().await;
                }
                Next::Nothing => {
                    inbox.open_during(out.flush()).await?;
                    out.shrink();
                    inbox.share.report(inbox.counts.memory());
                    // The flush may have waited, and something may have come meanwhile.
                    if inbox.backlog.is_empty() {
                        inbox.receive().await;
                    }
                }
            }
        }
    }

    /// Gives back what was not written.
    fn finish(self, cause: EndCause) -> WriterEnd {
        let Self { mut out, inbox } = self;
        let clean = out.ledger.written == out.ledger.boundary;
        let mut left: Vec<Command> = out.ledger.sending.drain(..).map(|(command, _)| command).collect();
        left.extend(inbox.drain());
        let mut unsent = Vec::new();
        for command in left {
            out.ledger.counts.release_own(command.own_cost());
            out.ledger.counts.release(command.cost());
            if let Command::Frame(payload) | Command::Reply(payload) = command {
                unsent.push(payload);
            }
        }
        WriterEnd { cause, unsent, clean: clean.then_some(out.io) }
    }
}

impl Inbox {
    /// Takes what is queued; waits for it if nothing is.
    async fn receive(&mut self) {
        if self.is_abandoned || self.queue.recv_many(&mut self.batch, limits::WRITE_BATCH_FRAMES).await == 0 {
            let close = Command::close();
            self.counts.charge(close.cost());
            self.batch.push(close);
        }
        self.sort();
    }

    /// Does the work, and takes in what is queued for as long as the work has to wait.
    async fn open_during<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = self.take_in() => match never {},
        }
    }

    async fn take_in(&mut self) -> Infallible {
        loop {
            self.step().await;
        }
    }

    /// Waits until what comes next is in memory.
    async fn read_back(&mut self) {
        while self.backlog.is_loading() {
            self.step().await;
        }
    }

    /// Waits for one thing to happen beside the writing. Cancelled, it loses nothing.
    async fn step(&mut self) {
        self.backlog.spill();
        tokio::select! {
            biased;
            () = self.backlog.moved() => {}
            taken = self.queue.recv_many(&mut self.batch, limits::WRITE_BATCH_FRAMES), if !self.is_abandoned => {
                self.is_abandoned = taken == 0;
                self.sort();
            }
        }
    }

    fn sort(&mut self) {
        for command in self.batch.drain(..) {
            self.backlog.push(command);
        }
        self.share.report(self.counts.memory());
    }

    /// All that is left and may be owed to somebody. What comes later is refused.
    fn drain(mut self) -> Vec<Command> {
        self.queue.close();
        let mut left = self.backlog.drain();
        left.append(&mut self.batch);
        while let Ok(command) = self.queue.try_recv() {
            left.push(command);
        }
        left
    }
}

impl Out {
    /// Appends a small frame to the buffer.
    fn put(&mut self, command: Command) {
        let opcode = match command {
            Command::Ping => Opcode::Ping,
            Command::Pong(_) => Opcode::Pong,
            Command::Close(_) => Opcode::Close,
            Command::Frame(_) | Command::Reply(_) | Command::Hold(_) => Opcode::Binary,
        };
        let before = self.buffer.len();
        frame_into(&mut self.buffer, self.role, opcode, command.payload());
        self.ledger.add(command, self.buffer.len() - before);
    }

    /// What is not small: a large frame, or a pause.
    async fn write_alone(&mut self, command: Command) -> io::Result<()> {
        match command {
            Command::Hold(until) => {
                self.ledger.counts.release(command.cost());
                self.flush().await?;
                sleep_until(until).await;
                Ok(())
            }
            Command::Frame(ref payload) | Command::Reply(ref payload) => {
                let payload = payload.clone();
                self.write_large(command, payload).await
            }
            Command::Ping | Command::Pong(_) | Command::Close(_) => unreachable!("control frames are small"),
        }
    }

    /// The Close frame, then FIN.
    async fn close(&mut self, close: Command) -> io::Result<()> {
        self.put(close);
        self.flush().await?;
        self.io.shutdown().await
    }

    /// Writes the buffer with the frame's header, then the payload: from where it is, or masked piece by piece.
    async fn write_large(&mut self, command: Command, payload: Bytes) -> io::Result<()> {
        let before = self.buffer.len();
        let mask = header_into(&mut self.buffer, self.role, Opcode::Binary, payload.len());
        self.ledger.add(command, self.buffer.len() - before + payload.len());
        self.write_buffer().await?;
        let Some(mask) = mask else { return write_counted(&mut self.io, &payload, &mut self.ledger).await };
        // The piece size is a multiple of the mask's, so each piece begins with the mask's first byte.
        for piece in payload.chunks(limits::WRITE_BATCH_BYTES) {
            self.buffer.extend_from_slice(piece);
            apply_mask(&mut self.buffer, mask);
            self.write_buffer().await?;
        }
        Ok(())
    }

    async fn write_buffer(&mut self) -> io::Result<()> {
        write_counted(&mut self.io, &self.buffer, &mut self.ledger).await?;
        self.buffer.clear();
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.write_buffer().await?;
        self.io.flush().await
    }

    /// An idle socket keeps no large buffer.
    fn shrink(&mut self) {
        if self.buffer.capacity() > 2 * COPY_BYTES {
            self.buffer = Vec::new();
        }
    }
}

/// Whether a command is copied into the buffer with others.
fn is_small(command: &Command) -> bool {
    match command {
        Command::Frame(payload) | Command::Reply(payload) => payload.len() <= COPY_BYTES,
        Command::Ping | Command::Pong(_) => true,
        Command::Hold(_) | Command::Close(_) => false,
    }
}

/// Writes all of `bytes`, entering each step into the ledger.
async fn write_counted(io: &mut WriteHalf, bytes: &[u8], ledger: &mut Ledger) -> io::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        match io.write(&bytes[at..]).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => {
                at += count;
                ledger.advance(count);
            }
        }
    }
    Ok(())
}

/// The Close frame that answers the peer's own, or tells it what it did wrong; then FIN.
pub(super) async fn say_goodbye(mut io: WriteHalf, role: Role, code: Option<u16>) -> io::Result<()> {
    let mut frame = Vec::new();
    frame_into(&mut frame, role, Opcode::Close, &close_payload(code));
    io.write_all(&frame).await?;
    io.flush().await?;
    io.shutdown().await
}
