//! The table for people and the JSON for programs. Both carry the parameters and the machine: a figure alone says nothing.

use std::fmt::Write as _;

use rcs_cli::{Exit, Failure};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{CallerArgs, CompareArgs, LoadArgs, WorkArgs};
use crate::machine::Machine;
use crate::record::{Figures, Quantiles};
use crate::units;

/// What `compare` measured.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) throughput: Throughput,
    pub(crate) latency: Latency,
}

/// Closed loop: calls a second, by round.
#[derive(Debug, Serialize)]
pub(crate) struct Throughput {
    pub(crate) direct_rounds: Vec<f64>,
    pub(crate) via_rounds: Vec<f64>,
    /// Medians of the rounds.
    pub(crate) direct: f64,
    pub(crate) via: f64,
    /// `via / direct`
    pub(crate) ratio: f64,
    pub(crate) direct_figures: Figures,
    pub(crate) via_figures: Figures,
}

/// Open loop at one rate for both.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) rate: f64,
    pub(crate) direct: Figures,
    pub(crate) via: Figures,
    pub(crate) added_us: Added,
}

/// What the way through the router adds to each quantile, in microseconds; absent where the difference is too small to be measured.
#[derive(Debug, Serialize)]
pub(crate) struct Added {
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    #[serde(rename = "p99.9")]
    pub(crate) p999: Option<f64>,
}

/// Prints what `load` measured.
pub(crate) fn load(arguments: &LoadArgs, figures: &Figures) -> Result<(), Failure> {
    let machine = Machine::here();
    let shape = match arguments.rate {
        Some(rate) => format!("open loop, {rate} calls/s"),
        None => format!("closed loop, {} callers", arguments.concurrency),
    };
    let parameters = json!({
        "url": arguments.url,
        "rate": arguments.rate,
        "concurrency": arguments.rate.is_none().then_some(arguments.concurrency),
        "duration_s": arguments.duration.as_secs_f64(),
        "warmup_s": arguments.warmup.as_secs_f64(),
        "caller": caller(&arguments.caller),
        "work": work(&arguments.work),
    });
    let mut table = String::new();
    heading(&mut table, &machine, &arguments.work, &arguments.caller);
    line(&mut table, format_args!("{} · {shape} · {:?}", arguments.url, arguments.duration));
    row_heading(&mut table);
    row(&mut table, "calls", &figures.latency_us);
    if arguments.rate.is_some() {
        row(&mut table, "generator late", &figures.generator_late_us);
    }
    examples(&mut table, "", figures);
    line(&mut table, format_args!("{}", verdict(figures)));
    print(arguments.json, &table, &json!({ "parameters": parameters, "machine": machine, "result": figures }))
}

