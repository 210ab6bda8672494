//! The table for people and the JSON for programs. Both carry the parameters and the machine: a figure alone says nothing.

use std::fmt::Write as _;

use rcs_cli::{Exit, Failure};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{CallerArgs, CompareArgs, LoadArgs, WorkArgs};
use crate::machine::Machine;
use crate::record::{Figures, Quantiles};

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

/// What the way through the router adds to each quantile, microseconds.
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
    row(&mut table, "latency", &figures.latency_us);
    if arguments.rate.is_some() {
        row(&mut table, "generator late", &figures.generator_late_us);
    }
    line(
        &mut table,
        format_args!(
            "ok {} ({:.0}/s), rows {}, errors {}",
            figures.ok,
            figures.rate,
            figures.rows,
            errors(figures)
        ),
    );
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
    line(&mut table, format_args!("throughput, calls/s   median   lowest  highest   errors"));
    for (name, rounds, median, figures) in [
        ("direct", &throughput.direct_rounds, throughput.direct, &throughput.direct_figures),
        ("via", &throughput.via_rounds, throughput.via, &throughput.via_figures),
    ] {
        let lowest = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = rounds.iter().copied().fold(0.0, f64::max);
        line(
            &mut table,
            format_args!("{name:<20} {median:>8.0} {lowest:>8.0} {highest:>8.0}   {}", errors(figures)),
        );
    }
    line(&mut table, format_args!("via / direct         {:>8.3}", throughput.ratio));
    line(&mut table, format_args!(""));
    row_heading(&mut table);
    row(&mut table, "direct", &latency.direct.latency_us);
    row(&mut table, "via", &latency.via.latency_us);
    let added = &latency.added_us;
    line(
        &mut table,
        format_args!(
            "{:<16} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "added",
            "",
            cell(added.p50),
            "",
            cell(added.p99),
            cell(added.p999)
        ),
    );
    row(&mut table, "generator late", &latency.via.generator_late_us);
    line(&mut table, format_args!("errors direct {}, via {}", errors(&latency.direct), errors(&latency.via)));
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
            "{:<16} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "microseconds", "samples", "p50", "p90", "p99", "p99.9", "max", "mean"
        ),
    );
}

fn row(table: &mut String, name: &str, q: &Quantiles) {
    line(
        table,
        format_args!(
            "{name:<16} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            q.samples,
            cell(q.p50),
            cell(q.p90),
            cell(q.p99),
            cell(q.p999),
            cell(q.max),
            cell(q.mean)
        ),
    );
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

fn errors(figures: &Figures) -> String {
    if figures.errors.is_empty() {
        return "none".to_owned();
    }
    let counts: Vec<String> = figures.errors.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    counts.join(", ")
}

fn line(table: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(table, "{text}").expect("writing to a String cannot fail");
}
