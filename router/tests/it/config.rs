//! The configuration file: shown, judged, and followed while the router runs.

use std::fs;

use rcs_rig::scripted::validate_request;

use crate::support::{Router, file, member, provider, run, scratch};

const DOCUMENT: &str = r#"{"remoteConnectorServers": [
    {"name": "n1", "host": "10.0.0.1", "port": 8759, "key": "k"},
    {"name": "alone", "host": "10.0.0.2", "port": 8759, "key": "k"}],
  "remoteConnectorServersGroups": [{"name": "hr", "algorithm": "failover", "serversList": [{"name": "n1"}]}]}"#;

#[test]
fn check_shows_what_is_in_force_for_each_group() {
    let folder = scratch();
    let document = file(&folder, "provider.json", DOCUMENT);
    let config = file(
        &folder,
        "router.toml",
        "[defaults]\nretry_percent = 5\n[group.hr]\ndeadlines.read = \"5s\"\n[group.rh]\nqueue_max = 1\n",
    );
    let ran = run(&["check", "--provider", &document, "--config", &config]);
    assert!(ran.code == Some(0) && ran.stderr.is_empty(), "{ran:?}");
    let (hr, alone) =
        ran.stdout.split_once("Settings of hr\n").unwrap().1.split_once("Settings of alone\n").unwrap();
    let read = "  * deadlines.read = \"5s\"    (default \"1m\")";
    assert!(hr.contains(read) && !alone.contains(read), "{ran:?}");
    assert!(alone.contains("    deadlines.read = \"1m\"\n"), "{ran:?}");
    assert!(hr.contains("  * retry_percent = 5") && alone.contains("  * retry_percent = 5"), "{ran:?}");
    assert!(ran.stdout.contains("Warning") && ran.stdout.contains("\"rh\""), "{ran:?}");
}

#[test]
fn a_bad_file_is_65_for_check_and_serve_with_every_line() {
    let folder = scratch();
    let document = file(&folder, "provider.json", DOCUMENT);
    let config = file(&folder, "router.toml", "[router]\nthreads = 3\n[defaults]\nqueue_wait = 10\n");
    for command in [&["check"][..], &["serve", "--dev"]] {
        let ran = run(&[command, &["--provider", &document, "--config", &config]].concat());
        assert_eq!(ran.code, Some(65), "{ran:?}");
        for part in ["router.toml", "line 2: router.threads", "line 4: defaults.queue_wait"] {
            assert!(ran.stderr.contains(part), "no {part:?} in {ran:?}");
        }
    }
    let ran = run(&["check", "--provider", &document, "--config", "/nowhere/router.toml"]);
    assert!(ran.code == Some(65) && ran.stderr.contains("/nowhere/router.toml"), "{ran:?}");
}

#[test]
fn a_change_is_in_force_for_the_next_call_and_a_bad_one_changes_nothing() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let config = folder.path().join("router.toml");
    fs::write(&config, "[group.g]\ndeadlines.read = \"1h\"\n").unwrap();
    let router = Router::serve(&document, &["--dev", "--config", config.to_str().unwrap()]);
    router.await_ready();
    let socket = member.await_sockets(1).remove(0);

    fs::write(&config, "[group.g]\ndeadlines.read = \"1s\"\n[group.other]\n").unwrap();
    router.await_log("the configuration file changed, and is in force now");
    router.await_log("no group of this name");
    fs::write(&config, "[group.g]\ndeadlines.read = 1\n").unwrap();
    router.await_log("line 2: group.g.deadlines.read");
    let mut idm = router.idm("g");
    let id = idm.call(&validate_request());
    let answer = idm.answer(id);
    let error = answer.error().unwrap_or_else(|| panic!("{answer:?}"));
    assert!(error.exception_class.ends_with("OperationTimeoutException"), "{error:?}");
    assert!(!socket.is_closed(), "settings disturb no member");
}
