//! Many readers at a time, and a node that dies under them.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use super::idm::{Idm, User};
use super::{DemoError, system};

/// Readers at a time.
const READERS: usize = 16;
/// Reads that are wanted.
const READS_MIN: u64 = 2_500;
/// The run's length, if that is enough for [`READS_MIN`].
const RUN: Duration = Duration::from_secs(4);
/// The run's length in any case.
const RUN_MAX: Duration = Duration::from_secs(15);
/// When the node is killed.
const KILL_AFTER: Duration = Duration::from_millis(1_500);
/// A read without an answer for this time counts as hung.
const HUNG_AFTER: Duration = Duration::from_secs(5);
/// Different failures that are remembered.
const FAILURES_KEPT: usize = 10;

/// What the readers saw.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Reads with the right answer.
    pub(super) ok: u64,
    /// Reads without an answer.
    pub(super) hung: u64,
    /// Reads with an error or a wrong answer.
    pub(super) failed: u64,
    /// Why, and how often.
    pub(super) failures: BTreeMap<String, u64>,
    /// How many had been read when the node was killed.
    pub(super) before_kill: u64,
    /// From the first read to the last.
    pub(super) took: Duration,
}

#[derive(Default)]
struct Shared {
    started: AtomicU64,
    ok: AtomicU64,
    hung: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<BTreeMap<String, u64>>,
    stop: AtomicBool,
}

/// Reads until enough was read, with one `kill` on the way.
pub(super) async fn run(
    idm: &Arc<Idm>,
    users: &Arc<[User]>,
    kill: impl FnOnce() -> io::Result<()>,
) -> Result<Tally, DemoError> {
    let shared = Arc::new(Shared::default());
    let begin = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read_on(Arc::clone(idm), Arc::clone(users), Arc::clone(&shared)));
    }
    let before_kill = conduct(&shared, begin, kill).await?;
    // Each ends with its read, or when that hangs.
    while readers.join_next().await.is_some() {}
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Tally {
        ok: count(&shared.ok),
        hung: count(&shared.hung),
        failed: count(&shared.failed),
        failures: shared.failures().clone(),
        before_kill,
        took: begin.elapsed(),
    })
}

impl Shared {
    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.failures.lock().expect("nobody panics with the lock")
    }
}

async fn read_on(idm: Arc<Idm>, users: Arc<[User]>, shared: Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        let turn = shared.started.fetch_add(1, Ordering::Relaxed);
        let Some(wanted) = users.get(usize::try_from(turn).unwrap_or(0) % users.len()) else { return };
        let failure = match timeout(HUNG_AFTER, idm.read(&wanted.uid)).await {
            Ok(Ok(user)) if user == *wanted => {
                shared.ok.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            Ok(Ok(_)) => "another user was read".to_owned(),
            Ok(Err(failure)) => failure,
            Err(_) => {
                shared.hung.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        shared.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = shared.failures();
        if failures.len() < FAILURES_KEPT || failures.contains_key(&failure) {
            *failures.entry(failure).or_default() += 1;
        }
    }
}

/// Kills when it is time, shows how far it is, and stops the readers.
async fn conduct(
    shared: &Shared,
    begin: Instant,
    kill: impl FnOnce() -> io::Result<()>,
) -> Result<u64, DemoError> {
    let mut kill = Some(kill);
    let mut before_kill = 0;
    let mut ticks = interval(Duration::from_millis(250));
    let mut progress = Progress::new();
    loop {
        ticks.tick().await;
        let (elapsed, ok) = (begin.elapsed(), shared.ok.load(Ordering::Relaxed));
        if elapsed >= KILL_AFTER
            && let Some(kill) = kill.take()
        {
            before_kill = ok;
            kill().map_err(system("kill a node"))?;
        }
        let wrong = shared.failed.load(Ordering::Relaxed) + shared.hung.load(Ordering::Relaxed);
        let state = if kill.is_none() { "two nodes, one is killed" } else { "three nodes" };
        progress.show(&format!("{:4.1} s  {ok:6} reads, {wrong} failed  ({state})", elapsed.as_secs_f64()));
        if (elapsed >= RUN && ok - before_kill >= READS_MIN) || elapsed >= RUN_MAX {
            shared.stop.store(true, Ordering::Relaxed);
            progress.end();
            return Ok(before_kill);
        }
    }
}

/// One line that changes on a terminal; a line a second elsewhere.
struct Progress {
    terminal: bool,
    shown: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: io::stdout().is_terminal(), shown: None }
    }

    fn show(&mut self, text: &str) {
        if self.terminal {
            rcs_cli::say_over(format_args!("  {text}  "));
        } else if self.shown.is_none_or(|shown| shown.elapsed() >= Duration::from_secs(1)) {
            self.shown = Some(Instant::now());
            rcs_cli::say(format_args!("  {text}"));
        }
    }

    fn end(&self) {
        if self.terminal {
            rcs_cli::say("");
        }
    }
}