/// Prints what `compare` measured.
pub(crate) fn comparison(arguments: &CompareArgs, comparison: &Comparison) -> Result<(), Failure> {
    let machine = Machine::here();
    let parameters = json!({
        "direct": arguments.direct,
        "via": arguments.via,
        "concurrency": arguments.concurrency,
        "rounds": arguments.rounds,
        "turn_s": arguments.turn.as_secs_f64(),
        "warmup_s": arguments.warmup.as_secs_f64(),
        "caller": caller(&arguments.caller),
        "work": work(&arguments.work),
    });
    let (throughput, latency) = (&comparison.throughput, &comparison.latency);
    let mut table = String::new();
    heading(&mut table, &machine, &arguments.work, &arguments.caller);
    line(
        &mut table,
        format_args!(
            "{} rounds of {:?} a side, in turns · {} callers, then {:.0} calls/s",
            arguments.rounds, arguments.turn, arguments.concurrency, latency.rate
        ),
    );
    line(&mut table, format_args!(""));
    line(
        &mut table,
        format_args!("{:<15} {:>9} {:>9} {:>9}  errors", "calls/s", "median", "lowest", "highest"),
    );
    for (name, rounds, median, figures) in [
        ("direct", &throughput.direct_rounds, throughput.direct, &throughput.direct_figures),
        ("via", &throughput.via_rounds, throughput.via, &throughput.via_figures),
    ] {
        let lowest = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = rounds.iter().copied().fold(0.0, f64::max);
        let [median, lowest, highest] = [median, lowest, highest].map(units::rate);
        line(
            &mut table,
            format_args!("{name:<15} {median:>9} {lowest:>9} {highest:>9}  {}", errors(figures)),
        );
    }
    line(&mut table, format_args!("{:<15} {:>9.3}", "via / direct", throughput.ratio));
    line(&mut table, format_args!(""));
    row_heading(&mut table);
    row(&mut table, "direct", &latency.direct.latency_us);
    row(&mut table, "via", &latency.via.latency_us);
    let added = &latency.added_us;
    let cells =
        [added.p50, None, added.p99, added.p999].map(|value| value.map_or(String::new(), units::time));
    let [p50, p90, p99, p999] = cells;
    line(&mut table, format_args!("{:<15} {:>9} {p50:>8} {p90:>8} {p99:>8} {p999:>8}", "added", ""));
    row(&mut table, "generator late", &latency.via.generator_late_us);
    for (name, figures) in [
        ("direct: ", &throughput.direct_figures),
        ("via: ", &throughput.via_figures),
        ("direct: ", &latency.direct),
        ("via: ", &latency.via),
    ] {
        examples(&mut table, name, figures);
    }
    line(&mut table, format_args!(""));
    line(&mut table, format_args!("{}", compared(comparison)));
    print(
        arguments.json,
        &table,
        &json!({ "parameters": parameters, "machine": machine, "result": comparison }),
    )
}

fn print(as_json: bool, table: &str, document: &impl Serialize) -> Result<(), Failure> {
    if !as_json {
        rcs_cli::say_part(table);
        return Ok(());
    }
    rcs_cli::tell_part(table);
    let text = serde_json::to_string_pretty(document);
    rcs_cli::say(text.map_err(|error| Exit::Internal.with(format!("the result is no JSON: {error}")))?);
    Ok(())
}

fn caller(arguments: &CallerArgs) -> serde_json::Value {
    json!({ "sockets": arguments.sockets, "timeout_s": arguments.timeout.as_secs_f64(), "max_outstanding": arguments.max_outstanding })
}

/// Names only: values of properties and attributes may be secrets (P9).
fn work(arguments: &WorkArgs) -> serde_json::Value {
    let names = |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    json!({
        "op": arguments.op,
        "connector": arguments.connector,
        "object_class": arguments.object_class,
        "properties": names(&arguments.properties),
        "attributes": names(&arguments.attributes),
    })
}

fn heading(table: &mut String, machine: &Machine, work: &WorkArgs, caller: &CallerArgs) {
    line(
        table,
        format_args!(
            "rcs-bench {} ({}) · {} cores, {} · {}",
            machine.version, machine.profile, machine.cores, machine.cpu, machine.os
        ),
    );
    line(
        table,
        format_args!("op {:?} · object class {} · {} sockets", work.op, work.object_class, caller.sockets),
    );
}

fn row_heading(table: &mut String) {
    line(
        table,
        format_args!(
            "{:<15} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "latency", "samples", "p50", "p90", "p99", "p99.9", "max", "mean"
        ),
    );
}

fn row(table: &mut String, name: &str, q: &Quantiles) {
    let cells = [q.p50, q.p90, q.p99, q.p999, q.max, q.mean].map(cell);
    let [p50, p90, p99, p999, max, mean] = cells;
    let samples = units::count(q.samples);
    line(
        table,
        format_args!("{name:<15} {samples:>9} {p50:>8} {p90:>8} {p99:>8} {p999:>8} {max:>8} {mean:>8}"),
    );
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), units::time)
}

/// Each kind of error, how often it happened, and its first call.
fn examples(table: &mut String, side: &str, figures: &Figures) {
    for (kind, count) in &figures.errors {
        let Some(example) = figures.examples.get(kind) else { continue };
        let text = example.text.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
        line(
            table,
            format_args!(
                "error  {side}{kind}, {}, the first was call {}{text}",
                units::of(*count, "time"),
                units::count(example.call)
            ),
        );
    }
}

