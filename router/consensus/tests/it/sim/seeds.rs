//! Many seeds on all cores; a failure names its seed and the command that shows it again.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::runtime::panic_words;

/// What a run, or many runs, came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) seeds: u64,
    /// Writes that clients were told of.
    pub(crate) acknowledged: u64,
    /// Linearizable reads.
    pub(crate) reads: u64,
    /// Single nodes killed.
    pub(crate) kills: u64,
    /// All nodes of a cluster killed at once.
    pub(crate) blackouts: u64,
    /// Known panics of openraft's core, each survived.
    pub(crate) panics: u64,
    pub(crate) simulated: Duration,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.seeds += other.seeds;
        self.acknowledged += other.acknowledged;
        self.reads += other.reads;
        self.kills += other.kills;
        self.blackouts += other.blackouts;
        self.panics += other.panics;
        self.simulated += other.simulated;
    }
}

/// Runs `one` for each seed, as many at a time as there are cores.
///
/// # Errors
/// The failure of the smallest seed that failed; seeds beyond it may not have run.
pub(crate) fn run(
    range: Range<u64>,
    one: impl Fn(u64) -> Result<Totals, String> + Sync,
) -> Result<Totals, String> {
    each(range, one).map_err(|(seed, words)| {
        format!(
            "seed {seed}: {words}\nagain: RCS_SIM_SEED={seed} cargo test -p rcs-consensus --test it sim::explore -- --nocapture"
        )
    })
}

/// The same; the failure comes with its seed.
pub(crate) fn each(
    range: Range<u64>,
    one: impl Fn(u64) -> Result<Totals, String> + Sync,
) -> Result<Totals, (u64, String)> {
    let (next, began) = (AtomicU64::new(range.start), Instant::now());
    let (totals, failure) = (Mutex::new(Totals::default()), Mutex::new(None::<(u64, String)>));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            // Seeds are given out in order: each below the smallest failure has been given out.
            if seed >= range.end || failure.lock().unwrap().is_some() {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| one(seed)));
            match result.unwrap_or_else(|panic| Err(panic_words(&*panic))) {
                Ok(more) => totals.lock().unwrap().add(&more),
                Err(words) => {
                    let mut failure = failure.lock().unwrap();
                    if failure.as_ref().is_none_or(|(before, _)| seed < *before) {
                        *failure = Some((seed, words));
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (totals, took) = (totals.into_inner().unwrap(), began.elapsed().as_secs_f64());
    println!(
        "{} seeds in {took:.1} s: {:.0} a minute; acknowledged {}, reads {}, kills {}, blackouts {}, core panics {}, simulated {:.0} s",
        totals.seeds,
        totals.seeds as f64 / took * 60.0,
        totals.acknowledged,
        totals.reads,
        totals.kills,
        totals.blackouts,
        totals.panics,
        totals.simulated.as_secs_f64(),
    );
    match failure.into_inner().unwrap() {
        None => Ok(totals),
        Some(failure) => Err(failure),
    }
}
