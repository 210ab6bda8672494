//! The provider file while the router runs: a good change comes into force, a bad one changes nothing and is told once.

use std::fs;
use std::os::unix::fs::symlink;

use rcs_rig::metrics::Metrics;
use rcs_rig::wait::wait_until;
use tempfile::TempDir;

use crate::support::{Router, SOON, member, provider, scratch};

#[test]
fn a_good_change_is_in_force_and_the_old_members_stay() {
    let folder = scratch();
    let (first, second) = (member("n1"), member("n2"));
    let document = provider(&folder, &[("n1", &first)]);
    let router = Router::serve(&document, &["--dev"]);
    router.await_ready();
    let socket = first.await_sockets(1).remove(0);

    provider(&folder, &[("n1", &first), ("n2", &second)]);
    wait_until("the second member is in use", SOON, || is_up(&router, "n2"));
    assert!(is_up(&router, "n1") && !socket.is_closed(), "a member that did not change keeps its sockets");

    provider(&folder, &[("n2", &second)]);
    wait_until("the first member is let go", SOON, || socket.is_closed());
    assert!(is_up(&router, "n2"));
}

#[test]
fn a_bad_change_changes_nothing_and_is_told_once() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let good = fs::read_to_string(&document).unwrap();
    let mut router = Router::serve(&document, &["--dev"]);
    router.await_ready();
    let socket = member.await_sockets(1).remove(0);

    for (bad, reason) in [
        ("{ this is no JSON", "not JSON"),
        (good.replace("roundrobin", "fastest").as_str(), "unknown algorithm"),
        (good.replace("\"useSSL\":false", "\"useSSL\":true").as_str(), "--trust-store"),
    ] {
        fs::write(&document, bad).unwrap();
        router.await_log(reason);
    }
    fs::remove_file(&document).unwrap();
    router.await_log("cannot be read");
    assert!(is_up(&router, "n1") && !socket.is_closed());

    fs::write(&document, &good).unwrap();
    router.await_log("says the same as before");
    assert!(is_up(&router, "n1") && !socket.is_closed());
    router.process.signal(rustix::process::Signal::TERM);
    assert!(router.process.wait(SOON).success());
    let told = router.process.output().1.iter().filter(|line| line.contains("not JSON")).count();
    assert_eq!(told, 1, "looked at every second, told once");
}

/// Kubernetes changes a mounted file by turning a link to another folder.
#[test]
fn a_turned_link_is_a_change() {
    let folder = scratch();
    let (first, second) = (member("n1"), member("n2"));
    let (old, new) = (TempDir::new_in(folder.path()).unwrap(), TempDir::new_in(folder.path()).unwrap());
    provider(&old, &[("n1", &first)]);
    provider(&new, &[("n2", &second)]);
    let data = folder.path().join("..data");
    symlink(old.path(), &data).unwrap();
    let router = Router::serve(&data.join("provider.json"), &["--dev"]);
    wait_until("the first member is in use", SOON, || is_up(&router, "n1"));

    let turned = folder.path().join("..turned");
    symlink(new.path(), &turned).unwrap();
    fs::rename(&turned, &data).unwrap();
    wait_until("the second member is in use", SOON, || is_up(&router, "n2"));
}

fn is_up(router: &Router, member: &str) -> bool {
    Metrics::scrape(router.admin).sum("rcs_member_up", &[("group", "g"), ("member", member)]) == 1.0
}
