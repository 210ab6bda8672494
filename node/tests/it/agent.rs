//! `rcs-node agent` from outside, with a scripted router.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Instant;

use rcs_proto::manifest::{Content, Digest, FileManifest, Root};
use rcs_rig::process::Process;
use rcs_rig::wait::wait_until;
use rustix::process::Signal;

use crate::agent_router::{AgentRouter, Seen};
use crate::support::{PATIENCE, Scratch, rcs_node, run, text};

/// A change is reported at once: only the watch can bring it about, for the next regular look is an hour away.
const NEVER: &str = "3600s";

/// `Passw0rd`
const PROPERTIES: &str = "connectorserver.key=xOS4IeeE6eb/AhMbhxZEC37PgtE\\=\n";
const KEY: &str = "Passw0rd";

fn install() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("conf/ConnectorServer.properties", PROPERTIES);
    scratch.file("connectors/a.jar", "a");
    scratch.file("lib/scripts/deep/b.groovy", "b1");
    scratch
}

fn start(scratch: &Scratch, router: &AgentRouter, more: &[&str]) -> Process {
    let file = scratch.path("conf/ConnectorServer.properties");
    let mut command = rcs_node();
    command.args(["agent", "--properties", text(&file), "--report", &router.url]).args(more);
    Process::start("rcs-node agent", command)
}

/// Waits for a line of its log.
#[track_caller]
fn says(agent: &Process, part: &str) {
    wait_until(part, PATIENCE, || agent.said_on_stderr(part));
}

fn content(manifest: &FileManifest, root: Root, path: &str) -> Option<Content> {
    manifest.get(root, path).map(|file| file.content)
}

fn file(bytes: &[u8]) -> Option<Content> {
    Some(Content::File { sha256: Digest::of(bytes), bytes: bytes.len() as u64 })
}

/// The whole set first, its digest at each interval, and the whole set for a router that forgot it.
#[test]
fn the_set_is_told_whole_then_by_its_digest() {
    let (scratch, router) = (install(), AgentRouter::start("n1", KEY));
    let mut agent = start(&scratch, &router, &["--member", "n1", "--interval", "1s"]);
    let Seen::Whole(manifest) = router.next("the first report", PATIENCE) else {
        panic!("the first report is whole")
    };
    assert_eq!(content(&manifest, Root::Bundles, "a.jar"), file(b"a"));
    assert_eq!(content(&manifest, Root::Lib, "scripts/deep/b.groovy"), file(b"b1"));
    assert_eq!(manifest.files().len(), 2);
    for _ in 0..2 {
        assert_eq!(router.next("a heartbeat", PATIENCE), Seen::Heartbeat(manifest.digest()));
    }
    router.forget();
    assert_eq!(router.next("a heartbeat to a router that forgot", PATIENCE), Seen::UnknownDigest);
    assert_eq!(router.next("the answer to 409", PATIENCE), Seen::Whole(manifest));
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(PATIENCE).code(), Some(0));
}

/// One byte in a nested script, same length: reported by path only, long before the next regular look.
#[test]
fn a_change_of_one_byte_is_told_at_once() {
    let (scratch, router) = (install(), AgentRouter::start("n1", KEY));
    let agent = start(&scratch, &router, &["--member", "n1", "--interval", NEVER]);
    let first = router.whole("the first report", PATIENCE);
    for (path, bytes) in [("lib/scripts/deep/b.groovy", "b2"), ("lib/scripts/deep/b.groovy", "b3")] {
        let changed = Instant::now();
        scratch.file(path, bytes);
        let manifest = router.whole("the change", PATIENCE);
        println!("a change of one byte was reported after {:?}", changed.elapsed());
        assert_eq!(content(&manifest, Root::Lib, "scripts/deep/b.groovy"), file(bytes.as_bytes()));
    }
    says(&agent, "changed: lib/scripts/deep/b.groovy");
    scratch.file("lib/scripts/deep/b.groovy", "b1");
    assert_eq!(router.whole("the change taken back", PATIENCE), first);
}

