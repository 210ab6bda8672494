//! Whole clusters, some seeds. `RCS_TURMOIL_SEED=n` runs one seed, `RCS_TURMOIL_SEEDS=n` runs seeds 0 to n-1; `RCS_SIM_TRACE=1` prints
//! what happens. A seed fixes the faults, the delays and what clients do. It does not fix everything (`runtime`): a seed that failed may
//! have to be run some times until it fails again.

use std::sync::Mutex;

use rcs_rig::porcupine::{Porcupine, Verdict};

use super::run;
use crate::sim::explore::number;
use crate::sim::mistakes::Mistake;
use crate::sim::seeds;

/// Seeds of a usual test run: some seconds.
const SEEDS: u64 = 3;

#[test]
fn clusters_over_the_real_transport_keep_their_promises() {
    let range = match number("RCS_TURMOIL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RCS_TURMOIL_SEEDS").unwrap_or(SEEDS),
    };
    let porcupine = Porcupine::or_skip("turmoil::explore::clusters").map(Mutex::new);
    let outcome = seeds::each(range, |seed| {
        let ended = run::run(seed, None)?;
        match porcupine.as_ref().map(|judge| judge.lock().unwrap().judge(&ended.history)) {
            Some(Verdict::Linearizable) | None => Ok(ended.totals),
            Some(other) => {
                Err(format!("linearizable: {other:?}, says Porcupine, and our own check found nothing"))
            }
        }
    });
    match outcome {
        Ok(totals) => assert!(totals.acknowledged > 0 && totals.reads > 0, "{totals:?}"),
        Err((seed, words)) => panic!(
            "seed {seed}: {words}\nagain: RCS_TURMOIL_SEED={seed} cargo test -p rcs-consensus --test it turmoil:: -- --nocapture"
        ),
    }
}

/// The invariants see what happens on this network as well: a command that is applied again, because its outcome was unknown.
#[test]
fn a_mistake_is_found() {
    let found = seeds::each(0..10, |seed| Ok(run::run(seed, Some(Mistake::AppliesTwice))?.totals));
    let (seed, words) = found.expect_err("AppliesTwice was not found in 10 seeds");
    println!("AppliesTwice: seed {seed}: {words}");
    assert!(words.starts_with("applied once:"), "{words}");
}
