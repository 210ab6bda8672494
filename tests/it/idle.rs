//! What a router costs that has nothing to do: 100 members, each with its probes in every layer: ping, session check, the connector's `test`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rcs_proto::frames;
use rcs_proto::icf::Value;
use rcs_proto::messages::{OperationRequest, TestOpRequest};
use rcs_rig::configured::Configured;
use rcs_rig::metrics::Metrics;
use rcs_rig::provider::Provider;
use rcs_rig::router::Router;
use rcs_rig::scripted::{CONNECTOR_INFOS, FakeIdm, FakeMember, Manners};
use rcs_rig::wait::{hold, wait_until};
use rcs_rig::workspace;
use tempfile::TempDir;

const MEMBERS: usize = 100;
/// A group has 64 members at most.
const GROUPS: [&str; 2] = ["left", "right"];
const SOCKETS: u32 = 2;
/// Configurations in use, so that every member is tested with one after the other.
const FACADES: usize = 4;
const MEASURED: Duration = Duration::from_secs(20);
/// Of one core, in percent: the goal, and what a build without optimization may take.
const PERCENT_MAX: f64 = if cfg!(debug_assertions) { 5.0 } else { 1.0 };
/// The unit of the times in /proc/PID/stat, which Linux tells every program in this unit, whatever it counts in itself.
const TICK: Duration = Duration::from_millis(10);

/// Which layers of probes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probes {
    All,
    /// No `test` of connectors.
    NoTests,
    /// Session checks only.
    NoTestsNoPings,
}

#[test]
fn a_hundred_idle_members_cost_little() {
    let percent = cost(Probes::All);
    assert!(percent < PERCENT_MAX, "{percent:.2} % of a core");
}

/// What each layer adds. Each figure takes 20 s, so with `RCS_LONG=1` only.
#[test]
fn each_layer_of_probes_has_its_price() {
    if std::env::var_os("RCS_LONG").is_none() {
        println!("left out without RCS_LONG=1");
        return;
    }
    let [all, no_tests, bare] = [Probes::All, Probes::NoTests, Probes::NoTestsNoPings].map(cost);
    println!(
        "of one core, {MEMBERS} members with {SOCKETS} sockets: session checks and the router's own clock {bare:.2} %, pings {:.2} %, tests of connectors {:.2} %",
        no_tests - bare,
        all - no_tests
    );
    assert!(all < PERCENT_MAX, "{all:.2} % of a core");
}

/// Processor time of a router with these probes, in percent of one core.
fn cost(probes: Probes) -> f64 {
    let scratch = workspace::scratch();
    let members: Vec<FakeMember> =
        (0..MEMBERS).map(|at| FakeMember::listen(&name(at), Manners::Polite)).collect();
    let provider = provider(&scratch, &members, probes);
    let config = scratch.path().join("router.toml");
    fs::write(&config, "[defaults]\ntest_every = \"off\"\n").expect("the scratch folder takes a file");
    let config = ["--config", &config.to_string_lossy()];
    let options = if probes == Probes::All { &[][..] } else { &config[..] };
    let mut router = Router::start_with(&provider, options);
    wait_until("all members up", Duration::from_secs(60), || up(&router) == Some(MEMBERS));
    let _idms = GROUPS.map(|group| use_connectors(&router, group));
    let pings = || -> usize {
        members.iter().flat_map(FakeMember::sockets).map(|socket| socket.pings_received()).sum()
    };
    // Past the first round of all probes.
    hold("the members are idle", Duration::from_secs(6), || true);

    let (before, pinged) = (processor_time(&mut router), pings());
    let since = Instant::now();
    hold("the members are idle", MEASURED, || true);
    let (used, pinged) = (processor_time(&mut router) - before, pings() - pinged);
    let percent = used.as_secs_f64() / since.elapsed().as_secs_f64() * 100.0;
    println!(
        "{probes:?}: {used:?} in {:?} with {MEMBERS} members, {percent:.2} % of a core; {pinged} pings",
        since.elapsed()
    );
    wait_until("an answer", Duration::from_secs(10), || up(&router).is_some());
    assert_eq!(up(&router), Some(MEMBERS), "the members are not idle, but lost");
    assert_eq!(pinged > 0, probes != Probes::NoTestsNoPings, "pings are what they should be");
    percent
}

/// A caller of the group that has used each configuration once.
fn use_connectors(router: &Router, group: &str) -> FakeIdm {
    let mut idm = FakeIdm::connect(router.listen(), &format!("/openicf/{group}"), 2);
    for facade in 0..FACADES {
        let rig = Configured::of(CONNECTOR_INFOS, "RigConnector")
            .with("storeFile", Value::String(format!("journal-{facade}")));
        let id = idm.call(&OperationRequest { test: Some(TestOpRequest {}), ..rig.request() });
        assert!(idm.answer(id).answer().is_some());
    }
    // The session stays, as an IDM's does.
    idm.socket(0).send(&frames::control_request(99, frames::Ask::Check, &[], &[]));
    idm
}

fn provider(scratch: &TempDir, members: &[FakeMember], probes: Probes) -> PathBuf {
    let names: Vec<String> = (0..MEMBERS).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let servers = names.iter().zip(members);
    let provider = servers.fold(Provider::new(), |p, (name, member)| p.server(name, member.port(), SOCKETS));
    let halves = names.chunks(MEMBERS / GROUPS.len()).zip(GROUPS);
    let provider = halves.fold(provider, |p, (half, group)| p.group(group, "roundrobin", half));
    let file = provider.write(scratch.path());
    if probes == Probes::NoTestsNoPings {
        let text = fs::read_to_string(&file).expect("it was written just now");
        let text = text.replace("\"principal\"", "\"pingPongInterval\":0,\"principal\"");
        fs::write(&file, text).expect("it can be written again");
    }
    file
}

fn name(at: usize) -> String {
    format!("n{at}")
}

/// Members that are up, unless the router is too busy to tell.
fn up(router: &Router) -> Option<usize> {
    Metrics::try_scrape(router.admin()).ok().map(|metrics| metrics.sum("rcs_member_up", &[]) as usize)
}

/// Processor time of the router so far, all threads, in user and kernel mode.
fn processor_time(router: &mut Router) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", router.process().pid()));
    let stat = stat.expect("Linux tells a process's times");
    // Behind the name, which may hold anything: state is the first field, utime and stime are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<u32>().ok()).expect("a time");
    TICK * (ticks(11) + ticks(12))
}
