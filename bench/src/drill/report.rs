//! What a drill found: figures, a verdict with its reasons, one line of JSON and a row of a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::promise::Promise;
use super::tally::{Figures, Tally};
use super::times::Times;

/// Samples from which on a 99th percentile is judged; of fewer, the worst one would decide.
const JUDGED_BY_P99: usize = 30;

/// The findings of one drill.
#[derive(Debug)]
pub(crate) struct Findings {
    /// What was done to it, by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) calls: Figures,
    /// Figures of this drill alone.
    pub(crate) figures: Map<String, Value>,
    reasons: Vec<String>,
}

impl Findings {
    /// The findings of a drill whose calls were compared with the journals, judged by what all drills promise.
    pub(crate) fn of(tally: Tally, promise: Promise) -> Self {
        let (calls, idm) = (tally.figures, tally.idm);
        let mut findings =
            Self { faults: BTreeMap::new(), calls: calls.clone(), figures: Map::new(), reasons: Vec::new() };
        for (what, count) in [
            ("calls without an end", calls.hung),
            ("changes or logins that ran twice", calls.doubled),
            ("changes that were reported as done but did not run", calls.lost),
            ("changes that ran although their callers got an error that says otherwise", calls.denied),
            ("wrong answers that look right", calls.wrong),
        ] {
            findings.require(count == 0, format!("{count} {what}"));
        }
        if promise != Promise::ClearErrors {
            let lost = calls.disconnected;
            findings.require(lost == 0, format!("{lost} calls lost their connection to the router"));
            findings.require(calls.reads_failed == 0, format!("{} reads failed", calls.reads_failed));
            let suspected = calls.suspected;
            findings.require(suspected == 0, format!("{suspected} reads were treated as poison"));
        }
        if promise == Promise::EveryCallServed {
            let failed = calls.changes_failed;
            findings.require(failed == 0, format!("{failed} changes or logins were refused"));
        }
        findings.require(calls.ok > 0, "no call succeeded".to_owned());
        if let Some(idm) = idm {
            idm.complaints(promise).into_iter().for_each(|complaint| findings.require(false, complaint));
            findings.figure("java_idm", idm);
        }
        findings
    }

    /// Fails the drill with this reason unless it is so.
    pub(crate) fn require(&mut self, so: bool, reason: impl Into<String>) {
        if !so {
            self.reasons.push(reason.into());
        }
    }

    /// Adds a figure.
    pub(crate) fn figure(&mut self, name: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.figures.insert(name.to_owned(), value);
    }

    /// Adds times, which must stay within a bound: their 99th percentile, or their median if they are so few that one of them, for
    /// which the machine may have had no time, is the 99th percentile.
    pub(crate) fn times(&mut self, name: &str, times: &[Duration], bound: Option<Duration>) {
        let quantiles = Times::of(times);
        if let Some(bound) = bound {
            let bound = bound.as_secs_f64() * 1000.0;
            let (which, judged) = match quantiles.samples {
                0..JUDGED_BY_P99 => ("median", quantiles.p50_ms),
                _ => ("p99", quantiles.p99_ms),
            };
            let samples = quantiles.samples;
            let reason = format!(
                "{name}: {which} {judged:?} ms of {samples} samples, more than the allowed {bound} ms"
            );
            self.require(judged.is_some_and(|judged| judged <= bound), reason);
        }
        self.figure(name, quantiles);
    }

    /// Counts a fault that was done.
    pub(crate) fn fault(&mut self, kind: &str, times: u64) {
        *self.faults.entry(kind.to_owned()).or_default() += times;
    }

    /// Takes in the findings of another part of the drill: its reasons and faults, and its calls under that name.
    pub(crate) fn include(&mut self, part: &str, other: Self) {
        self.reasons.extend(other.reasons.into_iter().map(|reason| format!("{part}: {reason}")));
        other.faults.into_iter().for_each(|(kind, times)| self.fault(&kind, times));
        let mut figures = json!(other.calls);
        merge(&mut figures, Value::Object(other.figures));
        self.figures.insert(part.to_owned(), figures);
    }

