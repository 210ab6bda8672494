//! The provider file while the router runs: a good change comes into force, a bad one changes nothing and is told once.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;

use rcs_rig::metrics::Metrics;
use rcs_rig::wait::wait_until;
use tempfile::TempDir;

use rcs_rig::scripted::upgrade_request;

use crate::support::{PATIENCE, Router, file, member, provider, scratch};

#[test]
fn a_good_change_is_in_force_and_the_old_members_stay() {
    let folder = scratch();
    let (first, second) = (member("n1"), member("n2"));
    let document = provider(&folder, &[("n1", &first)]);
    let router = Router::serve(&document, &["--dev"]);
    router.await_ready();
    let socket = first.await_sockets(1).remove(0);

    provider(&folder, &[("n1", &first), ("n2", &second)]);
    wait_until("the second member is in use", PATIENCE, || is_up(&router, "n2"));
    assert!(is_up(&router, "n1") && !socket.is_closed(), "a member that did not change keeps its sockets");

    provider(&folder, &[("n2", &second)]);
    wait_until("the first member is let go", PATIENCE, || socket.is_closed());
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
    let files = router.get("/v1/files").1;
    assert!(files.contains("\"file\":\"provider\"") && files.contains("--trust-store"), "{files}");
    let (code, ready) = router.get("/readyz");
    assert!(code == 200 && ready.contains("\"rejected_files\":[\"provider\"]"), "{ready}");
    fs::remove_file(&document).unwrap();
    router.await_log("cannot be read");
    assert!(is_up(&router, "n1") && !socket.is_closed());

    fs::write(&document, &good).unwrap();
    router.await_log("says the same as before");
    wait_until("no file is rejected", PATIENCE, || !router.get("/readyz").1.contains("rejected_files"));
    assert!(is_up(&router, "n1") && !socket.is_closed());
    router.process.signal(rustix::process::Signal::TERM);
    assert!(router.process.wait(PATIENCE).success());
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
    wait_until("the first member is in use", PATIENCE, || is_up(&router, "n1"));

    let turned = folder.path().join("..turned");
    symlink(new.path(), &turned).unwrap();
    fs::rename(&turned, &data).unwrap();
    wait_until("the second member is in use", PATIENCE, || is_up(&router, "n2"));
}

/// Two keys are valid at once while one replaces the other, so that no caller is locked out in between.
#[test]
fn keys_and_tokens_are_replaced_while_the_router_runs() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let key = file(&folder, "caller.key", "old\n");
    let router = Router::serve(&document, &["--caller-key-file", &key]);
    router.await_ready();
    // idm:old, idm:new
    let (old, new) = ("Basic aWRtOm9sZA==", "Basic aWRtOm5ldw==");
    let status = |with: &str| {
        let request = upgrade_request("/openicf/g", Some(with), Some("v1.openicf.forgerock.org"));
        // Only the status line is read, because an accepted connection stays open.
        let mut stream = TcpStream::connect(router.listen).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        String::from_utf8_lossy(&line).split(' ').nth(1).map(str::to_owned).unwrap_or_default()
    };
    let both = || (status(old), status(new));
    let are = |old: &str, new: &str| (old.to_owned(), new.to_owned());
    assert_eq!(both(), are("101", "403"));
    for (text, said, expected) in [
        ("old\nnew\n", "the callers' key file changed and is in force now", are("101", "101")),
        ("\n", "the keys or tokens that were valid before stay valid", are("101", "101")),
        ("new\n", "in force now", are("403", "101")),
    ] {
        fs::write(&key, text).unwrap();
        router.await_log(said);
        wait_until("the keys of the file are in force", PATIENCE, || both() == expected);
    }
    let (_, log) = router.process.output();
    assert!(!log.iter().any(|line| line.contains("aWRtOm")), "P9");
}

/// IDM gives out its document with encrypted keys only (C06).
#[test]
fn a_document_with_encrypted_keys_is_used_with_the_key_from_a_file() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let text = fs::read_to_string(&document).unwrap();
    assert!(text.contains("\"changeit\""), "{text}");
    let crypto = r#"{"$crypto":{"type":"x-simple-encryption","value":{"cipher":"AES","data":"x","key":"openidm-sym-default"}}}"#;
    fs::write(&document, text.replace("\"changeit\"", crypto)).unwrap();
    let ran = crate::support::run(&["check", "--provider", document.to_str().unwrap()]);
    assert!(ran.code == Some(65) && ran.stdout.contains("key_file"), "{ran:?}");
    let key = file(&folder, "members.key", "changeit\n");
    let config = file(&folder, "router.toml", &format!("[members]\nkey_file = {key:?}\n"));
    let ran = crate::support::run(&["check", "--provider", document.to_str().unwrap(), "--config", &config]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let router = Router::serve(&document, &["--dev", "--config", &config]);
    router.await_ready();
    fs::write(&key, "").unwrap();
    router.await_log("keys and trust stores of members stay as they were");
    assert!(is_up(&router, "n1"));
}

fn is_up(router: &Router, member: &str) -> bool {
    Metrics::scrape(router.admin).sum("rcs_member_up", &[("group", "g"), ("member", member)]) == 1.0
}
