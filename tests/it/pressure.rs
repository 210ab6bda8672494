//! One caller of a hundred stalls in a search of rows of 1 KB from a real Java RCS, and then reads slowly (P10, P13): 20,000
//! rows; with `RCS_PRESSURE_LONG=1` 100,000, a stall of 30 s as well, and then all rows at 100 a second.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use rcs_proto::icf::{ConnectorInfo, Value};
use rcs_proto::legacy::{Wire as _, facade_key};
use rcs_proto::messages::{ConnectorKey, OperationRequest, ValidateOpRequest};
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, Frame, Manners, Socket};
use rcs_rig::wait::{hold, wait_until};

use crate::answers::search_request;
use crate::site::{GROUP, JavaSite, MEMBERS};

const ROWS: i64 = 20_000;
const ROWS_LONG: i64 = 100_000;
const ROW_BYTES: usize = 1024;
/// Time between two calls of the others.
const PAUSE: Duration = Duration::from_millis(5);
/// Beside the one that stalls.
const OTHERS: usize = 99;
/// Rows at 100 a second before the caller reads as it can.
const SLOW_ROWS: i64 = 300;
const SLOW_ROW: Duration = Duration::from_millis(10);
/// What the router may take at most (ARCHITECTURE, "Only rows go to disk"): of 100,000 rows, less than they have themselves.
const RSS_KIB_MAX: u64 = 96 << 10;
/// What of the p99 of others is noise of a machine of two processors that runs Java too.
const NOISE: Duration = Duration::from_millis(30);

#[test]
fn one_of_a_hundred_sessions_stalls_and_the_others_do_not_notice() {
    let Some(java) = Java::or_skip("pressure::one_of_a_hundred_sessions_stalls_and_the_others_do_not_notice")
    else {
        return;
    };
    let long = std::env::var_os("RCS_PRESSURE_LONG").is_some();
    let site = JavaSite::start(&java);
    let journal = site.journal("journal");
    let rows = if long { ROWS_LONG } else { ROWS };
    journal.seed(rows as usize, ROW_BYTES);
    let spill = site.scratch.path().join("spill");
    fs::create_dir(&spill).expect("a folder can be made");
    let spill_dir = spill.to_str().expect("a readable path");
    let mut router = Router::start_with(&site.provider("failover", 2), &["--spill-dir", spill_dir]);
    router.await_up(GROUP, &MEMBERS);
    let mut others = Others::connect(&router, &journal);
    let quiet = others.p99_until(Duration::from_secs(2), || true);
    let (fast, beside_fast) = search(&router, &journal, &mut others, Duration::ZERO, 0);
    assert_eq!(fast, Ok(rows));
    println!("others' p99: quiet {quiet:?}, beside a reader that keeps up {beside_fast:?}");
    let stalls = [(300, SLOW_ROWS), (3_000, SLOW_ROWS), (30_000, rows)];
    for (stall_ms, slow_rows) in stalls.into_iter().take(if long { 3 } else { 2 }) {
        let stall = Duration::from_millis(stall_ms);
        let (got, beside) = search(&router, &journal, &mut others, stall, slow_rows);
        let rss = peak_rss_kib(&mut router);
        println!(
            "stall {stall:?}, then {slow_rows} rows at 100/s: {got:?}; others' p99 {beside:?}; router's peak RSS {rss} KiB"
        );
        assert_eq!(got, Ok(rows), "all rows");
        assert!(rss < RSS_KIB_MAX, "{rss} KiB");
        assert!(beside <= beside_fast.mul_f64(1.1) + NOISE, "{beside:?} beside {beside_fast:?}");
    }
    wait_until("nothing waits any more", Duration::from_secs(10), || {
        router.metrics().sum("rcs_backlog_bytes", &[]) == 0.0
    });
    assert_eq!(fs::read_dir(&spill).expect("it is there").count(), 0, "spill files have no names");
    println!(
        "the same caller without a router, stall 3 s: {:?} of {rows} rows",
        directly(&site, &journal, rows)
    );
}

/// What the same caller gets from the member itself.
fn directly(site: &JavaSite, journal: &Journal, all: i64) -> Result<i64, String> {
    let address = ([127, 0, 0, 1], site.members[0].port()).into();
    let mut idm = caller(address, "/openicf");
    let request = configured(&mut idm, journal, search_request());
    let id = idm.call(&request);
    idm.socket(0).stall();
    hold("the caller does not read", Duration::from_secs(3), || true);
    idm.socket(0).read_on();
    let got = rows(&mut idm, id, |_| {});
    assert!(got != Ok(all), "nothing to save anybody from");
    got
}

