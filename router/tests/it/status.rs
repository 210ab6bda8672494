//! `status`, `version`, `completion`, and variables in the place of flags.

use rcs_rig::wait::wait_until;
use serde_json::Value;

use crate::support::{PATIENCE, Router, member, provider, router, run, run_command, scratch};

#[test]
fn a_status_is_a_sentence_with_an_exit_code() {
    let folder = scratch();
    let (n1, n2) = (member("n1"), member("n2"));
    let document = provider(&folder, &[("n1", &n1), ("n2", &n2)]);
    let serving = Router::serve(&document, &["--dev"]);
    serving.await_ready();
    let server = format!("http://{}", serving.admin);
    let status = |more: &[&str]| run(&[&["status", "--server", &server], more].concat());
    wait_until("both members serve", PATIENCE, || status(&[]).code == Some(0));
    let fine = status(&[]);
    assert!(fine.stdout.starts_with("ok: the group is served by all its members\nrcs-router "), "{fine:?}");
    drop(n2);
    wait_until("a member is missing", PATIENCE, || status(&[]).code == Some(1));
    let short = status(&[]);
    assert!(
        short
            .stdout
            .starts_with("degraded: all calls are served, but not every member of g serves as it should\n"),
        "{short:?}"
    );
    assert!(short.stdout.contains("1 of 2") && short.stderr.is_empty(), "{short:?}");
    assert!(short.stdout.lines().all(|line| line.chars().count() <= 80), "{short:?}");
    drop(n1);
    wait_until("no member serves", PATIENCE, || status(&[]).code == Some(2));
    let down = status(&["-o", "json"]);
    let json: Value = serde_json::from_str(&down.stdout).unwrap();
    assert_eq!(
        (down.code, &json["condition"], &json["version"]),
        (Some(2), &"down".into(), &env!("CARGO_PKG_VERSION").into())
    );
    let version = run(&["version", "--server", &server]);
    assert_eq!(
        version.stdout,
        format!("rcs-router {0}\n{1} {0}\n", env!("CARGO_PKG_VERSION"), serving.admin)
    );

    // The server may stand in a variable. A router that does not respond is reported neither as ok nor as down.
    let mut command = router(&["status"]);
    command.env("RCS_ROUTER_SERVER", &server);
    assert_eq!(run_command(command).code, Some(2));
    drop(serving);
    assert_eq!(status(&[]).code, Some(69));
}

/// The router serves on with the last good version, so the condition stays.
#[test]
fn a_status_names_files_that_were_rejected() {
    let folder = scratch();
    let n1 = member("n1");
    let document = provider(&folder, &[("n1", &n1)]);
    let good = std::fs::read_to_string(&document).unwrap();
    let serving = Router::serve(&document, &["--dev"]);
    serving.await_ready();
    let server = format!("http://{}", serving.admin);
    let status = || run(&["status", "--server", &server]);
    std::fs::write(&document, r#"{"remoteConnectorServers": [{"name": "n1", "port": 70000}]}"#).unwrap();
    let told = "warning: the provider file was rejected; the last good version stays in force:\n";
    wait_until("the file is rejected", PATIENCE, || status().stdout.contains(told));
    let seen = status();
    assert!(seen.code == Some(0) && seen.stdout.starts_with("ok: "), "{seen:?}");
    assert!(seen.stdout.contains("  remoteConnectorServers[0].port: must be"), "{seen:?}");
    let json = run(&["status", "--server", &server, "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["rejected_files"][0]["file"], "provider");
    std::fs::write(&document, good).unwrap();
    wait_until("the file is good again", PATIENCE, || !status().stdout.contains("warning"));
}

/// Scripts rely on the codes, so the help of the whole program has all of them.
#[test]
fn help_lists_every_exit_code() {
    let help = run(&["--help"]).stdout;
    for code in [
        "0 success",
        "1 not every member",
        "2 no member",
        "64 wrong",
        "65 invalid",
        "69 a resource",
        "70 internal",
    ] {
        assert!(help.contains(code), "no {code:?} in {help}");
    }
}

#[test]
fn one_line_says_what_runs() {
    let folder = scratch();
    let n1 = member("n1");
    let serving = Router::serve(&provider(&folder, &[("n1", &n1)]), &["--dev"]);
    serving.await_log("rcs-router serves version=");
    let said = format!("listen=\"{}\" admin={} groups=1 members=1", serving.listen, serving.admin);
    assert!(serving.process.said_on_stderr(&said), "{said}\n{}", serving.process);
}

#[test]
fn serve_is_set_by_variables_alone() {
    let folder = scratch();
    let n1 = member("n1");
    let mut command = router(&["serve"]);
    for (name, value) in [
        ("PROVIDER", provider(&folder, &[("n1", &n1)]).to_str().unwrap()),
        ("LISTEN", "127.0.0.1:0,127.0.0.1:0=g"),
        ("ADMIN", "127.0.0.1:0"),
        ("SPILL_DIR", "none"),
        ("THREADS", "1"),
        ("DEV", "1"),
        ("LOG_FORMAT", "json"),
    ] {
        command.env(format!("RCS_ROUTER_{name}"), value);
    }
    let serving = Router::start(command);
    serving.await_ready();
    serving.await_log("\"fields\":{\"message\":\"rcs-router serves\"");
    serving.await_log("=g\",\"admin\":");
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completion", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for word in ["serve", "status", "caller-key-file", "undrain"] {
            assert!(ran.stdout.contains(word), "{shell} completes {word}");
        }
    }
    assert_eq!(run(&["completion", "dos"]).code, Some(64));
}