/// New folders are watched as well, a folder that was missing is seen when it comes, and what goes is told.
#[test]
fn folders_come_and_go() {
    let (scratch, router) = (install(), AgentRouter::start("n1", KEY));
    fs::remove_dir_all(scratch.path("connectors")).unwrap();
    let agent = start(&scratch, &router, &["--member", "n1", "--interval", NEVER]);
    let manifest = router.whole("the first report", PATIENCE);
    assert_eq!(manifest.files().len(), 1);
    says(&agent, "bundles: the folder does not exist");
    scratch.file("connectors/new/deep/a.jar", "a");
    until(&router, "a folder that was missing", |m| {
        content(m, Root::Bundles, "new/deep/a.jar") == file(b"a")
    });
    scratch.file("connectors/new/deep/a.jar", "b");
    until(&router, "a file in a new folder", |m| content(m, Root::Bundles, "new/deep/a.jar") == file(b"b"));
    fs::rename(scratch.path("connectors/new"), scratch.path("connectors/newer")).unwrap();
    until(&router, "a renamed folder", |m| content(m, Root::Bundles, "newer/deep/a.jar") == file(b"b"));
    scratch.file("connectors/newer/deep/a.jar", "c");
    until(&router, "a file in a renamed folder", |m| {
        content(m, Root::Bundles, "newer/deep/a.jar") == file(b"c")
    });
    fs::remove_dir_all(scratch.path("lib")).unwrap();
    until(&router, "a folder that went", |m| m.files().len() == 1);
}

/// Links: the target of one outside of the folders, a volume of Kubernetes that is updated, a root that is switched over.
#[test]
fn what_links_lead_to_is_watched() {
    let (scratch, router) = (install(), AgentRouter::start("n1", KEY));
    let elsewhere = scratch.file("elsewhere/driver.jar", "1");
    symlink(&elsewhere, scratch.path("lib/driver.jar")).unwrap();
    scratch.file("lib/volume/..one/c", "1");
    scratch.file("lib/volume/..two/c", "2");
    symlink("..one", scratch.path("lib/volume/..data")).unwrap();
    symlink("..data/c", scratch.path("lib/volume/c")).unwrap();
    scratch.file("v2/a.jar", "2");
    fs::rename(scratch.path("connectors"), scratch.path("v1")).unwrap();
    symlink("v1", scratch.path("connectors")).unwrap();
    let _agent = start(&scratch, &router, &["--member", "n1", "--interval", NEVER]);
    let manifest = router.whole("the first report", PATIENCE);
    assert_eq!(content(&manifest, Root::Lib, "driver.jar"), file(b"1"));
    assert_eq!(content(&manifest, Root::Lib, "volume/c"), file(b"1"));
    assert_eq!(content(&manifest, Root::Bundles, "a.jar"), file(b"a"));
    fs::write(&elsewhere, "2").unwrap();
    until(&router, "a file outside", |m| content(m, Root::Lib, "driver.jar") == file(b"2"));
    let new = scratch.file("elsewhere/new", "3");
    fs::rename(new, &elsewhere).unwrap();
    until(&router, "a file outside, replaced", |m| content(m, Root::Lib, "driver.jar") == file(b"3"));
    switch(&scratch, "lib/volume/..data", "..two");
    until(&router, "a volume that was updated", |m| content(m, Root::Lib, "volume/c") == file(b"2"));
    switch(&scratch, "connectors", "v2");
    until(&router, "a root that was switched", |m| content(m, Root::Bundles, "a.jar") == file(b"2"));
    scratch.file("v2/a.jar", "3");
    until(&router, "a file in the new root", |m| content(m, Root::Bundles, "a.jar") == file(b"3"));
}

