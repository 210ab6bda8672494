//! What the router's admin address says: plain HTTP/1.1 and the Prometheus text format.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::scripted::raw_exchange;
use crate::wait::{PATIENCE, wait_for};

/// One scrape.
pub struct Metrics(Vec<Sample>);

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Scrapes `/metrics`.
    pub fn scrape(admin: SocketAddr) -> Self {
        match http_get(admin, "/metrics") {
            (200, body) => Self(body.lines().filter_map(sample).collect()),
            (status, body) => panic!("/metrics answered {status}: {body}"),
        }
    }

    /// [`Metrics::scrape`] of a router that may be too busy to answer in time; then its answer is the error.
    pub fn try_scrape(admin: SocketAddr) -> Result<Self, String> {
        match http(admin, "GET", "/metrics", "") {
            (200, body) => Ok(Self(body.lines().filter_map(sample).collect())),
            (status, body) => Err(format!("{status}: {body}")),
        }
    }

    /// The sum of all samples called `name` whose labels include `labels`; 0 if there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |s: &&Sample| {
            s.name == name && labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|w| w == v))
        };
        self.0.iter().filter(fits).map(|s| s.value).sum()
    }
}

/// `GET path`: status and body. While a router is too busy to answer within its own deadline (503, 504), it is asked again, except
/// for its health, where that is the answer.
pub fn http_get(server: SocketAddr, path: &str) -> (u16, String) {
    let is_health = ["/livez", "/readyz"].contains(&path);
    wait_for(&format!("{server} answers {path}"), PATIENCE, || {
        Some(http(server, "GET", path, "")).filter(|(status, _)| is_health || !matches!(status, 503 | 504))
    })
}

/// `POST path` without a body, with a router's token if there is one: status and body.
pub fn http_post(server: SocketAddr, path: &str, token: Option<&str>) -> (u16, String) {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    http(server, "POST", path, &format!("{token}Content-Length: 0\r\n"))
}

/// `POST path` with headers, each with its end, and a body: status and body. The answer may come before all is taken.
pub fn http_send(server: SocketAddr, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    http_request(server, "POST", path, headers, body)
}

/// The same with any method.
pub fn http_request(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> (u16, String) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let answer = raw_exchange(server, &[head.as_bytes(), body].concat());
    (answer.status, answer.body)
}

fn http(server: SocketAddr, method: &str, path: &str, headers: &str) -> (u16, String) {
    let mut socket =
        TcpStream::connect_timeout(&server, PATIENCE).unwrap_or_else(|e| panic!("no HTTP at {server}: {e}"));
    socket.set_read_timeout(Some(PATIENCE)).expect("a bound is set");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\n{headers}Connection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap_or_else(|e| panic!("{server} takes no request: {e}"));
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap_or_else(|e| panic!("{server} gives no answer to {path}: {e}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer}"));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {head}")), body.to_owned())
}

/// `name{label="value",...} 1.5`, or nothing for comments.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    if line.starts_with('#') {
        return None;
    }
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let pairs = labels.trim_end_matches('}').split("\",").filter_map(|pair| {
        let (key, value) = pair.split_once("=\"")?;
        Some((key.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: pairs.collect(), value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_name_labels_and_value() {
        let s = sample(r#"rcs_calls_total{group="g",member="n1",op="get",outcome="ok"} 12"#).unwrap();
        assert_eq!((s.name.as_str(), s.value), ("rcs_calls_total", 12.0));
        assert_eq!(s.labels["member"], "n1");
        assert_eq!(s.labels["outcome"], "ok");
        assert!(sample("# HELP rcs_calls_total calls").is_none());
        assert_eq!(sample("up 1").unwrap().value, 1.0);
    }
}
