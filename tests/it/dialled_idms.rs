//! Three real Java IDMs that the router dials, with connections that live for 5 s, under load for minutes (P02, P08, P11).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rcs_rig::idm::{Idm, Load, sockets_of};
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::Rcs;
use rcs_rig::router::Router;
use rcs_rig::wait::hold;
use rcs_rig::{transcript, workspace};

use crate::bounds::PATIENCE;
use crate::site::GROUP;

/// How long the IDMs call.
const TIME: Duration = Duration::from_secs(5 * 60);
const MEMBERS: [&str; 2] = ["n1", "n2"];
/// What is wanted to each URL, and how many there may be at most while one is replaced (docs/client-mode.md).
const CONNECTIONS: usize = 3;
const CONNECTIONS_MAX: usize = CONNECTIONS + 1;
const TTL: Duration = Duration::from_secs(5);
/// Calls at a time of each IDM: half of them read, half create.
const CALLS: usize = 4;
/// How often the connections are counted.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Sets of IDMs that are started until each IDM of one has the connectors. Two 1.8.0 peers lose the list now and then when they meet (WIRE 7.1).
const ATTEMPTS: usize = 5;

/// The time is what this is about, so with `RCS_LONG=1` only. The short form is that of one URL (router/tests/it/idms.rs).
#[test]
fn three_urls_with_connections_of_5_s_lose_no_call_in_5_minutes() {
    if std::env::var_os("RCS_LONG").is_none() {
        println!("left out without RCS_LONG=1");
        return;
    }
    let Some(java) =
        Java::or_skip("dialled_idms::three_urls_with_connections_of_5_s_lose_no_call_in_5_minutes")
    else {
        return;
    };
    let scratch = workspace::scratch();
    let members = MEMBERS.map(|name| Rcs::start(&java, name));
    let mut provider = Provider::new();
    for member in &members {
        provider = provider.server(member.member(), member.port(), 2);
    }
    let provider = provider.group(GROUP, "roundrobin", &MEMBERS).write(scratch.path());
    let config = scratch.path().join("router.toml");
    fs::write(&config, "").expect("scratch is there");
    let mut router = Router::start_with(&provider, &["--config", &config.display().to_string()]);
    router.await_up(GROUP, &MEMBERS);

    let mut idms =
        (0..ATTEMPTS).find_map(|attempt| dialled(&java, &config, attempt)).expect("one set has the list");
    let journal = Journal::new(scratch.path(), "journal");
    for (number, (idm, _)) in idms.iter_mut().enumerate() {
        idm.ok(&journal.use_command());
        if number == 0 {
            idm.ok("create name=u0");
        }
    }
    for (number, (idm, _)) in idms.iter_mut().enumerate() {
        idm.begin(&format!("load get+create {CALLS} {} u0 w{number}", TIME.as_secs()));
    }
    let pid = router.process().pid();
    let mut counts = idms.each_ref().map(|_| Counts::default());
    let mut looked = Instant::now();
    hold("never more connections than stated", TIME, || {
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            for ((_, port), counts) in idms.iter().zip(&mut counts) {
                counts.look(sockets_of(pid, *port));
            }
        }
        counts.iter().all(|counts| counts.most <= CONNECTIONS_MAX)
    });
    let loads = idms.each_mut().map(|(idm, _)| idm.load_answer_within(PATIENCE));
    let replaced = router.metrics().sum("rcs_sockets_rotated_total", &[("side", "downstream")]);
    for (load, counts) in loads.iter().zip(&counts) {
        println!(
            "{} calls answered, {} failed, {} threads hung, the slowest took {:.0} ms; {} to {} connections at a time, {} in all",
            load.ok,
            load.err,
            load.hung_threads,
            load.worst_ms,
            counts.least,
            counts.most,
            counts.all.len()
        );
    }
    println!("{replaced} connections were replaced");
    let failed: Vec<&Load> = loads.iter().filter(|load| load.err > 0 || load.hung_threads > 0).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let expected = (3 * CONNECTIONS) as f64 * (TIME.as_secs_f64() / TTL.as_secs_f64() / 2.0);
    assert!(replaced >= expected, "{replaced} connections were replaced, {expected} at least were due");
    assert!(counts.iter().all(|counts| counts.least >= 1), "an IDM was without a connection");
    let twice: Vec<_> = journal.writes("CREATE").into_iter().filter(|(_, times)| *times > 1).collect();
    assert!(twice.is_empty(), "written twice: {twice:?}");
}

/// Connections of the router to one IDM.
struct Counts {
    least: usize,
    most: usize,
    all: BTreeSet<(u16, u64)>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { least: usize::MAX, most: 0, all: BTreeSet::new() }
    }
}

impl Counts {
    fn look(&mut self, now: BTreeSet<(u16, u64)>) {
        self.least = self.least.min(now.len());
        self.most = self.most.max(now.len());
        self.all.extend(now);
    }
}

/// Three IDMs with their ports, which the router dials as the processes behind one name. None if one of them does not get the connectors.
fn dialled(java: &Java, config: &Path, attempt: usize) -> Option<[(Idm, u16); 3]> {
    let mut idms = [0; 3].map(|_| Idm::listen(java));
    let key = config.with_file_name("idm.key");
    fs::write(&key, "changeit\n").expect("scratch is there");
    let urls: Vec<String> = idms.iter().map(|(_, port)| format!("ws://127.0.0.1:{port}/openicf/0")).collect();
    let table = format!(
        "[idm.cloud{attempt}]\nurl = {urls:?}\ngroup = {GROUP:?}\nprincipal = \"anonymous\"\nkey_file = {key:?}\n\
         connections = {CONNECTIONS}\nnew_connections_interval = \"0s\"\nconnection_ttl = \"{}s\"\n",
        TTL.as_secs()
    );
    fs::write(config, table).expect("scratch is there");
    let have = idms.iter_mut().all(|(idm, _)| idm.ask("connectors 2 20") == transcript::CONNECTORS);
    have.then_some(idms)
}