/// A search whose caller stalls, reads some rows slowly, and then the rest; and the others' p99 until the caller had what the
/// member sent.
fn search(
    router: &Router,
    journal: &Journal,
    others: &mut Others,
    stall: Duration,
    slow_rows: i64,
) -> (Result<i64, String>, Duration) {
    let mut idm = caller(router.listen(), &format!("/openicf/{GROUP}"));
    let request = configured(&mut idm, journal, search_request());
    let socket = std::sync::Arc::clone(idm.socket(0));
    let start = Instant::now();
    let id = idm.call(&request);
    if !stall.is_zero() {
        socket.stall();
    }
    let reading = std::thread::spawn(move || {
        if !stall.is_zero() {
            hold("the caller does not read", stall, || true);
        }
        if slow_rows > 0 {
            socket.pace(SLOW_ROW);
        }
        socket.read_on();
        rows(&mut idm, id, |row| keep_pace(&socket, row, slow_rows))
    });
    let is_in_flight = || router.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]) >= 1.0;
    let beside = others.p99_until(Duration::from_secs(120), || !is_in_flight() && start.elapsed() > stall);
    (reading.join().expect("the reader ends"), beside)
}

fn keep_pace(socket: &Socket, row: i64, slow_rows: i64) {
    if row == slow_rows {
        socket.pace(Duration::ZERO);
    }
}

/// Callers that ask small things all the time, one after the other.
struct Others {
    idms: Vec<FakeIdm>,
    request: OperationRequest,
    turn: usize,
}

impl Others {
    fn connect(router: &Router, journal: &Journal) -> Self {
        let path = format!("/openicf/{GROUP}");
        let mut idms: Vec<FakeIdm> =
            (0..OTHERS).map(|_| FakeIdm::connect(router.listen(), &path, 1)).collect();
        let validate = OperationRequest { validate: Some(ValidateOpRequest {}), ..Default::default() };
        let request = configured(&mut idms[0], journal, validate);
        Self { idms, request, turn: 0 }
    }

    /// Goes on until `is_over`, for a second at least; the 99th percentile of the calls' times.
    fn p99_until(&mut self, bound: Duration, mut is_over: impl FnMut() -> bool) -> Duration {
        let start = Instant::now();
        let mut times = Vec::new();
        let mut looked = start;
        while start.elapsed() < bound {
            self.turn = (self.turn + 1) % self.idms.len();
            let idm = &mut self.idms[self.turn];
            let asked = Instant::now();
            let id = idm.call(&self.request);
            let answer = idm.answer(id);
            times.push(asked.elapsed());
            hold("the pause between two calls", PAUSE, || true);
            assert!(answer.answer().is_some(), "{answer:?}");
            if looked.elapsed() > Duration::from_millis(200) {
                looked = Instant::now();
                if start.elapsed() > Duration::from_secs(1) && is_over() {
                    break;
                }
            }
        }
        times.sort();
        times[times.len() * 99 / 100]
    }
}

fn caller(server: std::net::SocketAddr, path: &str) -> FakeIdm {
    let mut idm = FakeIdm::new(server, path, Manners::Polite);
    let socket = idm.dial_with_receive_buffer(64 << 10);
    idm.shake_hands(&socket);
    // A member takes nothing in its first moments (WIRE 7.1).
    hold("the member has stored the handshake", Duration::from_millis(300), || true);
    idm
}

/// The request with the key of the rig connector, and its configuration with the journal.
fn configured(idm: &mut FakeIdm, journal: &Journal, request: OperationRequest) -> OperationRequest {
    let infos = idm.ask_for_connectors(Duration::from_secs(10));
    let infos = Vec::<ConnectorInfo>::decode(&infos).expect("a readable list");
    let rig =
        infos.iter().find(|info| info.key.connector_name.ends_with("RigConnector")).expect("it is there");
    let mut configuration = rig.configuration.clone().expect("a connector has a configuration");
    let file = configuration.properties.iter_mut().find(|property| property.name == "storeFile");
    file.expect("the rig connector has one").value = Value::String(journal.path().display().to_string());
    let key = ConnectorKey {
        bundle_name: rig.key.bundle_name.clone(),
        bundle_version: rig.key.bundle_version.clone(),
        connector_name: rig.key.connector_name.clone(),
    };
    OperationRequest {
        connector_key: Some(key),
        connector_facade_key: facade_key::encode(&configuration),
        ..request
    }
}

/// Takes a search's answer to its end, as a peer does: by the rows' numbers, for two sockets of a member overtake each other, and
/// what a member could not send at once it sends twice (WIRE 5.3). The number of rows if none is missing, or the error.
fn rows(idm: &mut FakeIdm, id: i64, mut seen: impl FnMut(i64)) -> Result<i64, String> {
    let mut got = HashSet::new();
    let mut end = None;
    while end != Some(got.len() as i64) {
        let frame =
            idm.inbox.next_within("a row, the end or an error", Duration::from_secs(60), |f: &Frame| {
                f.answers(id)
            });
        if let Some(error) = frame.error() {
            return Err(format!("{}: {}", error.exception_class, error.message));
        }
        let row = frame.answer().and_then(|a| a.search.as_ref()).expect("a search frame");
        match row.connector_object {
            Some(_) => {
                got.insert(row.sequence);
                seen(got.len() as i64);
            }
            None => end = Some(row.sequence),
        }
    }
    let count = got.len() as i64;
    assert!(got.iter().all(|row| (1..=count).contains(row)), "the end does not count the rows that came");
    Ok(count)
}

fn peak_rss_kib(router: &mut Router) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", router.process().pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
