//! Bounds of what the programs have in common (promise P10).

use std::time::Duration;

/// Bytes of log lines that wait to be written. A line beyond this is dropped and counted. Lines lie one behind the other in one buffer, so
/// this also bounds their number. At most twice as many bytes are held: a batch that is being written, and the lines that came meanwhile.
pub const LOG_QUEUE_BYTES_MAX: usize = 1 << 20;

/// Bytes of one log line; the rest of a longer line is cut off. The longest lines of our own name files and members.
pub const LOG_LINE_BYTES_MAX: usize = 16 << 10;

/// Bytes that one write to standard error has at most, unless one line is longer. Linux writes this much to a pipe in one piece
/// (`PIPE_BUF`), so the lines of several processes at one pipe do not mix.
pub const LOG_WRITE_BYTES: usize = 4096;

/// The pause before the next try, if standard error does not block and accepts nothing.
pub const LOG_RETRY_WAIT: Duration = Duration::from_millis(20);

/// How long the end of a program waits for the log to be written. A pipe that nobody reads must not keep the program.
pub const LOG_FLUSH_DEADLINE: Duration = Duration::from_secs(1);

/// Up to this number of findings, a doctor also shows to people what works.
pub const FINDINGS_SHOWN_MAX: usize = 100;

/// Bytes of IDM's document of connector servers, and its entries, where a server is compared with it: some 10 times what a large site has.
pub const IDM_DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// See [`IDM_DOCUMENT_BYTES_MAX`].
pub const IDM_ENTRIES_MAX: usize = 100_000;

const _: () =
    assert!(LOG_LINE_BYTES_MAX * 16 <= LOG_QUEUE_BYTES_MAX, "one long line must not push out all others");
const _: () = assert!(LOG_RETRY_WAIT.as_millis() * 10 < LOG_FLUSH_DEADLINE.as_millis());