    /// Whether everything is as promised.
    pub(crate) fn passed(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// A drill that was run.
pub(crate) struct Done {
    pub(crate) name: &'static str,
    pub(crate) members: &'static str,
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    /// What it found, or why it could not be run.
    pub(crate) outcome: Result<Findings, String>,
}

impl Done {
    /// Whether it went as promised.
    pub(crate) fn passed(&self) -> bool {
        self.outcome.as_ref().is_ok_and(Findings::passed)
    }

    /// One line for programs.
    pub(crate) fn json(&self) -> String {
        let seconds = (self.took.as_secs_f64() * 10.0).round() / 10.0;
        let mut line =
            json!({ "drill": self.name, "members": self.members, "seed": self.seed, "seconds": seconds });
        let rest = match &self.outcome {
            Err(why) => json!({ "verdict": "fail", "reasons": [why] }),
            Ok(findings) => {
                let mut rest = json!(findings.calls);
                merge(&mut rest, Value::Object(findings.figures.clone()));
                let verdict = if findings.passed() { "pass" } else { "fail" };
                merge(
                    &mut rest,
                    json!({ "faults": findings.faults, "verdict": verdict, "reasons": findings.reasons }),
                );
                rest
            }
        };
        merge(&mut line, rest);
        line.to_string()
    }

    /// The table's head.
    pub(crate) fn heading() -> String {
        format!(
            "{:<20} {:<8} {:>6} {:>6} {:>7} {:>7} {:>5} {:>5} {:>6} {:>5} {:>7} {:>4}  verdict",
            "drill",
            "members",
            "s",
            "faults",
            "calls",
            "ok",
            "unkn",
            "cut",
            "failed",
            "hung",
            "doubled",
            "lost"
        )
    }

    /// Its row for people, with the reasons below if it failed.
    pub(crate) fn row(&self) -> String {
        let mut row = format!("{:<20} {:<8} {:>6.1}", self.name, self.members, self.took.as_secs_f64());
        match &self.outcome {
            Err(why) => {
                let _ = write!(row, "  FAIL\n    {why}");
            }
            Ok(findings) => {
                let calls = &findings.calls;
                let _ = write!(
                    row,
                    " {:>6} {:>7} {:>7} {:>5} {:>5} {:>6} {:>5} {:>7} {:>4}  {}",
                    findings.faults.values().sum::<u64>(),
                    calls.calls,
                    calls.ok,
                    calls.unknown,
                    calls.streams_cut,
                    calls.reads_failed + calls.changes_failed,
                    calls.hung,
                    calls.doubled,
                    calls.lost,
                    if findings.passed() { "pass" } else { "FAIL" },
                );
                for reason in &findings.reasons {
                    let _ = write!(row, "\n    {reason}");
                }
                if !findings.passed() {
                    for example in &calls.examples {
                        let _ = write!(row, "\n      e.g. {example}");
                    }
                }
            }
        }
        row
    }
}

/// Adds an object's fields to another one.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_wrong_fails_a_drill_and_says_why() {
        let mut tally = Tally::default();
        tally.figures.ok = 1;
        let findings = |promise, change: fn(&mut Figures)| {
            let mut tally = Tally::default();
            tally.figures.ok = 1;
            change(&mut tally.figures);
            Findings::of(tally, promise)
        };
        assert!(findings(Promise::EveryCallServed, |_| {}).passed());
        for change in [
            (|f| f.hung = 1) as fn(&mut Figures),
            |f| f.doubled = 1,
            |f| f.lost = 1,
            |f| f.denied = 1,
            |f| f.wrong = 1,
            |f| f.ok = 0,
        ] {
            let findings = findings(Promise::ClearErrors, change);
            assert_eq!((findings.passed(), findings.reasons.len()), (false, 1));
        }
        assert!(!findings(Promise::ReadsServed, |f| f.reads_failed = 1).passed());
        assert!(findings(Promise::ReadsServed, |f| f.changes_failed = 1).passed());
        assert!(!findings(Promise::EveryCallServed, |f| f.changes_failed = 1).passed());
        assert!(findings(Promise::ClearErrors, |f| f.reads_failed = 1).passed());
    }
}