/// What a load found, in a sentence.
fn verdict(figures: &Figures) -> String {
    let failed: u64 = figures.errors.values().sum();
    if figures.ok == 0 {
        return format!("No call was answered in {:.1} s: {}.", figures.seconds, errors(figures));
    }
    let within =
        |share: &str, value: Option<f64>| value.map(|value| format!("{share} within {}", units::time(value)));
    let times: Vec<String> =
        [within("half of them", figures.latency_us.p50), within("99 of 100", figures.latency_us.p99)]
            .into_iter()
            .flatten()
            .collect();
    let times = if times.is_empty() { String::new() } else { format!(", {}", times.join(", ")) };
    let rows = if figures.rows > 0 { format!(", {}", units::of(figures.rows, "row")) } else { String::new() };
    let failed = match failed {
        0 => "No call failed.".to_owned(),
        _ => {
            let share = failed as f64 * 100.0 / (failed + figures.ok) as f64;
            format!("{} failed ({share:.2} %).", units::of(failed, "call"))
        }
    };
    format!(
        "{} answered in {:.1} s ({} calls/s{rows}){times}. {failed}",
        units::of(figures.ok, "call"),
        figures.seconds,
        units::rate(figures.rate)
    )
}

/// What a comparison found, in a sentence.
fn compared(comparison: &Comparison) -> String {
    let (throughput, latency) = (&comparison.throughput, &comparison.latency);
    let longer = |what: &str, added: Option<f64>| match added {
        Some(added) => format!("{what} takes {} longer", units::time(added)),
        None => format!("{what} takes no longer that could be measured"),
    };
    format!(
        "Through --via {:.0} % of the direct throughput is reached; at {} calls/s {}, and {}.",
        throughput.ratio * 100.0,
        units::rate(latency.rate),
        longer("the median call", latency.added_us.p50),
        longer("the slowest of 100", latency.added_us.p99)
    )
}

/// Errors by kind, with how often each happened.
pub(crate) fn errors(figures: &Figures) -> String {
    if figures.errors.is_empty() {
        return "none".to_owned();
    }
    let counts: Vec<String> =
        figures.errors.iter().map(|(kind, count)| format!("{} {kind}", units::count(*count))).collect();
    counts.join(", ")
}

fn line(table: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(table, "{text}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::{Example, Fault, Record, Sample};

    fn figures(ok: u64, failed: u64) -> Figures {
        let mut record = Record::default();
        record.span = Duration::from_secs(2);
        for call in 0..ok + failed {
            let text = Some("No member of group hr is available. (call 1f3a)".to_owned());
            let fault =
                Fault { kind: "ConnectorException".to_owned(), example: Example { call: call + 1, text } };
            let outcome = if call < ok { Ok(0) } else { Err(fault) };
            record.add(Sample { latency: Duration::from_micros(800), lateness: Duration::ZERO, outcome });
        }
        record.figures()
    }

    #[test]
    fn a_load_ends_with_a_sentence_and_shows_an_example_of_each_error() {
        for (ok, failed, sentence) in [
            (
                4000,
                0,
                "4,000 calls answered in 2.0 s (2,000 calls/s), half of them within 800 us, 99 of 100 within 800 us. No call failed.",
            ),
            (2, 2, "2 calls answered in 2.0 s (1.0 calls/s). 2 calls failed (50.00 %)."),
            (0, 3, "No call was answered in 2.0 s: 3 ConnectorException."),
        ] {
            assert_eq!(verdict(&figures(ok, failed)), sentence);
        }
        let mut table = String::new();
        examples(&mut table, "", &figures(2, 2));
        assert_eq!(
            table,
            "error  ConnectorException, 2 times, the first was call 3: No member of group hr is available. (call 1f3a)\n"
        );
    }

    #[test]
    fn rows_fit_a_terminal() {
        let mut table = String::new();
        row_heading(&mut table);
        row(&mut table, "generator late", &figures(20_000, 0).latency_us);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
}