/// Waits for a report with a property; between two states of the files others may be seen.
#[track_caller]
fn until(router: &AgentRouter, reason: &str, holds: impl Fn(&FileManifest) -> bool) {
    while !holds(&router.whole(reason, PATIENCE)) {}
}

/// A link replaced in one step, as kubelet and deployment tools do it.
fn switch(scratch: &Scratch, link: &str, target: &str) {
    let beside = scratch.path(&format!("{link}.new"));
    symlink(target, &beside).expect("a link");
    fs::rename(beside, scratch.path(link)).expect("a link replaced");
}

/// An unreadable file stops the reports, loudly, and they go on when it can be read.
#[test]
fn nothing_is_told_while_a_file_cannot_be_read() {
    let (scratch, router) = (install(), AgentRouter::start("n1", KEY));
    let agent = start(&scratch, &router, &["--member", "n1", "--interval", "1s"]);
    let manifest = router.whole("the first report", PATIENCE);
    // Its reading fails, whoever reads.
    symlink("/proc/self/mem", scratch.path("lib/broken")).unwrap();
    says(&agent, "lib/broken cannot be read");
    says(&agent, "reporting is paused until");
    fs::remove_file(scratch.path("lib/broken")).unwrap();
    says(&agent, "every file can be read again");
    // A heartbeat may have been on its way before.
    assert_eq!(router.next("reports go on", PATIENCE), Seen::Heartbeat(manifest.digest()));
}

/// Which key, which member, and what is said of the wrong ones. No log has the key or its hash.
#[test]
fn wrong_keys_and_names_are_told() {
    let scratch = install();
    let other = scratch.file("other.key", "another\n");
    let canaries = ["another", KEY, "xOS4IeeE6eb", "PgtE"];
    for (member, more, expected, sentence) in [
        ("n1", &[][..], None, "the router has the manifest"),
        ("n1", &["--key-file", text(&other)], Some(Seen::WrongProof), "the router refuses the proof"),
        ("n2", &[], Some(Seen::UnknownMember), "the router does not know this member"),
    ] {
        let router = AgentRouter::start("n1", KEY);
        let file = scratch.path("conf/ConnectorServer.properties");
        let mut command = rcs_node();
        command
            .args(["agent", "--properties", text(&file), "--report", &router.url, "--member", member])
            .args(more);
        command.env("RCS_LOG", "trace");
        let agent = Process::start("rcs-node agent", command);
        match (router.next(sentence, PATIENCE), expected) {
            (Seen::Whole(_), None) => {}
            (seen, expected) => assert_eq!(Some(seen), expected),
        }
        says(&agent, sentence);
        let log = agent.output().1.join("\n");
        assert!(canaries.iter().all(|canary| !log.contains(canary)), "{log}");
    }
}

/// A router that hangs up is asked again, and hears of the files as they are by then.
#[test]
fn a_router_that_comes_back_is_told() {
    let (scratch, router) = (install(), AgentRouter::with_rudeness("n1", KEY, 2));
    let agent = start(&scratch, &router, &["--member", "n1", "--interval", NEVER]);
    says(&agent, "no report to the router");
    scratch.file("lib/scripts/deep/b.groovy", "b2");
    until(&router, "after two pauses", |m| content(m, Root::Lib, "scripts/deep/b.groovy") == file(b"b2"));
    says(&agent, "the router has the manifest");
}

