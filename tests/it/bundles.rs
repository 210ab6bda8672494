//! One bundle set per group (P5): real Java RCS that are started with other bundles, under the load of a real Java IDM.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rcs_rig::agent::Agent;
use rcs_rig::bundles::{Bundles, RIG_VERSION};
use rcs_rig::idm::{Idm, Load};
use rcs_rig::java::Java;
use rcs_rig::journal::Journal;
use rcs_rig::metrics::{http_get, http_post};
use rcs_rig::provider::Provider;
use rcs_rig::rcs::Rcs;
use rcs_rig::router::Router;
use rcs_rig::scripted::FakeIdm;
use rcs_rig::wait::{hold, wait_for, wait_until};
use rcs_rig::workspace;
use serde_json::Value;
use tempfile::TempDir;

use crate::site::GROUP;

/// The version that comes after [`RIG_VERSION`].
const NEXT: &str = "1.0.0.1";
/// One that is outside the range of the upgrade.
const OUTSIDE: &str = "1.1.0.0";
/// The range of the callers' reference, and of the versions that may stand for each other.
const RANGE: &str = "[1.0.0.0,1.1.0.0)";

/// A member that listens is judged, and serves if it may, within this time: a router dials again after a second or two.
const JUDGED_BOUND: Duration = Duration::from_secs(10);
/// Starts of a server with its bundles in other orders; with `RCS_LONG=1` as many as the issue asks for.
const STARTS: usize = 3;
const STARTS_LONG: usize = 20;

/// Real Java RCS with bundles of their own, and a router in front.
struct Site {
    members: Vec<(Rcs, Bundles)>,
    router: Router,
    scratch: TempDir,
}

impl Site {
    fn start(java: &Java, names: &[&str]) -> Self {
        let site = Self::start_with(java, names, "");
        site.router.await_up(GROUP, names);
        site
    }

    /// The same with settings; where these want agents, the members are up once theirs have reported.
    fn start_with(java: &Java, names: &[&str], config: &str) -> Self {
        let scratch = workspace::scratch();
        let members: Vec<(Rcs, Bundles)> = names
            .iter()
            .map(|name| {
                let bundles = Bundles::new(java, scratch.path().join(name));
                (Rcs::start_with(java, name, bundles.folder()), bundles)
            })
            .collect();
        let mut provider = Provider::new();
        for (rcs, _) in &members {
            provider = provider.server(rcs.member(), rcs.port(), 2);
        }
        let document = provider.group(GROUP, "roundrobin", names).write(scratch.path());
        let settings = scratch.path().join("router.toml");
        fs::write(&settings, config).expect("the scratch folder takes a file");
        let router = Router::start_with(&document, &["--config", &settings.to_string_lossy()]);
        Self { members, router, scratch }
    }

    /// Stops a member, changes its bundles, and starts it again; returns once it listens.
    fn restart(&mut self, java: &Java, member: usize, change: impl FnOnce(&Bundles)) {
        let (rcs, bundles) = &mut self.members[member];
        rcs.kill();
        change(bundles);
        rcs.restart(java);
    }

