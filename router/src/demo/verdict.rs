//! The table at the end, and whether the promises were kept.

use std::collections::BTreeMap;

use super::DemoError;
use super::files::{GROUP, NODES};
use super::load::Tally;

/// Calls that the run must have made.
const READS_MIN: u64 = 2_000;

/// Prints the reads that each node answered, and judges the run.
///
/// # Errors
/// [`DemoError::Broken`]
pub(super) fn judge(tally: &Tally, metrics: &str, victim: &str) -> Result<(), DemoError> {
    let by_member = answered(metrics);
    rcs_cli::say(format_args!("\nmember      reads answered"));
    for name in NODES {
        let note = if name == victim { "   killed" } else { "" };
        rcs_cli::say(format_args!("{name:8}{:18}{note}", by_member.get(name).copied().unwrap_or(0)));
    }
    let retried = sum(metrics, "rcs_retries_total", &[]);
    rcs_cli::say(format_args!(
        "\n{} reads in {:.1} s ({} before the kill): {} failed, {} hung, {retried} retried at another node",
        tally.ok,
        tally.took.as_secs_f64(),
        tally.before_kill,
        tally.failed,
        tally.hung,
    ));
    let broken = broken(tally, &by_member);
    if broken.is_empty() {
        rcs_cli::say("every read was answered");
        return Ok(());
    }
    Err(DemoError::Broken(broken))
}

fn broken(tally: &Tally, by_member: &BTreeMap<String, u64>) -> Vec<String> {
    let mut broken = Vec::new();
    let total: u64 = by_member.values().sum();
    let mut expect = |kept: bool, what: String| {
        if !kept {
            broken.push(what);
        }
    };
    expect(tally.failed == 0, format!("{} reads failed: {:?}", tally.failed, tally.failures));
    expect(tally.hung == 0, format!("{} reads hung", tally.hung));
    expect(
        tally.ok >= READS_MIN,
        format!("only {} reads were made, at least {READS_MIN} are needed", tally.ok),
    );
    expect(total == tally.ok, format!("the router counted {total} reads, the caller counted {}", tally.ok));
    expect(
        NODES.iter().all(|name| by_member.get(*name).is_some_and(|count| *count > 0)),
        "a node answered no read".to_owned(),
    );
    broken
}

/// Good answers to reads, by member.
fn answered(metrics: &str) -> BTreeMap<String, u64> {
    let labels = [("group", GROUP), ("op", "get"), ("outcome", "ok")];
    NODES
        .iter()
        .map(|name| {
            let all: Vec<_> = labels.iter().copied().chain([("member", *name)]).collect();
            ((*name).to_owned(), sum(metrics, "rcs_calls_total", &all))
        })
        .collect()
}

/// The sum of a counter's series that have these labels.
fn sum(metrics: &str, counter: &str, labels: &[(&str, &str)]) -> u64 {
    let fits = |line: &&str| {
        line.split(['{', ' ']).next() == Some(counter)
            && labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")))
    };
    let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
    metrics.lines().filter(fits).filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "\
# TYPE rcs_calls counter
rcs_calls_total{group=\"hr\",member=\"n1\",op=\"get\",outcome=\"ok\"} 1000
rcs_calls_total{group=\"hr\",member=\"n2\",op=\"get\",outcome=\"ok\"} 500
rcs_calls_total{group=\"hr\",member=\"n2\",op=\"get\",outcome=\"unavailable\"} 7
rcs_calls_total{group=\"hr\",member=\"n3\",op=\"get\",outcome=\"ok\"} 1000
rcs_calls_total{group=\"hr\",member=\"n3\",op=\"search\",outcome=\"ok\"} 1
";

    fn tally() -> Tally {
        Tally { ok: 2_500, ..Tally::default() }
    }

    #[test]
    fn good_reads_are_counted_by_member() {
        let by_member = answered(METRICS);
        assert_eq!(by_member.values().copied().collect::<Vec<_>>(), [1000, 500, 1000]);
        assert_eq!(broken(&tally(), &by_member), [] as [&str; 0]);
    }

    #[test]
    fn each_broken_promise_is_named() {
        let by_member = answered(METRICS);
        for (case, tally) in [
            ("failed", Tally { failed: 1, ..tally() }),
            ("hung", Tally { hung: 1, ..tally() }),
            ("counted", Tally { ok: 2_600, ..tally() }),
            ("only", Tally { ok: 1_999, ..tally() }),
        ] {
            let broken = broken(&tally, &by_member);
            assert!(broken.iter().any(|what| what.contains(case)), "{case}: {broken:?}");
        }
        let two: BTreeMap<_, _> = [("n1".to_owned(), 1_250), ("n3".to_owned(), 1_250)].into();
        assert_eq!(broken(&tally(), &two), ["a node answered no read"]);
    }
}
