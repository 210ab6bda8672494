//! Collects the routers' audit log, of which each router keeps the latest entries only.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::LOOK_EVERY;
use super::servers::Servers;
use super::writers;
use crate::drill::router::http;

/// Entries that a router keeps (router/core/src/agreed/limits.rs: `AUDIT_ENTRIES_MAX`).
const KEPT: usize = 4_096;
/// At 300 writes a second a router keeps an entry for 13 s.
const READ_EVERY: Duration = Duration::from_secs(2);
/// Seconds.
const DAY: i64 = 24 * 60 * 60;
/// Seconds by which the time of an entry may differ from the one that is looked for.
const DATED_WITHIN: i64 = 5 * 60;

/// An entry, as `GET /v1/audit` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Entry {
    index: u64,
    /// By the clock of the router that proposed the change, as `2026-11-29T07:51:23Z`.
    at: String,
    from: String,
    line: String,
    result: String,
}

/// The whole log, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The index of the last entry, and how many entries have it.
    last: (u64, usize),
    /// The numbers of writes, in the order of the log.
    pub(crate) numbers: Vec<u32>,
    /// Times that entries were dropped before they were read.
    pub(crate) missed: u64,
}

impl Audit {
    /// Takes in the entries that are new.
    fn add(&mut self, entries: &[Entry]) {
        let (known, mut known_at) = self.last;
        if entries.len() >= KEPT && entries.first().is_some_and(|oldest| oldest.index >= known) {
            self.missed += 1;
        }
        for entry in entries.iter().filter(|entry| entry.index >= known) {
            if entry.index == known && known_at > 0 {
                known_at -= 1;
                continue;
            }
            match entry.index == self.last.0 {
                true => self.last.1 += 1,
                false => self.last = (entry.index, 1),
            }
            self.numbers.extend(writers::number(&entry.from));
        }
    }
}

/// Reads the log regularly. It ends with this value.
pub(crate) struct Auditor {
    audit: Arc<Mutex<Audit>>,
    reading: JoinHandle<()>,
}

impl Auditor {
    /// Begins.
    pub(crate) fn start(servers: Servers, mut dice: fastrand::Rng) -> Self {
        let audit: Arc<Mutex<Audit>> = Arc::default();
        let into = audit.clone();
        let reading = tokio::spawn(async move {
            loop {
                if let Some(server) = servers.any(&mut dice)
                    && let Some(entries) = entries(server).await
                {
                    lock(&into).add(&entries);
                }
                sleep(READ_EVERY).await;
            }
        });
        Self { audit, reading }
    }

    /// Reads what this router has now.
    pub(crate) async fn read(&self, server: SocketAddr) {
        if let Some(entries) = entries(server).await {
            lock(&self.audit).add(&entries);
        }
    }

    /// How many of these writes are not in the log that was read.
    pub(crate) fn missing(&self, numbers: &[u32]) -> usize {
        let audit = lock(&self.audit);
        let tail = audit.numbers.len().saturating_sub(2 * numbers.len() + 10_000);
        let known: std::collections::HashSet<u32> = audit.numbers[tail..].iter().copied().collect();
        numbers.iter().filter(|number| !known.contains(number)).count()
    }

    /// Ends, and gives the whole log.
    pub(crate) fn finish(self) -> Audit {
        std::mem::take(&mut *lock(&self.audit))
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// The entries that a router has.
pub(crate) async fn entries(server: SocketAddr) -> Option<Vec<Entry>> {
    let (_, text) = http(server, "GET", "/v1/audit").await?;
    serde_json::from_str(&text).ok()
}

/// Waits until the router has an entry whose time is so many seconds off the real time, give or take five minutes; false if it has none within
/// `bound`.
pub(crate) async fn until_dated(server: SocketAddr, seconds_off: i64, bound: Duration) -> bool {
    let end = Instant::now() + bound;
    while Instant::now() < end {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let wanted = now.cast_signed() + seconds_off;
        let is_dated = |entry: &Entry| {
            // Around midnight as well: 00:01 is two minutes behind 23:59.
            second_of_day(&entry.at).is_some_and(|at| {
                let off = (at - wanted).rem_euclid(DAY);
                off.min(DAY - off) <= DATED_WITHIN
            })
        };
        if entries(server).await.is_some_and(|all| all.iter().any(is_dated)) {
            return true;
        }
        sleep(LOOK_EVERY).await;
    }
    false
}

/// Of a moment such as `2026-11-29T07:51:23Z`.
fn second_of_day(at: &str) -> Option<i64> {
    let (_, time) = at.trim_end_matches('Z').split_once('T')?;
    time.split(':').try_fold(0, |sum, part| Some(sum * 60 + part.parse::<i64>().ok()?))
}

fn lock(audit: &Mutex<Audit>) -> MutexGuard<'_, Audit> {
    audit.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_second_of_its_day() {
        assert_eq!(second_of_day("2026-11-29T07:51:23Z"), Some(7 * 3_600 + 51 * 60 + 23));
        assert_eq!(second_of_day("yesterday"), None);
    }

    #[test]
    fn entries_are_taken_once_in_whatever_parts_they_come() {
        let entry = |index, number| Entry {
            index,
            at: "2026-11-29T07:51:23Z".to_owned(),
            from: writers::source(number).to_string(),
            line: String::new(),
            result: String::new(),
        };
        let mut audit = Audit::default();
        let all = [entry(3, 1), entry(5, 2), entry(5, 3), entry(5, 4), entry(9, 5)];
        audit.add(&all[..3]);
        audit.add(&all[..2]);
        audit.add(&all[..4]);
        audit.add(&all[1..]);
        assert_eq!((audit.numbers.as_slice(), audit.missed), ([1, 2, 3, 4, 5].as_slice(), 0));
        let later: Vec<Entry> = (0..KEPT).map(|at| entry(20 + at as u64, 6)).collect();
        audit.add(&later);
        assert_eq!(audit.missed, 1, "entries 10 to 19 may have been there");
    }
}