#[test]
fn once_prints_or_reports_and_ends() {
    let (scratch, router) = (install(), AgentRouter::start("n1", KEY));
    let properties = scratch.path("conf/ConnectorServer.properties");
    let once = ["agent", "--once", "--properties", text(&properties)];
    let ran = run(&once, b"");
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in ["\"digest\": \"", "\"path\": \"scripts/deep/b.groovy\"", "\"root\": \"bundles\""] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    let report = [&once[..], &["--report", &router.url]].concat();
    let ran = run(&[&report[..], &["--member", "n1"]].concat(), b"");
    assert!(ran.code == 0 && ran.stdout.contains("has the manifest"), "{ran:?}");
    let ran = run(&[&report[..], &["--member", "n2"]].concat(), b"");
    assert!(ran.code == 65 && ran.stderr.contains("does not know this member"), "{ran:?}");
    let ran = run(&[&once[..], &["--member", "n1", "--report", "http://127.0.0.1:1"]].concat(), b"");
    assert!(ran.code == 69 && ran.stderr.contains("no report to the router"), "{ran:?}");
    let named = ["-D", "connectorserver.connectorServerName=n1"];
    assert_eq!(run(&[&report[..], &named].concat(), b"").code, 0, "the file's own name is the member");
    symlink("/proc/self/mem", scratch.path("lib/broken")).unwrap();
    let ran = run(&once, b"");
    assert!(ran.code == 65 && ran.stderr.contains("lib/broken cannot be read"), "{ran:?}");
}

#[test]
fn usage() {
    let scratch = install();
    let properties = scratch.path("conf/ConnectorServer.properties");
    let agent = ["agent", "--properties", text(&properties)];
    for (more, code, sentence) in [
        (&[][..], 64, "give the routers' admin addresses with --report"),
        (&["--report", "http://127.0.0.1:1"], 64, "--member NAME is needed"),
        (&["--report", "router"], 64, "expected http://HOST:PORT"),
        (&["--once", "--interval", "1h"], 64, "expected a time from 1s to 3600s"),
        (&["--once", "-D", "connectorserver.key=clear"], 65, "connectorserver.key is not a key hash"),
        (
            &["--once", "--member", "a", "--report", "http://127.0.0.1:1", "--key-file", "none"],
            65,
            "the key cannot be read",
        ),
        (
            &["--once", "--member", "a", "--report", "https://127.0.0.1:1", "--server-ca", "none"],
            65,
            "none cannot be read",
        ),
    ] {
        let ran = run(&[&agent, more].concat(), b"");
        assert!(ran.code == code && ran.stderr.contains(sentence), "{more:?}: {ran:?}");
    }
}

/// The inotify instances of a user can be used up (128 by default, shared by all containers of a user id). Then the agent scans at its
/// interval, reports the reason once, and watches as soon as it can.
#[test]
fn without_inotify_changes_are_found_by_the_scans() {
    if !Command::new("unshare").args(["-Urpf", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no user namespaces on this machine; the agent without inotify is not tried");
        return;
    }
    let (scratch, router) = (install(), AgentRouter::start("n1", KEY));
    let gate = scratch.path("gate");
    rustix::fs::mkfifoat(rustix::fs::CWD, &gate, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    // The limit counts in the namespace alone. Everything in the namespace ends with the process that is started here.
    let script = "limit=/proc/sys/user/max_inotify_instances; echo 0 > $limit; \"$@\" & read line < \"$GATE\"; echo 64 > $limit; wait";
    let mut command = Command::new("unshare");
    command.args(["-Urpf", "--kill-child", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_rcs-node")]);
    let file = scratch.path("conf/ConnectorServer.properties");
    command.args(["agent", "--properties", text(&file), "--report", &router.url, "--member", "n1"]);
    command.args(["--interval", "1s"]).env("GATE", &gate).env_remove("RCS_LOG");
    let agent = Process::start("rcs-node agent", command);
    router.whole("the first report", PATIENCE);
    says(&agent, "raise the sysctl fs.inotify.max_user_instances");
    scratch.file("connectors/a.jar", "b");
    until(&router, "a change found by a scan", |m| content(m, Root::Bundles, "a.jar") == self::file(b"b"));
    assert_eq!(agent.stderr_lines().iter().filter(|line| line.contains("max_user_instances")).count(), 1);
    fs::write(&gate, "raise\n").unwrap();
    says(&agent, "all folders are watched again");
}