    /// What the API says of the group's sets.
    fn sets(&self) -> Value {
        let (status, body) = http_get(self.router.admin(), &format!("/v1/groups/{GROUP}/bundles"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn member(&self, name: &str) -> Value {
        let sets = self.sets();
        let rows = sets["members"].as_array().expect("a list");
        rows.iter().find(|row| row["name"] == name).expect("the member is listed").clone()
    }

    fn await_standing(&mut self, name: &str, standing: &str) -> Duration {
        let reason = format!("{name} should be {standing}\n{}", self.router.process());
        wait_until(&reason, JUDGED_BOUND, || self.member(name)["standing"] == standing)
    }

    /// `rcs-router bundles ...` on this router: what it prints.
    fn bundles(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(workspace::binary("rcs-router"));
        command.arg("bundles").args(arguments);
        command.args(["--server", &format!("http://{}", self.router.admin())]);
        let output = command.output().expect("the router's own binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "bundles {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Calls that a member was given, however they ended.
    fn calls(&self, member: &str) -> f64 {
        self.router.metrics().sum("rcs_calls_total", &[("group", GROUP), ("member", member)])
    }

    fn await_more_calls(&self, member: &str, more: f64) {
        let before = self.calls(member);
        wait_until(&format!("{member} serves"), JUDGED_BOUND, || self.calls(member) >= before + more);
    }

    /// The agent beside a member, with these files in `lib`.
    fn agent(&self, at: usize, lib: &[(&str, &str)]) -> Agent {
        let (rcs, bundles) = &self.members[at];
        Agent::start(rcs.member(), bundles.folder(), lib, self.router.admin())
    }

    fn mark(&self, member: &str, word: &str) {
        let (status, body) =
            http_post(self.router.admin(), &format!("/v1/groups/{GROUP}/members/{member}/{word}"), None);
        assert_eq!(status, 200, "{body}");
    }

    fn in_flight(&self, member: &str) -> u64 {
        self.row(member)["in_flight"].as_u64().expect("a number")
    }

    fn await_state(&self, member: &str, state: &str) {
        wait_until(&format!("{member} is {state}"), JUDGED_BOUND, || {
            self.row(member)["admin_state"] == state
        });
    }

    /// What `/v1/members` says of a member.
    fn row(&self, member: &str) -> Value {
        let rows: Vec<Value> =
            serde_json::from_str(&http_get(self.router.admin(), "/v1/members").1).expect("a JSON list");
        rows.into_iter().find(|row| row["name"] == member).expect("the member is listed")
    }

    fn journal(&self) -> Journal {
        Journal::new(self.scratch.path(), "journal")
    }
}

/// Does `work` while an IDM calls without a pause; answers what its callers saw.
fn under_load<T>(idm: &mut Idm, work: impl FnOnce() -> T) -> (T, Seen) {
    let over = AtomicBool::new(false);
    /// Ends the load even if the work fails.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    thread::scope(|scope| {
        let loads = scope.spawn(|| {
            let mut seen = Seen::default();
            while !over.load(Ordering::Relaxed) {
                seen.add(&idm.load("get 8 2 u0"));
            }
            seen
        });
        let end = Over(&over);
        let result = work();
        drop(end);
        (result, loads.join().expect("the load ends"))
    })
}

/// What callers saw.
#[derive(Debug, Default)]
struct Seen {
    ok: u64,
    bad: u64,
    worst_ms: f64,
    errors: BTreeSet<String>,
}

impl Seen {
    fn add(&mut self, load: &Load) {
        self.ok += load.ok;
        self.bad += load.err + load.hung_threads;
        self.worst_ms = self.worst_ms.max(load.worst_ms);
        self.errors.extend(load.errors.keys().cloned());
    }
}

/// The list of a server as it wrote it, asked for directly. A 1.8.0 server refuses what comes too soon after the handshake (WIRE 7).
fn list_of(rcs: &Rcs) -> Vec<u8> {
    let mut idm = FakeIdm::connect(([127, 0, 0, 1], rcs.port()).into(), "/openicf", 1);
    hold("the server has stored the handshake", Duration::from_millis(500), || true);
    idm.ask_for_connectors(Duration::from_secs(5)).to_vec()
}

/// Lists differ in their order from run to run of one server (LEGACY 11).
#[test]
fn the_order_in_which_a_server_loads_its_bundles_is_not_seen_in_its_digest() {
    let test = "bundles::the_order_in_which_a_server_loads_its_bundles_is_not_seen_in_its_digest";
    let Some(java) = Java::or_skip(test) else { return };
    let starts = if env::var_os("RCS_LONG").is_some() { STARTS_LONG } else { STARTS };
    let mut site = Site::start(&java, &["n1"]);
    let (mut digests, mut lists) = (BTreeSet::new(), BTreeSet::new());
    let mut look = |site: &Site| {
        let found = wait_for("n1 told its connectors", JUDGED_BOUND, || {
            site.member("n1")["found"].as_str().map(str::to_owned)
        });
        digests.insert(found);
        lists.insert(list_of(&site.members[0].0));
        (digests.len(), lists.len())
    };
    let mut seen = (0, 0);
    for start in 0..starts {
        site.restart(&java, 0, |bundles| {
            // More bundles, more orders.
            for version in [NEXT, "1.0.0.2", "1.0.0.3"] {
                bundles.add_rig(&java, version);
            }
            bundles.shuffle(start as u64);
        });
        seen = look(&site);
    }
    let (different, written) = seen;
    println!("{starts} starts: {written} lists as they were written, {different} digests");
    assert!(written > 1, "the server wrote its list in the same order each time: the test shows nothing");
    assert_eq!(different, 1);
    site.restart(&java, 0, |bundles| bundles.replace_rig(&java, NEXT));
    assert_eq!(look(&site).0, 2, "other bundles, another digest");
}

/// G11: seen in the list of connectors, so no agent is needed.
#[test]
fn a_member_with_another_version_of_a_bundle_serves_nothing_until_it_has_the_right_one_again() {
    let test =
        "bundles::a_member_with_another_version_of_a_bundle_serves_nothing_until_it_has_the_right_one_again";
    let Some(java) = Java::or_skip(test) else { return };
    let mut site = Site::start(&java, &["n1", "n2"]);
    let mut idm = Idm::start(&java, &site.router.url(Some(GROUP)));
    idm.ok(&site.journal().use_command());
    idm.ok("create name=u0");
    let ((), seen) = under_load(&mut idm, || {
        site.await_more_calls("n2", 100.0);
        site.restart(&java, 1, |bundles| bundles.replace_rig(&java, NEXT));
        // What it was called until its end: from here on it may get no call.
        let before = site.calls("n2");
        site.await_standing("n2", "quarantined");
        site.await_more_calls("n1", 1_000.0);
        assert_eq!(site.calls("n2"), before, "a quarantined member is not called");
        let difference = site.bundles(&["diff", GROUP]);
        println!("{difference}");
        let line = "changed connector rig.connector/rig.RigConnector 1.0.0.0 -> 1.0.0.1";
        assert!(difference.contains(line), "{difference}");
        assert!(site.router.process().said_on_stderr("member is quarantined"), "{}", site.router.process());

        site.restart(&java, 1, |bundles| bundles.replace_rig(&java, RIG_VERSION));
        let back = Instant::now();
        site.await_standing("n2", "matching");
        site.await_more_calls("n2", 100.0);
        println!("released and serving {:?} after it listened", back.elapsed());
    });
    println!("callers saw {seen:?}");
    assert_eq!(seen.bad, 0, "{seen:?}");
}

/// A rolling upgrade under load. The member that is upgraded is drained first, as an operator does; the callers go on
/// to ask for the version that they found when they came.
#[test]
fn a_rolling_upgrade_is_not_noticed_by_callers_whose_reference_is_a_range() {
    let test = "bundles::a_rolling_upgrade_is_not_noticed_by_callers_whose_reference_is_a_range";
    let Some(java) = Java::or_skip(test) else { return };
    let names = ["n1", "n2", "n3"];
    let mut site = Site::start(&java, &names);
    let mut idm = Idm::start(&java, &site.router.url(Some(GROUP)));
    let reference = site.journal().use_command().replacen("use Rig", &format!("use Rig@{RANGE}"), 1);
    assert_eq!(idm.ok(&reference), format!("Rig {RIG_VERSION}"));
    idm.ok("create name=u0");
    let status = |site: &Site, when: &str| println!("--- {when}\n{}", site.bundles(&["status", GROUP]));
    let ((), seen) = under_load(&mut idm, || {
        site.await_more_calls("n3", 50.0);
        status(&site, "before");
        // A slip: the first one gets a version that nobody asked for.
        upgrade(&mut site, &java, 0, OUTSIDE, "quarantined");
        let before = site.calls("n1");
        site.await_more_calls("n2", 200.0);
        assert_eq!(site.calls("n1"), before, "no call goes to a version outside the range");
        upgrade(&mut site, &java, 0, NEXT, "quarantined");
        assert_eq!(site.calls("n1"), before);
        let rule = format!("rig.connector/{RANGE}");
        site.bundles(&["propose", GROUP, "--member", "n1", "--stand-ins", &rule]);
        site.await_more_calls("n1", 50.0);
        // Who comes now is shown both versions, and is served whichever the framework takes.
        let mut newcomer = Idm::start(&java, &site.router.url(Some(GROUP)));
        let shown = newcomer.ok("connectors 3");
        assert!([RIG_VERSION, NEXT].iter().all(|version| shown.contains(&format!("/{version}/"))), "{shown}");
        println!("a caller that comes in between takes {}", newcomer.ok(&reference));
        newcomer.ok("get u0");
        for (at, name) in names.iter().enumerate().skip(1) {
            status(&site, "in between");
            upgrade(&mut site, &java, at, NEXT, "matching_next");
            site.await_more_calls(name, 50.0);
        }
        site.bundles(&["commit", GROUP]);
        names.iter().for_each(|name| site.await_more_calls(name, 50.0));
        status(&site, "after");
        newcomer.ok("get u0");
    });
    println!("callers saw {seen:?}");
    assert_eq!(seen.bad, 0, "{seen:?}");
    assert!(names.iter().all(|name| site.member(name)["standing"] == "matching"), "{}", site.sets());
    let mut newcomer = Idm::start(&java, &site.router.url(Some(GROUP)));
    assert_eq!(newcomer.ok(&reference), format!("Rig {NEXT}"));
    newcomer.ok("get u0");
}

/// Drains a member, starts it again with this version of the rig connector, and takes it back.
fn upgrade(site: &mut Site, java: &Java, at: usize, version: &str, standing: &str) {
    let name = site.members[at].0.member().to_owned();
    site.mark(&name, "drain");
    site.await_state(&name, "drained");
    site.restart(java, at, |bundles| bundles.replace_rig(java, version));
    site.mark(&name, "undrain");
    site.await_standing(&name, standing);
}

/// What all members of a group with agents have in `lib`.
const LIB: [(&str, &str); 3] = [
    ("scripts/create.groovy", "create()"),
    ("scripts/search.groovy", "search()"),
    ("driver.jar", "a driver"),
];
const REQUIRE_AGENT: &str = "[defaults]\nbundles.reports = \"require_agent\"\n";

/// G12: only an agent can see a script.
#[test]
fn a_member_with_a_changed_script_serves_nothing_until_it_is_changed_back() {
    let test = "bundles::a_member_with_a_changed_script_serves_nothing_until_it_is_changed_back";
    let Some(java) = Java::or_skip(test) else { return };
    let mut site = Site::start_with(&java, &["n1", "n2"], REQUIRE_AGENT);
    let agents = [site.agent(0, &LIB), site.agent(1, &LIB)];
    for name in ["n1", "n2"] {
        site.await_standing(name, "matching");
    }
    let mut idm = Idm::start(&java, &site.router.url(Some(GROUP)));
    idm.ok(&site.journal().use_command());
    idm.ok("create name=u0");
    let ((), seen) = under_load(&mut idm, || {
        site.await_more_calls("n2", 100.0);
        agents[1].put("scripts/create.groovy", "create(); log()");
        let seen_after = site.await_standing("n2", "quarantined");
        // Those that it had may end.
        wait_until("n2 is at rest", JUDGED_BOUND, || site.in_flight("n2") == 0);
        let before = site.calls("n2");
        site.await_more_calls("n1", 1_000.0);
        assert_eq!(site.calls("n2"), before, "a quarantined member is not called");
        let difference = site.bundles(&["diff", GROUP]);
        println!("{difference}");
        assert!(difference.contains("changed file lib/scripts/create.groovy"), "{difference}");

        agents[1].put("scripts/create.groovy", "create()");
        let back = Instant::now();
        site.await_standing("n2", "matching");
        site.await_more_calls("n2", 100.0);
        println!(
            "seen {seen_after:?} after the change, serving {:?} after it was taken back",
            back.elapsed()
        );
    });
    println!("callers saw {seen:?}");
    assert_eq!(seen.bad, 0, "{seen:?}");
}

/// P5 with real servers and agents; a hundred joins are played in `router/core`, where they take no time.
#[test]
fn a_member_that_joins_with_other_files_is_quarantined_before_its_first_call() {
    let test = "bundles::a_member_that_joins_with_other_files_is_quarantined_before_its_first_call";
    let Some(java) = Java::or_skip(test) else { return };
    let mut site = Site::start_with(&java, &["n1", "n2", "n3"], REQUIRE_AGENT);
    site.members[2].0.kill();
    let _agents = [site.agent(0, &LIB), site.agent(1, &LIB)];
    site.await_standing("n1", "matching");
    site.await_standing("n2", "matching");
    let mut idm = Idm::start(&java, &site.router.url(Some(GROUP)));
    idm.ok(&site.journal().use_command());
    idm.ok("create name=u0");
    let more = [LIB.as_slice(), &[("scripts/delete.groovy", "delete()")]].concat();
    let mut other = LIB;
    other[1].1 = "search(]";
    let ((), seen) = under_load(&mut idm, || {
        for (lib, line) in [
            (more.as_slice(), "added file lib/scripts/delete.groovy"),
            (&LIB[1..], "missing file lib/scripts/create.groovy"),
            (&other, "changed file lib/scripts/search.groovy"),
        ] {
            let agent = site.agent(2, lib);
            site.members[2].0.restart(&java);
            site.await_standing("n3", "quarantined");
            site.await_more_calls("n1", 200.0);
            let difference = site.bundles(&["diff", GROUP]);
            assert!(difference.contains(line), "{difference}");
            assert_eq!(site.calls("n3"), 0.0, "quarantined before its first call: {line}");
            site.members[2].0.kill();
            drop(agent);
        }
        let _agent = site.agent(2, &LIB);
        site.members[2].0.restart(&java);
        site.await_more_calls("n3", 10.0);
    });
    println!("callers saw {seen:?}");
    assert_eq!(seen.bad, 0, "{seen:?}");
}
