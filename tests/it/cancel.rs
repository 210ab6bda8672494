//! A thousand searches that nobody waits for any more: their callers cancel, leave, or let a deadline pass. Within two seconds no
//! member runs any of them (known of the Java server as OPENICF-3543).

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rcs_proto::frames;
use rcs_proto::icf::{OperationOptions, Value};
use rcs_proto::legacy::Wire;
use rcs_proto::messages::{
    OperationRequest, Script, ScriptContext, ScriptOnConnectorOpRequest, SearchOpRequest,
};
use rcs_rig::configured::Configured;
use rcs_rig::java::Java;
use rcs_rig::node::Node;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::Rcs;
use rcs_rig::router::Router;
use rcs_rig::scripted::{FakeIdm, Manners};
use rcs_rig::wait::{hold, wait_until};
use rcs_rig::workspace;

use crate::fleet::path;
use crate::site::{GROUP, JavaSite, MEMBERS};

/// From the last search that was given up to the last member at rest.
const AT_REST_WITHIN: Duration = Duration::from_secs(2);

/// Searches that are open at once, by the way they are given up.
struct Wave {
    cancelled: usize,
    /// Callers that leave, and searches of each.
    left: (usize, usize),
    overdue: usize,
    /// Of the overdue ones. By then all have begun.
    deadline: Duration,
}

impl Wave {
    fn searches(&self) -> usize {
        self.cancelled + self.left.0 * self.left.1 + self.overdue
    }
}

#[test]
fn a_thousand_searches_given_up_leave_nothing_running_on_java_members() {
    let name = "cancel::a_thousand_searches_given_up_leave_nothing_running_on_java_members";
    let Some(java) = Java::or_skip(name) else { return };
    let site = JavaSite::start(&java);
    let router = site.router("roundrobin", 2);
    let journal = site.journal("journal");
    journal.seed(2_000, 10);
    let infos = FakeIdm::connect(router.listen(), &path(), 1).ask_for_connectors(Duration::from_secs(5));
    let rig = Configured::of(&infos, "RigConnector")
        .with("storeFile", Value::String(journal.path().to_string_lossy().into_owned()))
        .with("rowMillis", Value::Long(50));
    let mut counters = site.members.each_ref().map(|member| Counter::at(member, &rig));
    let wave = Wave { cancelled: 42, left: (3, 14), overdue: 41, deadline: Duration::from_millis(1_500) };
    give_up_a_thousand(&router, &rig, &wave, || counters.iter_mut().map(Counter::running).sum());
}

/// A node does not tell what runs; but a search that runs costs processor time, and one that is blocked towards the router has
/// its thread asleep in a write. So at rest no thread runs, and none has run for a while.
#[test]
fn a_thousand_searches_given_up_leave_nothing_running_on_nodes() {
    let scratch = workspace::scratch();
    let rows: String = (1..=8_000).map(|n| format!("u{n},{}\n", "x".repeat(40))).collect();
    let file = scratch.path().join("accounts.csv");
    fs::write(&file, format!("uid,pad\n{rows}")).expect("the scratch folder takes a file");
    let mut nodes = MEMBERS.map(|name| {
        let folder = scratch.path().join(name);
        fs::create_dir(&folder).expect("the scratch folder takes a folder");
        Node::start(&folder)
    });
    let provider =
        MEMBERS.iter().zip(&nodes).fold(Provider::new(), |p, (n, node)| p.server(n, node.port(), 2));
    let router = Router::start(&provider.group(GROUP, "roundrobin", &MEMBERS).write(scratch.path()));
    router.await_up(GROUP, &MEMBERS);
    let infos = FakeIdm::connect(router.listen(), &path(), 1).ask_for_connectors(Duration::from_secs(5));
    let csv = Configured::of(&infos, "CSVFileConnector")
        .with("csvFile", Value::File(file.to_string_lossy().into_owned()))
        .with("headerUid", Value::String("uid".to_owned()));
    let pids = nodes.each_mut().map(|node| node.process().pid());
    // A node runs 64 at a time (its limit), and these run at full speed.
    let wave = Wave { cancelled: 17, left: (2, 8), overdue: 17, deadline: Duration::from_millis(2_000) };
    give_up_a_thousand(&router, &csv, &wave, || pids.iter().map(|pid| working_threads(*pid)).sum());
}

