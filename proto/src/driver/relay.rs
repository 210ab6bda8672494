//! The end of a moved socket's session that an earlier process keeps: frames that the earlier process still writes go to the peer, and
//! frames of the peer that concern the earlier process go there. The connection is this process's.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream, unix};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::framing::{Decoder, FrameMeter, Inbound, Limits, Opcode, Role, frame_into};
use super::limits;
use super::socket::{SendError, SocketHandle};

/// Writes the rest of the frame that was under way when the earlier process stopped. Until then nothing else may be written to the peer.
/// Returns bytes of the earlier process that belong to its next frames.
///
/// # Errors
/// The peer is gone, or the earlier process is gone before the end of the frame: the connection is of no use any more.
pub async fn finish_frame(
    from: &mut UnixStream,
    to: &mut TcpStream,
    mut under_way: FrameMeter,
) -> io::Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(limits::READ_BYTES);
    while !under_way.is_between_frames() {
        bytes.clear();
        if from.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let of_frame = under_way.pass_frame(&bytes);
        to.write_all(&bytes[..of_frame]).await?;
        bytes = bytes.split_off(of_frame);
    }
    Ok(bytes.freeze())
}

/// A relay between an earlier process and a socket of this process. Dropping the value ends the relay: the earlier process takes the
/// socket for closed.
#[derive(Debug)]
pub struct Relay {
    queue: mpsc::Sender<Bytes>,
    reading: JoinHandle<()>,
}

impl Relay {
    /// Passes what the earlier process writes to `socket`, from these bytes on. `ended` is dropped once all of it is queued.
    pub fn start<G: Send + 'static>(
        from: UnixStream,
        surplus: Bytes,
        message: Limits,
        socket: SocketHandle,
        ended: G,
    ) -> Self {
        let (read, write) = from.into_split();
        let (queue, queued) = mpsc::channel(limits::RELAYED_BACK_MAX);
        tokio::spawn(write_back(write, queued));
        let decoder = Decoder::new(Role::Client, message, surplus);
        let reading = tokio::spawn(async move {
            pass(read, decoder, &socket).await;
            drop(ended);
        });
        Self { queue, reading }
    }

    /// Hands a message of the peer to the earlier process. Returns false if the message was dropped, because the earlier process is gone or
    /// does not read.
    pub fn hand_back(&self, message: Bytes) -> bool {
        self.queue.try_send(message).is_ok()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Passes messages until the earlier process ends, or the socket does. The earlier process keeps what waits for a slow peer.
async fn pass(mut from: unix::OwnedReadHalf, mut decoder: Decoder, socket: &SocketHandle) {
    loop {
        loop {
            let message = match decoder.decode() {
                Ok(Some(Inbound::Binary(message))) => message,
                // Pings of an earlier process would be answered to this one.
                Ok(Some(Inbound::Ping(_) | Inbound::Pong | Inbound::Text | Inbound::Oversize { .. })) => {
                    continue;
                }
                Ok(Some(Inbound::Close(_))) | Err(_) => return,
                Ok(None) => break,
            };
            loop {
                socket.drained_below(limits::RELAYED_BACKLOG_BYTES).await;
                match socket.send(message.clone()) {
                    Ok(()) => break,
                    Err(SendError::Closed) => return,
                    // A message that is larger than the room that is left. An empty queue takes every message.
                    Err(SendError::Full) => socket.drained_below(1).await,
                }
            }
        }
        match from.read_buf(decoder.space()).await {
            Ok(0) | Err(_) => return,
            Ok(count) => decoder.note_read(count),
        }
    }
}

async fn write_back(mut to: unix::OwnedWriteHalf, mut queued: mpsc::Receiver<Bytes>) {
    let mut frame = Vec::new();
    while let Some(message) = queued.recv().await {
        frame.clear();
        frame_into(&mut frame, Role::Client, Opcode::Binary, &message);
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}
