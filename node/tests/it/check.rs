//! `rcs-node check`, the exit codes, and the usage.

use crate::support::{CLIENT_SAMPLE, SERVER_SAMPLE, Scratch, run, text};

/// P39, P12, A09: the server sample loads, and is refused for its default key.
#[test]
fn the_server_sample_is_read_and_its_default_key_refused() {
    let scratch = Scratch::new();
    let file = scratch.file("conf/ConnectorServer.properties", SERVER_SAMPLE);
    let ran = run(&["check", text(&file)], b"");
    assert_eq!(ran.code, 65, "{ran:?}");
    assert!(ran.stdout.contains("listen           0.0.0.0:8759"), "{}", ran.stdout);
    assert!(ran.stdout.contains("every 60 s"), "{}", ran.stdout);
    assert!(ran.stderr.contains("set another one with `rcs-node set-key FILE`"), "{}", ran.stderr);
    let plain = ["check", text(&file), "--dev", "-D", "connectorserver.useSSL=false"];
    let ran = run(&plain, b"");
    assert_eq!((ran.code, ran.stdout.lines().last()), (0, Some("ok")), "{ran:?}");
    let ran = run(&["check", text(&file), "--dev"], b"");
    assert!(ran.code == 65 && ran.stderr.contains("keyStore.pkcs12 cannot be read"), "{ran:?}");
}

/// P39, P38: client mode is read, and said to be missing.
#[test]
fn the_client_sample_is_read_and_client_mode_refused() {
    let scratch = Scratch::new();
    let file = scratch.file("ConnectorServer.properties", CLIENT_SAMPLE);
    for command in [&["check"][..], &["serve", "--properties"]] {
        let arguments = [command, &[text(&file)]].concat();
        let ran = run(&arguments, b"");
        assert!(ran.code == 69 && ran.stderr.contains("connectorserver.url asks for client mode"), "{ran:?}");
    }
}

#[test]
fn problems_are_told_with_file_and_line() {
    let scratch = Scratch::new();
    let file = scratch.file("a.properties", "connectorserver.port=x\nconnectorserver.useSSL=maybe\n");
    let ran = run(&["check", text(&file)], b"");
    assert_eq!(ran.code, 65);
    assert!(ran.stderr.contains("a.properties: line 1: connectorserver.port must be"), "{}", ran.stderr);
    assert!(ran.stderr.contains("a.properties: line 2: connectorserver.useSSL is neither"), "{}", ran.stderr);
}

#[test]
fn usage_and_version() {
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["serve", "--help"], 0),
        (&[], 64),
        (&["fly"], 64),
        (&["serve"], 64),
        (&["check", "x", "-D", "connectorserver.port"], 64),
    ] {
        assert_eq!(run(arguments, b"").code, code, "{arguments:?}");
    }
    assert!(run(&["--version"], b"").stdout.starts_with("rcs-node "));
}
