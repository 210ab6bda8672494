//! What a measurement collects, and which quantiles it may show.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Samples of one measurement. Only answered calls have a latency; the others are counted by what went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// From the intended start to the last frame, ns.
    latency: Histogram<u64>,
    /// How late the generator was to start calls, ns; large values mean that the generator is the bottleneck.
    lateness: Histogram<u64>,
    errors: BTreeMap<String, u64>,
    /// The first call of each kind of error.
    examples: BTreeMap<String, Example>,
    rows: u64,
    /// How long was measured.
    pub(crate) span: Duration,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) latency: Duration,
    pub(crate) lateness: Duration,
    /// Objects of a stream.
    pub(crate) outcome: Result<u64, Fault>,
}

/// What went wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The kind of fault, in one word.
    pub(crate) kind: String,
    pub(crate) example: Example,
}

/// One of the calls that failed in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Example {
    /// The number of the call. The first call of the program has the number 1.
    pub(crate) call: u64,
    /// The router's own sentence, with the id under which the router explains the call. A connector's sentence may hold values of
    /// attributes (P9), so it is left out.
    pub(crate) text: Option<String>,
}

/// The figures of a measurement.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Answered calls.
    pub(crate) ok: u64,
    /// Calls that failed, by what went wrong.
    pub(crate) errors: BTreeMap<String, u64>,
    /// The first call of each kind of error.
    pub(crate) examples: BTreeMap<String, Example>,
    /// Objects in the answers of streams.
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    /// Answered calls a second.
    pub(crate) rate: f64,
    pub(crate) latency_us: Quantiles,
    pub(crate) generator_late_us: Quantiles,
}

/// Quantiles in microseconds; one is absent where fewer than ten samples lie beyond it, since it would be noise.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) samples: u64,
    pub(crate) mean: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p90: Option<f64>,
    pub(crate) p99: Option<f64>,
    #[serde(rename = "p99.9")]
    pub(crate) p999: Option<f64>,
    pub(crate) max: Option<f64>,
}

impl Default for Record {
    fn default() -> Self {
        let histogram = || Histogram::new(3).expect("three significant digits are allowed");
        Self {
            latency: histogram(),
            lateness: histogram(),
            errors: BTreeMap::new(),
            examples: BTreeMap::new(),
            rows: 0,
            span: Duration::ZERO,
        }
    }
}

impl Record {
    pub(crate) fn add(&mut self, sample: Sample) {
        note(&mut self.lateness, sample.lateness);
        match sample.outcome {
            Ok(rows) => {
                self.rows += rows;
                note(&mut self.latency, sample.latency);
            }
            Err(Fault { kind, example }) => {
                *self.errors.entry(kind.clone()).or_default() += 1;
                self.note_example(kind, example);
            }
        }
    }

    /// Adds what another round measured.
    pub(crate) fn merge(&mut self, other: &Self) {
        let fits = "histograms that grow take each other's samples";
        self.latency.add(&other.latency).expect(fits);
        self.lateness.add(&other.lateness).expect(fits);
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        for (kind, example) in &other.examples {
            self.note_example(kind.clone(), example.clone());
        }
        self.rows += other.rows;
        self.span += other.span;
    }

    fn note_example(&mut self, kind: String, example: Example) {
        let kept = self.examples.entry(kind).or_insert_with(|| example.clone());
        if example.call < kept.call {
            *kept = example;
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        let seconds = self.span.as_secs_f64();
        let ok = self.latency.len();
        Figures {
            ok,
            errors: self.errors.clone(),
            examples: self.examples.clone(),
            rows: self.rows,
            seconds,
            rate: if seconds > 0.0 { ok as f64 / seconds } else { 0.0 },
            latency_us: quantiles(&self.latency),
            generator_late_us: quantiles(&self.lateness),
        }
    }
}

/// Longest latency that is told from a longer one; it bounds the histograms' memory.
const LONGEST: Duration = Duration::from_secs(86_400);

fn note(histogram: &mut Histogram<u64>, length: Duration) {
    let nanos = u64::try_from(length.min(LONGEST).as_nanos()).expect("a day in nanoseconds fits");
    histogram.record(nanos).expect("the histogram grows as needed");
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let samples = histogram.len();
    let micros = |ns: f64| (ns / 100.0).round() / 10.0;
    let at = |quantile: f64| {
        let beyond = samples as f64 * (1.0 - quantile);
        // A little slack for what 1 - 0.999 is not.
        (beyond >= 9.999).then(|| micros(histogram.value_at_quantile(quantile) as f64))
    };
    Quantiles {
        samples,
        mean: (samples > 0).then(|| micros(histogram.mean())),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: (samples > 0).then(|| micros(histogram.max() as f64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(samples: u64) -> Record {
        let mut record = Record::default();
        for sample in 1..=samples {
            let latency = Duration::from_micros(sample);
            record.add(Sample { latency, lateness: Duration::ZERO, outcome: Ok(0) });
        }
        record
    }

    #[test]
    fn a_quantile_is_shown_only_with_ten_samples_beyond_it() {
        for (samples, p50, p99, p999) in [
            (0, false, false, false),
            (19, false, false, false),
            (20, true, false, false),
            (1000, true, true, false),
            (10_000, true, true, true),
        ] {
            let shown = record(samples).figures().latency_us;
            assert_eq!(
                (shown.p50.is_some(), shown.p99.is_some(), shown.p999.is_some()),
                (p50, p99, p999),
                "{samples}"
            );
        }
        let p99 = record(10_000).figures().latency_us.p99.unwrap();
        assert!((9_890.0..9_910.0).contains(&p99), "{p99}");
    }

    #[test]
    fn errors_have_no_latency_and_rounds_add_up() {
        let mut record = record(30);
        let failed = Sample {
            latency: Duration::from_secs(9),
            lateness: Duration::ZERO,
            outcome: Err(Fault { kind: "Lost".to_owned(), example: Example { call: 9, text: None } }),
        };
        record.add(failed);
        record.note_example("Lost".to_owned(), Example { call: 3, text: None });
        record.note_example("Lost".to_owned(), Example { call: 11, text: None });
        record.span = Duration::from_secs(3);
        let other = record.clone();
        record.merge(&other);
        let figures = record.figures();
        assert_eq!((figures.ok, figures.errors["Lost"], figures.rate), (60, 2, 10.0));
        assert!(figures.latency_us.max.unwrap() < 31.0);
        assert_eq!(figures.examples["Lost"].call, 3, "the first one");
    }
}
