//! The log of a program, on standard error. A log line that cannot be written is dropped and counted, and delays nobody. Threads that log
//! put whole lines into a bounded queue, and a thread of the log writes the lines.
//!
//! The library's own writer for this (`tracing-appender`, `non_blocking`) bounds lines and not bytes, does not count a write that fails,
//! and prints to the streams that may be broken. So the log has its own `queue`. `line` escapes control characters in one place, whoever
//! the text comes from. `filter` reads `RCS_LOG`.

mod filter;
mod line;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};

use clap::ValueEnum;
use tracing_subscriber::fmt::MakeWriter;

use crate::limits::LOG_FLUSH_DEADLINE;
use crate::{Exit, Failure};
use queue::Queue;

/// The variable that holds the filter, e.g. `debug` or `warn,rcs_proto=debug`.
pub const FILTER_VARIABLE: &str = "RCS_LOG";

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The log of this process, once it is started.
static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Clone, Debug)]
struct Log {
    queue: Arc<Queue>,
    format: Format,
}

/// Starts the log of the process. Panics become lines of the log. A second start changes nothing.
///
/// # Errors
/// [`Exit::Usage`] if the variable `RCS_LOG` is not a filter, [`Exit::Internal`] if the operating system cannot start a thread.
pub fn start(format: Format) -> Result<(), Failure> {
    let filter = filter::read(env::var_os(FILTER_VARIABLE)).map_err(|wrong| Exit::Usage.with(wrong))?;
    // Tests start several programs in one process.
    if LOG.get().is_some() {
        return Ok(());
    }
    let cannot = |error: io::Error| Exit::Internal.with(format!("cannot start the log: {error}"));
    // The log has its own descriptor, because other writers to standard error hold a lock while a pipe is full.
    let out = io::stderr().as_fd().try_clone_to_owned().map_err(cannot)?;
    let log = Log { queue: Queue::start(File::from(out), format).map_err(cannot)?, format };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .log_internal_errors(false)
        .with_target(false);
    let _ = match format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().try_init(),
    };
    let _ = LOG.set(log);
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// The number of log lines of this process that were lost: the queue was full, or standard error could not be written.
pub fn lines_lost() -> u64 {
    LOG.get().map_or(0, |log| log.queue.lost())
}

/// Waits until the log is written, for [`LOG_FLUSH_DEADLINE`] at most.
pub(crate) fn flush() {
    if let Some(log) = LOG.get() {
        log.queue.flush(LOG_FLUSH_DEADLINE);
    }
}

/// Puts a text of the program itself between the lines of the log. Returns false if there is no log.
pub(crate) fn put(text: &str) -> bool {
    let Some(log) = LOG.get() else { return false };
    log.queue.push(text.as_bytes());
    true
}

/// Logs a panic as one line. Rust's own hook would write to standard error past the queue.
fn panicked(panic: &PanicHookInfo<'_>) {
    let Some(log) = LOG.get() else { return };
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("without a message");
    let told = format!("internal error: the thread {name:?} panicked at {place}: {message}");
    log.queue.push(&line::of_our_own(log.format, line::ERROR, &told));
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        for frame in trace.to_string().lines() {
            log.queue.push(&line::of_our_own(log.format, line::ERROR, frame));
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter(self)
    }
}

/// Accepts the events of the log. The library writes each event with one call.
struct LineWriter<'a>(&'a Log);

impl Write for LineWriter<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.queue.push(&line::escaped(self.0.format, event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
