//! Whole clusters, many seeds. `RCS_SIM_SEED=n` runs one seed, `RCS_SIM_SEEDS=n` runs seeds 0 to n-1; `RCS_SIM_TRACE=1` prints what
//! happens. `RCS_SIM_MISTAKE=AppliesTwice` makes a mistake on purpose.

use std::sync::Mutex;

use rcs_rig::porcupine::{Porcupine, Verdict};

use super::mistakes::Mistake;
use super::scenario::{self, Judges};
use super::seeds;

/// Seeds of a usual test run: a few seconds.
const SEEDS: u64 = 10;

/// The number in this variable of the environment.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

#[test]
fn clusters_keep_their_promises_whatever_goes_wrong() {
    let range = match number("RCS_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RCS_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mistake = std::env::var("RCS_SIM_MISTAKE").ok().map(|name| Mistake::named(&name));
    let porcupine = Porcupine::or_skip("sim::explore::clusters").map(Mutex::new);
    let outcome = seeds::run(range, |seed| {
        let ended = scenario::run(seed, mistake, Judges::Invariants).0?;
        match &porcupine {
            Some(porcupine) => match porcupine.lock().unwrap().judge(&ended.history) {
                Verdict::Linearizable => Ok(ended.totals),
                other => {
                    Err(format!("linearizable: {other:?}, says Porcupine, and our own check found nothing"))
                }
            },
            None => Ok(ended.totals),
        }
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn one_seed_twice_is_one_history() {
    let (first, second) =
        (scenario::run(3, None, Judges::Invariants), scenario::run(3, None, Judges::Invariants));
    assert_eq!(first, second);
}

/// Each mistake, and the first seed that finds it; in a usual test run the mistake that is found at once. `RCS_SIM_MISTAKES=1`: all of
/// them, which takes minutes.
#[test]
fn mistakes_are_found() {
    let all = number("RCS_SIM_MISTAKES").is_some();
    for mistake in Mistake::ALL.into_iter().filter(|mistake| all || *mistake == Mistake::AppliesTwice) {
        let found = seeds::run(0..200, |seed| {
            let ended = scenario::run(seed, Some(mistake), Judges::Invariants).0?;
            Ok(ended.totals)
        });
        let words = found.expect_err(&format!("{mistake:?} was not found in 200 seeds"));
        println!("{mistake:?}: {}", words.lines().next().unwrap_or_default());
    }
}

/// Mistakes that a client can see are found by Porcupine as well, which knows nothing of routers and their copies.
#[test]
fn porcupine_finds_stale_reads_and_what_is_applied_twice() {
    let Some(mut porcupine) = Porcupine::or_skip("sim::explore::porcupine") else { return };
    for mistake in [Mistake::ReadsWithoutBarrier, Mistake::AppliesTwice] {
        let mut finds = |seed: &u64| {
            let ended = scenario::run(*seed, Some(mistake), Judges::OfHistory).0;
            ended.is_ok_and(|ended| porcupine.judge(&ended.history) == Verdict::Violated)
        };
        let seed = (0..20).find(&mut finds);
        println!("{mistake:?}: Porcupine finds it in seed {seed:?}");
        assert!(seed.is_some(), "Porcupine does not find {mistake:?} in 20 seeds");
    }
}
