//! The two text formats of `/metrics`, and which of them a scraper gets.
//!
//! The encoder writes OpenMetrics 1.0. The older text format 0.0.4 is the default for requests without an `Accept` header, because every
//! scraper reads it. The older format differs in a few lines: HELP and TYPE name a counter with its `_total`, a help text escapes no
//! quotes, and there is no line for the end.

use std::collections::BTreeSet;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for. OpenMetrics is chosen if the header prefers it to plain text, or weights both alike.
    pub(crate) fn accepted(accept: &str) -> Self {
        let weight = |of: &dyn Fn(&str) -> bool| {
            let ranges = accept.split(',').filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let is_of_it = of(&parts.next()?.to_ascii_lowercase());
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok());
                is_of_it.then_some(weight.unwrap_or(1.0))
            });
            ranges.fold(0.0_f64, f64::max)
        };
        let open = weight(&|range| range == "application/openmetrics-text");
        let text = weight(&|range| range == "text/plain");
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// The content type of this format.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Turns metrics in OpenMetrics into the text format 0.0.4.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut counters: BTreeSet<&str> = BTreeSet::new();
    for line in open_metrics.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|line| line.strip_suffix(" counter")) {
            counters.insert(name);
        }
    }
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        match line.strip_prefix("# ").map(|line| line.splitn(3, ' ').collect::<Vec<_>>()).as_deref() {
            Some(["EOF"] | ["UNIT", ..]) => continue,
            Some([kind @ ("HELP" | "TYPE"), name, rest]) => {
                let total = if counters.contains(name) { "_total" } else { "" };
                let rest = if *kind == "HELP" { rest.replace("\\\"", "\"") } else { (*rest).to_owned() };
                text.push_str(&format!("# {kind} {name}{total} {rest}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_the_format_that_it_wishes_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/plain", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            (prometheus, Format::OpenMetrics),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.3", Format::Text),
            ("application/openmetrics-text;q=0, text/plain", Format::Text),
            (";;,,q=,text/plain;q=nan", Format::Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_names_counters_with_their_total_and_has_no_end() {
        let open = "# HELP a_calls Calls \\\"so\\\".\n# TYPE a_calls counter\na_calls_total{x=\"1\"} 2\n\
                    # HELP a_time Time.\n# TYPE a_time histogram\na_time_sum 0.5\na_time_count 1\n# UNIT a_time seconds\n# EOF\n";
        assert_eq!(
            classic(open),
            "# HELP a_calls_total Calls \"so\".\n# TYPE a_calls_total counter\na_calls_total{x=\"1\"} 2\n\
             # HELP a_time Time.\n# TYPE a_time histogram\na_time_sum 0.5\na_time_count 1\n"
        );
    }
}
