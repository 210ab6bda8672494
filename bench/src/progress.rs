//! How far a measurement is: one line that changes. The line goes to standard error, only if standard error is a terminal.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use tokio::time::interval;

/// How often the line changes.
const SHOW_EVERY: Duration = Duration::from_millis(250);

/// Whether anybody sees how far a measurement is.
fn is_seen() -> bool {
    std::io::stderr().is_terminal()
}

/// Does the work. Meanwhile shows the line that `line` makes of the time since the start of the work.
pub(crate) async fn watched<T>(work: impl Future<Output = T>, line: impl Fn(Duration) -> String) -> T {
    if !is_seen() {
        return work.await;
    }
    let began = Instant::now();
    let mut work = std::pin::pin!(work);
    let mut ticks = interval(SHOW_EVERY);
    loop {
        tokio::select! {
            done = &mut work => {
                rcs_cli::tell_over("");
                return done;
            }
            _ = ticks.tick() => rcs_cli::tell_over(line(began.elapsed())),
        }
    }
}

/// A line about a step that is done.
pub(crate) fn step(line: impl std::fmt::Display) {
    if is_seen() {
        rcs_cli::tell(line);
    }
}
