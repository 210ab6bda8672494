//! `rcs-bench compare`: two targets in turns, ABAB, so that what the machine does besides falls on both.

use rcs_cli::{Exit, Failure};

use crate::arguments::CompareArgs;
use crate::load::{Side, Span};
use crate::progress::{step, watched};
use crate::record::{Quantiles, Record};
use crate::report::{self, Added, Comparison, Latency, Throughput};

/// The two sides, in the order of their turns.
const SIDES: [&str; 2] = ["direct", "via"];

/// `rcs-bench compare`
pub(crate) async fn run(arguments: CompareArgs) -> Result<(), Failure> {
    let direct = Side::connect(&arguments.direct, &arguments.caller, None, &arguments.work).await?;
    let via_key = arguments.via_key_file.as_deref();
    let via = Side::connect(&arguments.via, &arguments.caller, via_key, &arguments.work).await?;
    let throughput = throughput(&arguments, &direct, &via).await;
    if throughput.direct == 0.0 || throughput.via == 0.0 {
        let side = if throughput.direct == 0.0 { "--direct" } else { "--via" };
        let errors =
            if throughput.direct == 0.0 { &throughput.direct_figures } else { &throughput.via_figures };
        return Err(
            Exit::Unavailable.with(format!("every call to {side} failed: {}", report::errors(errors)))
        );
    }
    let rate = arguments.rate.unwrap_or(throughput.direct.min(throughput.via) / 2.0);
    let latency = latency(&arguments, &direct, &via, rate).await?;
    direct.close(arguments.work.keep).await;
    via.close(arguments.work.keep).await;
    let comparison = Comparison { throughput, latency };
    report::comparison(&arguments, &comparison)?;
    match arguments.require_ratio {
        Some(least) if comparison.throughput.ratio < least => Err(Exit::Unavailable
            .with(format!("the ratio {:.3} is below the required {least}", comparison.throughput.ratio))),
        _ => Ok(()),
    }
}

fn span(arguments: &CompareArgs) -> Span {
    Span { warmup: arguments.warmup, measured: arguments.turn }
}

async fn throughput(arguments: &CompareArgs, direct: &Side, via: &Side) -> Throughput {
    let (mut totals, mut rates) = ([Record::default(), Record::default()], [Vec::new(), Vec::new()]);
    for round in 1..=arguments.rounds {
        for (at, side) in [direct, via].into_iter().enumerate() {
            let line = |_| format!("throughput, round {round} of {}, {} ...", arguments.rounds, SIDES[at]);
            let record = watched(side.closed_loop(arguments.concurrency, span(arguments)), line).await;
            rates[at].push(record.figures().rate);
            totals[at].merge(&record);
        }
        step(format_args!(
            "throughput, round {round} of {}: {:.0} direct, {:.0} via",
            arguments.rounds,
            last(&rates[0]),
            last(&rates[1])
        ));
    }
    let [direct_rounds, via_rounds] = rates;
    let [direct_total, via_total] = totals;
    let (direct, via) = (median(&direct_rounds), median(&via_rounds));
    Throughput {
        direct_rounds,
        via_rounds,
        direct,
        via,
        ratio: if direct > 0.0 { via / direct } else { 0.0 },
        direct_figures: direct_total.figures(),
        via_figures: via_total.figures(),
    }
}

async fn latency(arguments: &CompareArgs, direct: &Side, via: &Side, rate: f64) -> Result<Latency, Failure> {
    let mut totals = [Record::default(), Record::default()];
    for round in 1..=arguments.rounds {
        for (at, side) in [direct, via].into_iter().enumerate() {
            let line = |_| format!("latency, round {round} of {}, {} ...", arguments.rounds, SIDES[at]);
            totals[at].merge(&watched(side.open_loop(rate, span(arguments)), line).await?);
        }
        step(format_args!("latency at {rate:.0} calls/s, round {round} of {}", arguments.rounds));
    }
    let [direct, via] = totals.map(|record| record.figures());
    let added_us = added(&direct.latency_us, &via.latency_us);
    Ok(Latency { rate, direct, via, added_us })
}

/// A difference below zero is noise: no way through a router makes calls faster.
fn added(direct: &Quantiles, via: &Quantiles) -> Added {
    let minus = |via: Option<f64>, direct: Option<f64>| {
        Some(((via? - direct?) * 10.0).round() / 10.0).filter(|added| *added >= 0.0)
    };
    Added {
        p50: minus(via.p50, direct.p50),
        p99: minus(via.p99, direct.p99),
        p999: minus(via.p999, direct.p999),
    }
}

fn last(rates: &[f64]) -> f64 {
    rates.last().copied().unwrap_or_default()
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_added_where_the_way_through_the_router_was_faster() {
        let quantiles =
            |p50, p99| Quantiles { samples: 1000, mean: None, p50, p90: None, p99, p999: None, max: None };
        let added = added(&quantiles(Some(100.0), Some(500.0)), &quantiles(Some(250.04), Some(400.0)));
        assert_eq!((added.p50, added.p99, added.p999), (Some(150.0), None, None));
    }

    #[test]
    fn medians_of_odd_and_even_rounds() {
        for (rates, expected) in [(&[][..], 0.0), (&[3.0], 3.0), (&[9.0, 1.0, 5.0], 5.0), (&[4.0, 2.0], 3.0)]
        {
            assert_eq!(median(rates), expected, "{rates:?}");
        }
    }
}
