//! The command line: exit codes, and sentences that say what to do.

use std::process::{Command, Stdio};

use crate::support::{Ran, file, run, scratch};

const GOOD: &str = r#"{"remoteConnectorServers": [
    {"name": "n1", "host": "10.0.0.1", "port": 8759, "key": "s3cr3t-of-n1"},
    {"name": "n2", "host": "10.0.0.2", "port": 8759, "key": "s3cr3t-of-n2", "enabled": false}],
  "remoteConnectorServersGroups": [{"name": "g", "algorithm": "failover", "serversList": [{"name": "n1"}, {"name": "n2"}]}]}"#;

#[test]
fn help_and_version_are_answers() {
    for (arguments, part) in
        [(&["--help"][..], "serve"), (&["--version"], "rcs-router"), (&["serve", "--help"], "--provider")]
    {
        let ran = run(arguments);
        assert!(ran.code == Some(0) && ran.stdout.contains(part) && ran.stderr.is_empty(), "{ran:?}");
        assert!(!ran.stdout.contains("demo-child"), "what is hidden stays hidden");
    }
}

/// Installed routers are built without the demo, and with it without the node.
#[cfg(not(feature = "demo"))]
#[test]
fn a_build_without_the_demo_says_where_the_demo_is_to_be_had() {
    assert!(!run(&["--help"]).stdout.contains("demo"), "help names only what there is");
    for arguments in [&["demo"][..], &["demo", "--stay"], &["demo", "--help"]] {
        let ran = run(arguments);
        assert!(ran.code == Some(64) && ran.stderr.contains("its feature `demo`"), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn bad_usage_is_64() {
    let folder = scratch();
    let provider = file(&folder, "provider.json", GOOD);
    let serve = ["serve", "--provider", &provider];
    for (case, more, part) in [
        ("an unknown option", &["--no-such"][..], "--no-such"),
        ("no key and no --dev", &[], "--caller-key-file"),
        ("an address that is none", &["--dev", "--listen", "nowhere"], "--listen"),
        ("no threads at all", &["--dev", "--threads", "0"], "--threads"),
    ] {
        let ran = run(&[&serve, more].concat());
        assert!(ran.code == Some(64) && ran.stderr.contains(part), "{case}: {ran:?}");
    }
    let ran = run(&["serve", "--dev"]);
    assert!(ran.code == Some(64) && ran.stderr.contains("--provider"), "{ran:?}");
    assert_eq!(run(&[]).code, Some(64));
}

#[test]
fn bad_data_is_65_with_what_to_do() {
    let folder = scratch();
    let provider = file(&folder, "good.json", GOOD);
    let known = file(&folder, "known.key", "changeit\n");
    let empty = file(&folder, "empty.key", "\n");
    let broken = file(&folder, "broken.json", "{\"remoteConnectorServers\": [}");
    let tls =
        file(&folder, "tls.json", &GOOD.replace("\"s3cr3t-of-n1\"", "\"s3cr3t-of-n1\", \"useSSL\": true"));
    for (case, arguments, parts) in [
        (
            "a key that everybody knows",
            &["--provider", &provider, "--caller-key-file", &known][..],
            &["everybody knows"][..],
        ),
        ("an empty key", &["--provider", &provider, "--caller-key-file", &empty], &["first line is empty"]),
        (
            "a missing key file",
            &["--provider", &provider, "--caller-key-file", "/nowhere/key"],
            &["/nowhere/key"],
        ),
        ("a missing document", &["--dev", "--provider", "/nowhere/p.json"], &["/nowhere/p.json"]),
        ("a broken document", &["--dev", "--provider", &broken], &["not JSON", "line 1"]),
        (
            "TLS without trust",
            &["--dev", "--provider", &tls],
            &["remoteConnectorServers[0].useSSL", "--trust-store"],
        ),
        (
            "a bad trust store",
            &["--dev", "--provider", &tls, "--trust-store", &broken],
            &["holds no certificate"],
        ),
    ] {
        let ran = run(&[&["serve"], arguments].concat());
        assert_eq!(ran.code, Some(65), "{case}: {ran:?}");
        assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{case}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{case}: it was never ready");
    }
}

#[test]
fn an_address_in_use_is_69() {
    let folder = scratch();
    let provider = file(&folder, "provider.json", GOOD);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--admin"] {
        let other = if option == "--listen" { "--admin" } else { "--listen" };
        let ran = run(&["serve", "--dev", "--provider", &provider, option, &address, other, "127.0.0.1:0"]);
        assert!(ran.code == Some(69) && ran.stderr.contains(&address), "{option}: {ran:?}");
    }
}

#[test]
fn check_says_what_a_document_means() {
    let folder = scratch();
    let ran = run(&["check", "--provider", &file(&folder, "provider.json", GOOD)]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in ["g (failover)", "1. n1  ws://10.0.0.1:8759/openicf", "2. n2", "disabled"] {
        assert!(ran.stdout.contains(part), "no {part:?} in {ran:?}");
    }
    assert!(!told(&ran).contains("s3cr3t"), "P9: {ran:?}");
}

#[test]
fn check_finds_everything_at_once() {
    let folder = scratch();
    let bad = GOOD
        .replace("failover", "fastest")
        .replace("8759, \"key\": \"s3cr3t-of-n1\"", "70000, \"key\": \"s3cr3t-of-n1\"");
    let ran = run(&["check", "--provider", &file(&folder, "provider.json", &bad)]);
    assert_eq!(ran.code, Some(65), "{ran:?}");
    for part in ["remoteConnectorServers[0].port", "remoteConnectorServersGroups[0].algorithm", "\"fastest\""]
    {
        assert!(told(&ran).contains(part), "no {part:?} in {ran:?}");
    }
    assert!(!told(&ran).contains("s3cr3t"), "P9: {ran:?}");
}

/// A member with TLS and a key that everybody knows: both would keep serve from running.
#[test]
fn check_judges_what_serve_would() {
    let folder = scratch();
    let provider = file(&folder, "tls.json", &GOOD.replace("\"s3cr3t-of-n1\"", "\"k\", \"useSSL\": true"));
    let ran = run(&["check", "--provider", &provider]);
    assert!(ran.code == Some(65) && ran.stderr.contains("--trust-store"), "{ran:?}");
    let provider = file(&folder, "good.json", GOOD);
    let known = file(&folder, "known.key", "openidm-admin\n");
    let ran = run(&["check", "--provider", &provider, "--caller-key-file", &known]);
    assert!(ran.code == Some(65) && ran.stderr.contains("everybody knows"), "{ran:?}");
}

fn told(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

/// `rcs-router check ... | head -1` must not end in a panic.
#[test]
fn a_reader_that_leaves_is_no_fault() {
    let folder = scratch();
    let provider = file(&folder, "provider.json", GOOD);
    let mut child = Command::new(env!("CARGO_BIN_EXE_rcs-router"))
        .args(["check", "--provider", &provider])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && !said.contains("panicked"), "{said}");
}