/// Gives up waves of searches, and waits after each until `running`, summed over the members, is 0.
fn give_up_a_thousand(
    router: &Router,
    connector: &Configured,
    wave: &Wave,
    mut running: impl FnMut() -> usize,
) {
    let waves = 1_000 / wave.searches();
    assert_eq!(waves * wave.searches(), 1_000);
    let search = |connector: &Configured| {
        let options = OperationOptions { case_insensitive: false, entries: Vec::new() }.encode();
        let object_class = "__ACCOUNT__".to_owned();
        let search = SearchOpRequest { object_class, filter: Bytes::new(), options };
        OperationRequest { search: Some(search), ..connector.request() }
    };
    let endless = search(connector);
    let limited = search(&connector.clone().with_timeout("SearchApiOp", wave.deadline));
    let mut idm = FakeIdm::connect(router.listen(), &path(), 2);
    let (mut slowest, mut busiest) = (Duration::ZERO, 0);
    for number in 0..waves {
        let mut leavers: Vec<FakeIdm> =
            (0..wave.left.0).map(|_| FakeIdm::connect(router.listen(), &path(), 1)).collect();
        let overdue: Vec<i64> = (0..wave.overdue).map(|n| idm.call_on(n % 2, &limited)).collect();
        let begun = Instant::now();
        let cancelled: Vec<i64> = (0..wave.cancelled).map(|n| idm.call_on(n % 2, &endless)).collect();
        for leaver in &mut leavers {
            for _ in 0..wave.left.1 {
                leaver.call(&endless);
            }
        }
        // All are at the members, and some have answered with rows.
        let started = |idm: &mut FakeIdm| {
            idm.inbox.next("a row", |f| f.answer().is_some_and(|a| a.search.is_some())).id()
        };
        started(&mut idm);
        for leaver in &mut leavers {
            started(leaver);
        }
        // On a busy machine the deadline of the rest may pass meanwhile.
        let to_give_up = wave.searches() - wave.overdue;
        wait_until("all are under way", Duration::from_secs(10), || in_flight(router) >= to_give_up);
        busiest = busiest.max(running());

        for (n, id) in cancelled.iter().enumerate() {
            // Cancels come on any socket.
            idm.socket((n + 1) % 2).send(&frames::cancel(*id));
        }
        for (n, leaver) in leavers.iter().enumerate() {
            if n % 2 == 0 { leaver.socket(0).reset() } else { leaver.socket(0).finish() }
        }
        hold("the deadline of the rest comes", wave.deadline.saturating_sub(begun.elapsed()), || true);
        let given_up = Instant::now();
        wait_until("no call is in flight", AT_REST_WITHIN, || in_flight(router) == 0);
        wait_until("no member runs one", AT_REST_WITHIN.saturating_sub(given_up.elapsed()), || {
            running() == 0
        });
        slowest = slowest.max(given_up.elapsed());
        for id in overdue {
            let error =
                idm.inbox.next("the end of an overdue search", |f| f.id() == id && f.error().is_some());
            let class = error.error().map(|e| e.exception_class.as_str()).unwrap_or_default();
            assert!(class.ends_with(".OperationTimeoutException"), "wave {number}: {class}");
        }
    }
    println!(
        "{waves} waves of {}: up to {busiest} seen running at once; at rest at the latest {slowest:?} after the last was given up",
        wave.searches()
    );
    assert!(busiest > 0, "none was seen running: this proves nothing");
}

fn in_flight(router: &Router) -> usize {
    router.metrics().sum("rcs_calls_in_flight", &[("group", GROUP)]) as usize
}

/// Asks a Java member, past the router, how many searches it runs.
struct Counter {
    idm: FakeIdm,
    question: OperationRequest,
}

impl Counter {
    fn at(member: &Rcs, rig: &Configured) -> Self {
        // It leaves the member's own question alone: the answer might be refused, under the id of ours (WIRE 7.1).
        let server = ([127, 0, 0, 1], member.port()).into();
        let mut idm = FakeIdm::new(server, "/openicf", Manners::OnlyHandshake);
        let socket = idm.dial();
        idm.shake_hands(&socket);
        hold("what arrives sooner is refused (WIRE 7.1)", Duration::from_millis(250), || {
            !idm.socket(0).is_closed()
        });
        let script = Script { script_language: "groovy".to_owned(), script_text: "running".to_owned() };
        let none = Value::Map { case_insensitive: false, entries: Vec::new() }.encode();
        let context = ScriptContext { script: Some(script), script_arguments: none };
        let options = OperationOptions { case_insensitive: false, entries: Vec::new() }.encode();
        let ask = ScriptOnConnectorOpRequest { script_context: Some(context), options };
        Self { idm, question: OperationRequest { script_on_connector: Some(ask), ..rig.request() } }
    }

    fn running(&mut self) -> usize {
        let id = self.idm.call(&self.question);
        let answer = self.idm.answer(id);
        let said = answer.answer().and_then(|a| a.script_on_connector.as_ref());
        let said = said.unwrap_or_else(|| unreachable!("the member does not count: {answer:?}"));
        match Value::decode(&said.object) {
            Ok(Value::String(number)) => number.parse().expect("a number"),
            other => unreachable!("{other:?}"),
        }
    }
}

/// Threads of a process that run now, or have run within the last 50 ms.
fn working_threads(pid: u32) -> usize {
    let before = threads(Path::new(&format!("/proc/{pid}/task")));
    hold("threads that run show it", Duration::from_millis(50), || true);
    let after = threads(Path::new(&format!("/proc/{pid}/task")));
    let works = |(id, state, ticks): &(String, String, u64)| {
        state == "R" || before.iter().any(|(known, _, then)| known == id && then < ticks)
    };
    after.iter().filter(|thread| works(thread)).count()
}

/// Id, state and processor time of each thread.
fn threads(tasks: &Path) -> Vec<(String, String, u64)> {
    let Ok(entries) = fs::read_dir(tasks) else { return Vec::new() };
    let stats = entries.flatten().filter_map(|e| fs::read_to_string(e.path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            let (name, rest) = stat.rsplit_once(") ")?;
            let fields: Vec<&str> = rest.split(' ').collect();
            let time = |at: usize| fields.get(at)?.parse::<u64>().ok();
            Some((name.to_owned(), (*fields.first()?).to_owned(), time(11)? + time(12)?))
        })
        .collect()
}
