//! The bounded queue of lines, and the thread that writes them. A thread that logs never waits for a write, and gets no error if a write
//! fails: lost lines are counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Format;
use super::line::{WARN, of_our_own};
use crate::limits::{LOG_QUEUE_BYTES_MAX, LOG_RETRY_WAIT, LOG_WRITE_BYTES};

/// Lines that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Notified when a line came.
    arrived: Condvar,
    /// Notified when every line is written or lost.
    settled: Condvar,
    /// Lines that were lost since the start of the process.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that were dropped since the last batch was taken out, because the queue was full.
    dropped: u64,
    /// Whether a batch is being written.
    is_writing: bool,
}

impl Queue {
    /// A queue and the thread that writes its lines to `out`.
    ///
    /// # Errors
    /// If the operating system cannot start a thread.
    pub(super) fn start(out: impl Write + Send + 'static, format: Format) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::default());
        let mine = Arc::clone(&queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || mine.write_to(Sink::new(out, format)))?;
        Ok(queue)
    }

    /// Queues whole lines, each with its line end. Drops all of them if the queue has no room.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.lock();
        if state.waiting.len() + lines.len() > LOG_QUEUE_BYTES_MAX {
            let count = count_lines(lines);
            state.dropped += count;
            self.lost.fetch_add(count, Ordering::Relaxed);
            return;
        }
        state.waiting.extend_from_slice(lines);
        drop(state);
        self.arrived.notify_one();
    }

    /// Lines that were lost so far: dropped because the queue was full, or not written.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until every line is written or lost, for `bound` at most.
    pub(super) fn flush(&self, bound: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let waited = self.settled.wait_timeout_while(self.lock(), bound, is_busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn write_to(&self, mut sink: Sink<impl Write>) {
        let mut batch = Vec::new();
        loop {
            let dropped = self.take(&mut batch);
            let failed = sink.write(&batch);
            self.lost.fetch_add(failed, Ordering::Relaxed);
            // The dropped lines came after the batch.
            sink.untold += dropped;
            sink.tell_lost();
            batch.clear();
            batch.shrink_to(LOG_WRITE_BYTES);
            self.rest();
        }
    }

    /// Waits for lines, and takes all of them out. Returns how many lines were dropped after them.
    fn take(&self, batch: &mut Vec<u8>) -> u64 {
        let is_idle = |state: &mut State| state.waiting.is_empty() && state.dropped == 0;
        let mut state = self.arrived.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(batch, &mut state.waiting);
        state.is_writing = true;
        std::mem::take(&mut state.dropped)
    }

    fn rest(&self) {
        let mut state = self.lock();
        state.is_writing = false;
        if state.waiting.is_empty() {
            self.settled.notify_all();
        }
    }

    /// A thread may panic while it holds the lock, for want of memory. The queue then still holds whole lines, so the lock can be used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where lines are written.
struct Sink<W> {
    out: W,
    format: Format,
    /// Lost lines that the log has not reported yet.
    untold: u64,
    /// Whether the last write broke off within a line.
    is_torn: bool,
}

impl<W: Write> Sink<W> {
    fn new(out: W, format: Format) -> Self {
        Self { out, format, untold: 0, is_torn: false }
    }

    /// Writes lines. Returns how many could not be written.
    fn write(&mut self, mut lines: &[u8]) -> u64 {
        let mut failed = 0;
        while !lines.is_empty() {
            let (piece, rest) = lines.split_at(piece_length(lines));
            lines = rest;
            let unwritten = if self.tell_lost() { self.put(piece) } else { Err(count_lines(piece)) };
            if let Err(count) = unwritten {
                failed += count;
                self.untold += count;
            }
        }
        failed
    }

    /// Reports in the log how many lines are lost. Returns false if this report cannot be written either.
    fn tell_lost(&mut self) -> bool {
        let told = match self.untold {
            0 => return true,
            1 => "1 log line was lost".to_owned(),
            count => format!("{count} log lines were lost"),
        };
        let why = "standard error could not be written, or was read too slowly";
        let is_written = self.put(&of_our_own(self.format, WARN, &format!("{told}: {why}"))).is_ok();
        if is_written {
            self.untold = 0;
        }
        is_written
    }

    /// Writes these lines. The error is the number of lines that were not written whole.
    fn put(&mut self, lines: &[u8]) -> Result<(), u64> {
        if self.is_torn {
            self.put_bytes(b"\n").map_err(|_| count_lines(lines))?;
        }
        self.put_bytes(lines).map_err(count_lines)
    }

    /// Writes bytes. The error is the bytes that were not written.
    fn put_bytes<'a>(&mut self, bytes: &'a [u8]) -> Result<(), &'a [u8]> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(rest),
                Ok(count) => {
                    let (written, left) = rest.split_at(count.min(rest.len()));
                    self.is_torn = !written.ends_with(b"\n");
                    rest = left;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(LOG_RETRY_WAIT),
                Err(_) => return Err(rest),
            }
        }
        Ok(())
    }
}

