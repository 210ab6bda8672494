//! The writing task of a socket: a queue of commands in, bytes out, and what was not written handed back.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::framing::{Opcode, Role, apply_mask, close_payload, frame_into, header_into};
use super::socket::Shared;
use super::{WriteHalf, limits};

/// Payloads up to this size are copied next to each other; larger ones are written from where they are.
const COPY_BYTES: usize = limits::WRITE_BATCH_BYTES / 4;

/// What the writer is asked for, in order.
#[derive(Debug)]
pub(super) enum Command {
    /// A message.
    Frame(Bytes),
    /// Nothing behind this is written before that moment.
    Hold(Instant),
    /// An empty ping: Java logs a line for any other (WIRE 1.2).
    Ping,
    /// The answer to a ping.
    Pong(Bytes),
    /// Close frame, then FIN.
    Close,
}

impl Command {
    /// What it counts for in the backlog, bytes.
    pub(super) fn cost(&self) -> usize {
        self.payload().len() + limits::FRAME_OVERHEAD_BYTES
    }

    fn payload(&self) -> &[u8] {
        match self {
            Self::Frame(payload) | Self::Pong(payload) => payload,
            Self::Close => &NORMAL_CLOSE,
            Self::Hold(_) | Self::Ping => &[],
        }
    }
}

/// The payload of a Close frame that has no complaint: code 1000.
const NORMAL_CLOSE: [u8; 2] = 1000u16.to_be_bytes();

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
    shared: Arc<Shared>,
    halt: oneshot::Receiver<()>,
) -> WriterEnd {
    let mut writer = Writer {
        io,
        role,
        queue,
        taken: VecDeque::new(),
        batch: Vec::new(),
        buffer: Vec::new(),
        ledger: Ledger { written: 0, boundary: 0, encoded: 0, sending: VecDeque::new(), shared },
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
    io: WriteHalf,
    role: Role,
    queue: mpsc::UnboundedReceiver<Command>,
    /// Commands taken from the queue, not encoded yet.
    taken: VecDeque<Command>,
    /// Where the queue is emptied into; empty otherwise.
    batch: Vec<Command>,
    /// Encoded bytes that go out with the next write.
    buffer: Vec<u8>,
    ledger: Ledger,
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
    shared: Arc<Shared>,
}

impl Ledger {
    /// A frame of so many bytes, header included, goes next.
    fn add(&mut self, command: Command, bytes: usize) {
        self.encoded += bytes as u64;
        self.sending.push_back((command, self.encoded));
    }

    fn advance(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.shared.wrote(bytes);
        let mut released = 0;
        while let Some((command, end)) = self.sending.pop_front_if(|(_, end)| *end <= self.written) {
            released += command.cost();
            self.boundary = end;
        }
        self.shared.release(released);
    }
}

impl Writer {
    /// Takes what is queued, puts small frames together, writes, flushes once; until the end.
    async fn write_all(&mut self) -> io::Result<()> {
        loop {
            if self.queue.recv_many(&mut self.batch, limits::WRITE_BATCH_FRAMES).await == 0 {
                // All handles are gone: the owner has forgotten the socket.
                let close = Command::Close;
                self.ledger.shared.charge(close.cost());
                self.batch.push(close);
            }
            self.taken.extend(self.batch.drain(..));
            while let Some(command) = self.taken.pop_front() {
                if self.encode(command).await? == Next::Stop {
                    return Ok(());
                }
            }
            self.write_buffer().await?;
            self.io.flush().await?;
            if self.buffer.capacity() > 2 * COPY_BYTES && self.queue.is_empty() {
                self.buffer = Vec::new();
            }
        }
    }

    async fn encode(&mut self, command: Command) -> io::Result<Next> {
        match command {
            Command::Hold(until) => {
                self.ledger.shared.release(command.cost());
                self.write_buffer().await?;
                self.io.flush().await?;
                sleep_until(until).await;
            }
            Command::Frame(payload) if payload.len() > COPY_BYTES => self.write_large(payload).await?,
            Command::Frame(_) => self.put(Opcode::Binary, command),
            Command::Ping => self.put(Opcode::Ping, command),
            Command::Pong(_) => self.put(Opcode::Pong, command),
            Command::Close => {
                self.put(Opcode::Close, command);
                self.write_buffer().await?;
                self.io.flush().await?;
                self.io.shutdown().await?;
                return Ok(Next::Stop);
            }
        }
        if self.buffer.len() >= limits::WRITE_BATCH_BYTES {
            self.write_buffer().await?;
        }
        Ok(Next::GoOn)
    }

    /// Appends a small frame to the buffer.
    fn put(&mut self, opcode: Opcode, command: Command) {
        let before = self.buffer.len();
        frame_into(&mut self.buffer, self.role, opcode, command.payload());
        self.ledger.add(command, self.buffer.len() - before);
    }

    /// Writes the buffer with the frame's header, then the payload: from where it is, or masked piece by piece.
    async fn write_large(&mut self, payload: Bytes) -> io::Result<()> {
        let before = self.buffer.len();
        let mask = header_into(&mut self.buffer, self.role, Opcode::Binary, payload.len());
        self.ledger.add(Command::Frame(payload.clone()), self.buffer.len() - before + payload.len());
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

    /// Gives back what was not written.
    fn finish(mut self, cause: EndCause) -> WriterEnd {
        self.queue.close();
        let clean = self.ledger.written == self.ledger.boundary;
        let mut left: Vec<Command> = self.ledger.sending.drain(..).map(|(command, _)| command).collect();
        left.extend(self.taken.drain(..).chain(self.batch.drain(..)));
        while let Ok(command) = self.queue.try_recv() {
            left.push(command);
        }
        let mut unsent = Vec::new();
        for command in left {
            self.ledger.shared.release(command.cost());
            if let Command::Frame(payload) = command {
                unsent.push(payload);
            }
        }
        WriterEnd { cause, unsent, clean: clean.then_some(self.io) }
    }
}

#[derive(PartialEq)]
enum Next {
    GoOn,
    Stop,
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
