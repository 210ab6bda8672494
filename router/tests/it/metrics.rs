//! The text of `/metrics`: both formats are valid, and series exist before they count anything.

use std::collections::{BTreeMap, BTreeSet};

use rcs_rig::metrics::Metrics;
use rcs_rig::scripted::raw_exchange;
use rcs_rig::wait::wait_until;

use crate::support::{PATIENCE, Router, member, provider, scratch};

/// What a scraper with this `Accept` header gets: the content type and the text.
fn scrape(router: &Router, accept: &str) -> (String, String) {
    let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n{accept}Connection: close\r\n\r\n", router.admin);
    let answer = raw_exchange(router.admin, request.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let head = answer.head.to_ascii_lowercase();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    (kind.trim().to_owned(), answer.body)
}

/// A reader of both exposition formats, as strict as the formats are. HELP and TYPE come once, before the samples of their metric. The
/// samples of a metric stand together. Names and labels are well formed, no series comes twice, values are numbers, and histograms are
/// complete and cumulative.
fn read(text: &str, is_open: bool) -> BTreeMap<String, f64> {
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut samples: BTreeMap<String, f64> = BTreeMap::new();
    let mut current = "";
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(text.ends_with('\n'), "a line ends");
    let body = match is_open {
        true => text.strip_suffix("# EOF\n").expect("the end is marked"),
        false => text,
    };
    assert!(!body.contains("# EOF"), "in its place only");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            let rest = words.next().unwrap_or_default();
            assert!(is_name(name), "{line}");
            match kind {
                "HELP" => {
                    assert!(!rest.is_empty() && done.insert(name), "HELP once: {line}");
                    current = name;
                }
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                    assert!(types.insert(name, rest).is_none() && current == name, "TYPE once: {line}");
                    assert!(is_open || rest != "counter" || name.ends_with("_total"), "{line}");
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
            None => (series, ""),
        };
        let kind = types[current];
        let ends: &[&str] = match (kind, is_open) {
            ("counter", true) => &["_total"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        let fits = name.strip_prefix(current).is_some_and(|end| ends.contains(&end));
        assert!(is_name(name) && fits, "{line} stands under {current} ({kind})");
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (key, _) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(key), "{line}");
        }
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    for (series, count) in &samples {
        let Some((name, labels)) = series.split_once("_count{") else { continue };
        if types.get(name) == Some(&"histogram") {
            let of = format!("{name}_bucket{{");
            let labels = labels.trim_end_matches('}');
            let mut buckets: Vec<(f64, f64)> = samples
                .iter()
                .filter(|(bucket, _)| bucket.starts_with(&of) && bucket.contains(labels))
                .filter_map(|(bucket, value)| {
                    let edge = bucket.split("le=\"").nth(1)?.split('"').next()?;
                    Some((if edge == "+Inf" { f64::INFINITY } else { edge.parse().ok()? }, *value))
                })
                .collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "cumulative: {series}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{series}");
        }
    }
    samples
}

#[test]
fn both_formats_are_what_they_say_and_say_the_same() {
    let folder = scratch();
    let member = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &member)]), &["--dev"]);
    router.await_ready();
    let (plain, open) = (
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let mut names = Vec::new();
    for (accept, kind) in [("", plain), ("*/*", plain), ("text/plain", plain), (prometheus, open)] {
        let (shown, text) = scrape(&router, accept);
        assert_eq!(shown, kind, "{accept}");
        let samples = read(&text, kind == open);
        names.push(samples.into_keys().collect::<Vec<_>>());
    }
    assert!(names.windows(2).all(|pair| pair[0] == pair[1]), "the same series in every format");
}

/// An alert on the first call with an unknown outcome needs the series to exist at 0 before.
#[test]
fn series_of_calls_are_there_before_the_first_call() {
    let folder = scratch();
    let (first, second) = (member("n1"), member("n2"));
    let document = provider(&folder, &[("n1", &first)]);
    let router = Router::serve(&document, &["--dev"]);
    router.await_ready();
    let samples = || read(&scrape(&router, "").1, false);
    let series = |member: &str, op: &str, outcome: &str| {
        format!("rcs_calls_total{{group=\"g\",member=\"{member}\",op=\"{op}\",outcome=\"{outcome}\"}}")
    };
    let at_start = samples();
    for op in ["create", "update", "delete", "batch", "authenticate"] {
        assert_eq!(at_start.get(&series("n1", op, "unknown")), Some(&0.0), "{op}");
    }
    for outcome in ["ok", "connector_error", "unavailable", "cancelled", "deadline"] {
        assert_eq!(at_start.get(&series("n1", "get", outcome)), Some(&0.0), "{outcome}");
    }
    assert_eq!(
        at_start.get(&series("", "get", "unavailable")),
        Some(&0.0),
        "refused before a member was chosen"
    );
    assert_eq!(at_start.get(&series("n1", "get", "unknown")), None, "a read has no unknown outcome");
    assert_eq!(at_start.get(&series("n2", "get", "ok")), None);
    provider(&folder, &[("n1", &first), ("n2", &second)]);
    wait_until("a new member has its series", PATIENCE, || {
        samples().get(&series("n2", "create", "unknown")) == Some(&0.0)
    });
}

/// A call that was refused at once must not count as a fast call.
#[test]
fn failures_are_not_counted_as_fast_calls() {
    let folder = scratch();
    let mut first = member("n1");
    let router = Router::serve(&provider(&folder, &[("n1", &first)]), &["--dev"]);
    router.await_ready();
    let mut idm = router.idm("g");
    first.die();
    wait_until("the member is gone", PATIENCE, || {
        Metrics::scrape(router.admin).sum("rcs_member_state", &[("state", "down")]) == 1.0
    });
    let id = idm.call(&rcs_rig::scripted::validate_request());
    idm.answer(id);
    let metrics = Metrics::scrape(router.admin);
    assert_eq!(metrics.sum("rcs_call_duration_seconds_count", &[("group", "g")]), 0.0);
    let at_nobody = [("group", "g"), ("member", ""), ("outcome", "unavailable")];
    assert_eq!(metrics.sum("rcs_member_call_duration_seconds_count", &at_nobody), 1.0);
}

#[test]
fn the_process_its_version_and_its_files_are_described() {
    let folder = scratch();
    let first = member("n1");
    let document = provider(&folder, &[("n1", &first)]);
    let good = std::fs::read_to_string(&document).unwrap();
    let router = Router::serve(&document, &["--dev"]);
    let value = |name: &str| Metrics::scrape(router.admin).sum(name, &[]);
    assert_eq!(value("rcs_build_info"), 1.0);
    for name in ["process_resident_memory_bytes", "process_start_time_seconds", "process_max_fds"] {
        assert!(value(name) > 100.0, "{name}");
    }
    assert!(value("process_open_fds") > 3.0);
    assert_eq!(value("rcs_config_last_reload_successful"), 1.0);
    let before = value("rcs_config_last_reload_success_timestamp_seconds");
    assert!(before > 1.6e9, "{before}");
    std::fs::write(&document, "{").unwrap();
    wait_until("a bad file shows", PATIENCE, || value("rcs_config_last_reload_successful") == 0.0);
    assert_eq!(value("rcs_config_last_reload_success_timestamp_seconds"), before);
    std::fs::write(&document, good + " ").unwrap();
    wait_until("a good file shows", PATIENCE, || value("rcs_config_last_reload_successful") == 1.0);
    assert!(value("rcs_config_last_reload_success_timestamp_seconds") > before);
}