/// The length of the whole lines at the beginning that fit into one write; at least one line.
fn piece_length(lines: &[u8]) -> usize {
    let end_of_line = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    let within = lines.get(..LOG_WRITE_BYTES).unwrap_or(lines);
    end_of_line(within)
        .or_else(|| lines.iter().position(|byte| *byte == b'\n').map(|at| at + 1))
        .unwrap_or(lines.len())
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::limits::LOG_LINE_BYTES_MAX;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A stream that is told beforehand what each write leads to.
    #[derive(Default)]
    struct Stream {
        /// What the next writes do; when it is empty, a write takes everything.
        turns: Vec<Turn>,
        written: Vec<u8>,
    }

    enum Turn {
        Fails(io::ErrorKind),
        /// Accepts this many bytes.
        Takes(usize),
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = match self.turns.pop() {
                Some(Turn::Fails(kind)) => return Err(kind.into()),
                Some(Turn::Takes(count)) => count,
                None => bytes.len(),
            };
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A pipe that nobody reads, until the other end is dropped.
    struct Blocked(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink(mut turns: Vec<Turn>) -> Sink<Stream> {
        turns.reverse();
        Sink::new(Stream { turns, ..Stream::default() }, Format::Text)
    }

    fn written(sink: &Sink<Stream>) -> Vec<&str> {
        let text = std::str::from_utf8(&sink.out.written).unwrap();
        // Without the time.
        text.lines().map(|line| line.split_once(" WARN ").map_or(line, |(_, told)| told)).collect()
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_told_when_writing_works_again() {
        let gone = || Turn::Fails(io::ErrorKind::BrokenPipe);
        // First comes the line, then the report of the loss and nothing more, then the report and the line.
        let mut sink = sink(vec![gone(), gone()]);
        assert_eq!(sink.write(b"one\ntwo\n"), 2);
        assert_eq!(sink.write(b"three\n"), 1);
        assert_eq!(sink.write(b"four\n"), 0);
        assert_eq!(
            written(&sink),
            ["3 log lines were lost: standard error could not be written, or was read too slowly", "four"]
        );
    }

    #[test]
    fn a_line_that_was_torn_does_not_run_into_the_next() {
        let mut sink = sink(vec![Turn::Takes(6), Turn::Fails(io::ErrorKind::StorageFull)]);
        assert_eq!(sink.write(b"one\ntwo\n"), 1);
        assert_eq!(sink.write(b"three\n"), 0);
        assert_eq!(
            written(&sink),
            [
                "one",
                "tw",
                "1 log line was lost: standard error could not be written, or was read too slowly",
                "three"
            ]
        );
    }

    #[test]
    fn a_stream_that_does_not_block_is_tried_again() {
        let mut sink = sink(vec![
            Turn::Fails(io::ErrorKind::WouldBlock),
            Turn::Fails(io::ErrorKind::Interrupted),
            Turn::Takes(2),
        ]);
        assert_eq!((sink.write(b"one\n"), written(&sink)), (0, vec!["one"]));
    }

    #[test]
    fn a_write_takes_whole_lines() {
        let long = [vec![b'x'; LOG_WRITE_BYTES], b"\nnext\n".to_vec()].concat();
        for (lines, length) in [
            (b"one\ntwo\n".to_vec(), 8),
            ([vec![b'x'; LOG_WRITE_BYTES - 8], b"\nsecond line\n".to_vec()].concat(), LOG_WRITE_BYTES - 7),
            (long, LOG_WRITE_BYTES + 1),
            (b"no end".to_vec(), 6),
        ] {
            assert_eq!(piece_length(&lines), length);
        }
    }

    /// If nobody reads, pushing returns at once, lines without room are counted, and a flush has its bound. When the pipe is read again,
    /// the log reports how many lines are lost.
    #[test]
    fn a_full_queue_drops_lines_and_never_waits() {
        let (reading, block) = mpsc::channel();
        let (send, came) = mpsc::channel();
        let queue = Queue::start(Blocked(block, send), Format::Text).unwrap();
        let line = [vec![b'x'; LOG_LINE_BYTES_MAX - 1], b"\n".to_vec()].concat();
        let count = 3 * LOG_QUEUE_BYTES_MAX / line.len();
        for _ in 0..count {
            queue.push(&line);
        }
        let lost = queue.lost();
        assert!(lost as usize >= count / 3, "{lost} of {count} lines lost");
        queue.flush(Duration::from_millis(10));
        drop(reading);
        queue.flush(PATIENCE);
        let text = came.try_iter().flatten().collect::<Vec<u8>>();
        let text = String::from_utf8(text).unwrap();
        let told: Vec<u64> = text
            .lines()
            .filter_map(|line| {
                line.strip_suffix(
                    " log lines were lost: standard error could not be written, or was read too slowly",
                )
            })
            .filter_map(|told| told.rsplit(' ').next()?.parse().ok())
            .collect();
        assert_eq!(told.iter().sum::<u64>(), lost, "{told:?}");
        assert_eq!(text.lines().count(), count - lost as usize + told.len());
        assert_eq!(queue.lost(), lost);
    }
}
