//! Clients that write to random servers of a cluster without a pause. Each write has a number, which is in its source address on the
//! loopback: so the routers' audit log, which says where a change came from, names every single write.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::history::Write;
use super::servers::{Servers, request};

/// Writers; each has a member of its own, or a key.
pub(crate) const WRITERS: usize = 24;
/// The group of the members that are written to. Nobody listens at their addresses.
pub(crate) const WRITTEN_GROUP: &str = "w";
/// Mean time between two writes of a writer that is answered at once: some 280 writes a second of all.
const PACE: Duration = Duration::from_millis(85);
/// The same where writes only have to be there: some 20 a second of all, which a router without optimizations follows easily.
const SLOW_PACE: Duration = Duration::from_millis(1_200);
/// Where the numbers of writes begin: the addresses below are for everybody else on the machine.
const FIRST_SOURCE: u32 = u32::from_be_bytes([127, 1, 0, 0]);
/// A router answers within its own 3 s.
const ROUTER_BOUND: Duration = Duration::from_secs(4);
/// etcd lets a write that was lost with the leader wait for 7 s. A client that waited as long would see no leader for as long.
const ETCD_BOUND: Duration = Duration::from_secs(1);
/// Different sentences of refusals that are kept.
const SENTENCES_MAX: usize = 12;

/// How a server is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// The admin API of rcs-router.
    Router,
    /// The HTTP gateway of etcd.
    Etcd,
}

impl Api {
    /// Writes once. Returns the refusal, if it is not acknowledged.
    async fn write(self, server: SocketAddr, number: u32, writer: usize, odd: bool) -> Result<(), String> {
        let (path, body, bound) = match self {
            Self::Router => {
                let change = if odd { "drain" } else { "undrain" };
                let path = format!("/v1/groups/{WRITTEN_GROUP}/members/w{writer}/{change}?force=true");
                (path, String::new(), ROUTER_BOUND)
            }
            // Its gateway wants base64: words of 8 letters are base64 of something.
            Self::Etcd => {
                let body = format!(r#"{{"key":"w{writer:07}","value":"{number:08}"}}"#);
                ("/v3/kv/put".to_owned(), body, ETCD_BOUND)
            }
        };
        match request(source(number), server, ("POST", &path, &body), bound).await {
            Some((200, _)) => Ok(()),
            Some((status, body)) => Err(format!("{status} {}", body.chars().take(200).collect::<String>())),
            None => Err("no answer".to_owned()),
        }
    }
}

/// The address that a write comes from.
pub(crate) fn source(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST_SOURCE + number)
}

/// The number of the write that came from this address.
pub(super) fn number(source: &str) -> Option<u32> {
    u32::from(source.parse::<Ipv4Addr>().ok()?).checked_sub(FIRST_SOURCE)
}

/// Writers at work. They end with this value.
pub(crate) struct Writers {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    api: Api,
    pace: Duration,
    servers: Servers,
    stop: AtomicBool,
    next: AtomicU32,
    told: Mutex<Told>,
}

/// What writers were told.
#[derive(Default)]
pub(crate) struct Told {
    /// Every write.
    pub(crate) writes: Vec<Write>,
    /// Sentences of writes that were not acknowledged, and how often each was told.
    pub(crate) refusals: BTreeMap<String, u64>,
}

impl Writers {
    /// Begins, with numbers from 0 on.
    pub(crate) fn start(api: Api, servers: Servers, dice: &mut fastrand::Rng) -> Self {
        Self::start_behind(&Told::default(), api, servers, dice)
    }

    /// The same to routers, with fewer writes.
    pub(crate) fn start_slow(servers: Servers, dice: &mut fastrand::Rng) -> Self {
        Self::start_from(0, Api::Router, SLOW_PACE, servers, dice)
    }

    /// The same, with the numbers that follow on those of earlier writers.
    pub(crate) fn start_behind(earlier: &Told, api: Api, servers: Servers, dice: &mut fastrand::Rng) -> Self {
        let next = earlier.writes.iter().map(|write| write.number + 1).max().unwrap_or(0);
        Self::start_from(next, api, PACE, servers, dice)
    }

    fn start_from(next: u32, api: Api, pace: Duration, servers: Servers, dice: &mut fastrand::Rng) -> Self {
        let shared = Shared {
            api,
            pace,
            servers,
            stop: AtomicBool::new(false),
            next: AtomicU32::new(next),
            told: Mutex::default(),
        };
        let mut writers = Self { shared: Arc::new(shared), tasks: JoinSet::new() };
        for writer in 1..=WRITERS {
            let dice = fastrand::Rng::with_seed(dice.u64(..));
            writers.tasks.spawn(write_on(writers.shared.clone(), writer, dice));
        }
        writers
    }

    /// Waits until a write is acknowledged that began since then; false if none is within `bound`.
    pub(crate) async fn until_acknowledged_since(&self, since: Instant, bound: Duration) -> bool {
        let end = Instant::now() + bound;
        while !self.shared.told().writes.iter().rev().take(1_000).any(|w| w.acknowledged && w.began >= since)
        {
            if Instant::now() > end {
                return false;
            }
            sleep(Duration::from_millis(5)).await;
        }
        true
    }

    /// Numbers of the writes that were acknowledged up to now, beginning with the write at this place of the list; and the place for the
    /// next question.
    pub(crate) fn acknowledged(&self, from: usize) -> (Vec<u32>, usize) {
        let told = self.shared.told();
        let new = told.writes[from..].iter().filter(|write| write.acknowledged).map(|write| write.number);
        (new.collect(), told.writes.len())
    }

    /// Ends them, each with its answer.
    pub(crate) async fn finish(mut self) -> Told {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut *self.shared.told())
    }
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, write: Write, refusal: Option<String>) {
        let mut told = self.told();
        told.writes.push(write);
        if let Some(refusal) = refusal {
            let is_kept = told.refusals.len() < SENTENCES_MAX || told.refusals.contains_key(&refusal);
            let sentence = if is_kept { refusal } else { "others".to_owned() };
            *told.refusals.entry(sentence).or_default() += 1;
        }
    }
}

async fn write_on(shared: Arc<Shared>, writer: usize, mut dice: fastrand::Rng) {
    let mut odd = false;
    while !shared.stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        if let Some(server) = shared.servers.any(&mut dice) {
            let number = shared.next.fetch_add(1, Ordering::Relaxed);
            odd = !odd;
            let outcome = shared.api.write(server, number, writer, odd).await;
            let write = Write { number, began, ended: Instant::now(), acknowledged: outcome.is_ok() };
            shared.note(write, outcome.err());
        }
        sleep_until(began + shared.pace.mul_f64(0.5 + dice.f64())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_address_names_its_write() {
        for write in [0, 1, 70_000, 16_000_000] {
            assert_eq!(number(&source(write).to_string()), Some(write));
        }
        assert_eq!(number("127.0.0.1"), None);
        assert_eq!(number("router 1"), None);
    }
}
