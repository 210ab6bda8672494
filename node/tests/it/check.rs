//! `rcs-node check`, the exit codes, and the usage.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

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
    assert!(ran.stderr.contains("set another key with `rcs-node set-key FILE`"), "{}", ran.stderr);
    let plain = ["check", text(&file), "--dev", "-D", "connectorserver.useSSL=false"];
    let ran = run(&plain, b"");
    assert_eq!((ran.code, ran.stdout.lines().last()), (0, Some("ok")), "{ran:?}");
    let ran = run(&["check", text(&file), "--dev"], b"");
    assert!(ran.code == 65 && ran.stderr.contains("keyStore.pkcs12 cannot be read"), "{ran:?}");
}

/// P39, P17: the client sample is read, its OAuth2 client is shown, and the missing stores are named.
#[test]
fn the_client_sample_is_read_and_what_is_missing_is_named() {
    let scratch = Scratch::new();
    let file = scratch.file("ConnectorServer.properties", CLIENT_SAMPLE);
    for command in [&["check"][..], &["serve", "--properties"]] {
        let arguments = [command, &[text(&file)]].concat();
        let ran = run(&arguments, b"");
        assert!(ran.code == 65 && ran.stderr.contains("truststore.pkcs12 cannot be read"), "{ran:?}");
        assert!(!ran.stderr.contains("OAuth2") && !ran.stderr.contains("password"), "{ran:?}");
        assert!(!format!("{ran:?}").contains("my-client-secret"), "{ran:?}");
    }
    let without = |name: &str| format!("connectorserver.{name}=");
    let [trust, own] = ["trustStoreFile", "keyStoreFile"].map(without);
    let ran = run(&["check", text(&file), "-D", &trust, "-D", &own], b"");
    assert_eq!((ran.code, ran.stdout.lines().last()), (0, Some("ok")), "{ran:?}");
    for line in [
        "token endpoint   https://my-tenant.forgeblocks.com/am/oauth2/realms/root/realms/alpha/access_token",
        "token client     my-client-id",
        "token scope      fr:idm:*",
        "token secret     in this file",
        "token end        connections are kept",
    ] {
        assert!(ran.stdout.lines().any(|found| found == line), "{line}: {}", ran.stdout);
    }
}

#[test]
fn problems_are_told_with_file_and_line() {
    let scratch = Scratch::new();
    let file = scratch.file("a.properties", "connectorserver.port=x\nconnectorserver.useSSL=maybe\n");
    let ran = run(&["check", text(&file)], b"");
    assert_eq!(ran.code, 65);
    assert!(
        ran.stderr.contains("a.properties: line 1: connectorserver.port \"x\" must be"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("a.properties: line 2: connectorserver.useSSL \"maybe\" is neither"),
        "{}",
        ran.stderr
    );
}

/// One run reports all faults: lines without a meaning, invalid settings, the default key, a name without an address, and a missing key
/// store.
#[test]
fn all_faults_are_told_at_once_and_serve_tells_the_same() {
    let scratch = Scratch::new();
    let text_of_file = "connectorserver.port=x\nconnectorserver.ifaddress=no-such-host.invalid\na=\\u1\nb=\\u2\n\
                        connectorserver.useSSL=true\nconnectorserver.keyStoreFile=none.p12\n";
    let file = scratch.file("a.properties", text_of_file);
    let check = run(&["check", text(&file)], b"");
    let serve = run(&["serve", "--properties", text(&file)], b"");
    for ran in [&check, &serve] {
        assert_eq!(ran.code, 65, "{ran:?}");
        for part in [
            "line 1: connectorserver.port \"x\" must be",
            "line 3: `\\u` needs four hex digits",
            "line 4: `\\u` needs four hex digits",
            "the default key `changeit`",
            "connectorserver.ifaddress \"no-such-host.invalid\" cannot be resolved",
            "none.p12 cannot be read",
        ] {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        }
    }
}

/// The node does not use a trust store, and the Java server with the same file would.
#[test]
fn a_trust_store_that_java_could_not_read_is_noticed() {
    let scratch = Scratch::new();
    let pair = rcgen::generate_simple_self_signed(["rcs1".to_owned()]).unwrap();
    let mut store = p12_keystore::KeyStore::new();
    let certificate = p12_keystore::Certificate::from_der(pair.cert.der()).unwrap();
    store.add_entry("rcs1", p12_keystore::KeyStoreEntry::Certificate(certificate));
    fs::write(scratch.path("good.p12"), store.writer("changeit").write().unwrap()).unwrap();
    fs::write(scratch.path("bad.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    for (name, password, says) in [
        ("good.p12", "changeit", "trust store      1 certificate; not used in server mode"),
        ("good.p12", "other", "trustStorePass does not open the trust store"),
        ("bad.pem", "changeit", "is a PEM file, not a PKCS12 store: make one with `keytool -importcert"),
        ("none.p12", "changeit", "cannot be read"),
    ] {
        let text = format!(
            "connectorserver.key=xOS4IeeE6eb/AhMbhxZEC37PgtE\\=\nconnectorserver.trustStoreFile={name}\nconnectorserver.trustStorePass={password}\n"
        );
        let file = scratch.file("a.properties", &text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let ran = run(&["check", self::text(&file)], b"");
        assert!(ran.code == 0 && ran.stdout.contains(says), "{name}: {ran:?}");
        assert_eq!(ran.stdout.contains("notice"), !says.starts_with("trust store "), "{ran:?}");
        assert!(!ran.stdout.contains("other"), "no password is shown: {ran:?}");
    }
}

/// A07: a token is as good as a password, and so is the secret of its client. A trial may send both in clear.
#[test]
fn a_token_is_never_sent_in_clear() {
    let scratch = Scratch::new();
    for (urls, endpoint, says) in [
        (
            "wss://a/openicf ws://b/openicf",
            "https://idp/token",
            "connectorserver.tokenEndpoint would send a token in clear to \"ws://b/openicf\"",
        ),
        (
            "ws://127.0.0.1:1/openicf",
            "http://idp/token",
            "connectorserver.tokenEndpoint is not usable: http:// would send secrets in clear text to idp; write https://",
        ),
        (
            "ws://127.0.0.1:1/openicf ws://localhost/openicf ws://[::1]/openicf",
            "http://localhost:1/token",
            "",
        ),
    ] {
        let file = scratch.file(
            "a.properties",
            format!(
                "connectorserver.url={urls}\nconnectorserver.connectorServerName=n1\nconnectorserver.tokenEndpoint={endpoint}\n\
                 connectorserver.clientId=RCSClient\nconnectorserver.clientSecret=very-secret\n"
            ),
        );
        let ran = run(&["check", text(&file)], b"");
        assert_eq!(ran.code, if says.is_empty() { 0 } else { 65 }, "{ran:?}");
        assert!(ran.stderr.contains(says) && !format!("{ran:?}").contains("very-secret"), "{ran:?}");
        // The authorities of this machine may be missing.
        let ran = run(&["check", text(&file), "--dev"], b"");
        assert!(!ran.stderr.contains("in clear"), "{ran:?}");
    }
}

/// The file of the client's secret is looked at before the node starts.
#[test]
fn a_file_of_a_clients_secret_must_be_usable() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "a.properties",
        "connectorserver.url=ws://127.0.0.1:1/openicf\nconnectorserver.connectorServerName=n1\n\
         connectorserver.tokenEndpoint=http://127.0.0.1:1/token\nconnectorserver.clientId=a\n\
         connectorserver.clientSecretFile=secret\n",
    );
    let check = || run(&["check", text(&file)], b"");
    let ran = check();
    let says = "connectorserver.clientSecretFile: ";
    assert!(ran.code == 65 && ran.stderr.contains(says) && ran.stderr.contains("cannot be read"), "{ran:?}");
    let secret = scratch.file("secret", "\nsecond line");
    let ran = check();
    assert!(ran.code == 65 && ran.stderr.contains("has no secret on its first line"), "{ran:?}");
    scratch.file("secret", "hidden-word\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = check();
    assert!(ran.code == 0 && ran.stdout.contains("token secret     in "), "{ran:?}");
    assert!(!format!("{ran:?}").contains("hidden-word"), "{ran:?}");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o606)).unwrap();
    let ran = check();
    assert!(ran.code == 65 && ran.stderr.contains("chmod o-w"), "{ran:?}");
}

/// A user who can read the file has the key's hash.
#[test]
fn a_file_that_everybody_can_read_is_noticed_and_one_that_everybody_can_write_refused() {
    let scratch = Scratch::new();
    let file = scratch.file("a.properties", "connectorserver.key=xOS4IeeE6eb/AhMbhxZEC37PgtE\\=\n");
    for (mode, code, says) in [(0o600, 0, ""), (0o644, 0, "chmod o-r"), (0o646, 65, "chmod o-w")] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let ran = run(&["check", text(&file)], b"");
        assert_eq!(ran.code, code, "{mode:o}: {ran:?}");
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(says), "{mode:o}: {ran:?}");
        assert_eq!(ran.stdout.contains("notice"), mode == 0o644, "{ran:?}");
    }
}

/// A pipe has no writer and a device has no end: the node refuses both without waiting.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let scratch = Scratch::new();
    let pipe = scratch.path("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let good =
        scratch.file("a.properties", "connectorserver.useSSL=true\nconnectorserver.keyStoreFile=pipe\n");
    for (arguments, says) in [
        (&["check", text(&pipe)][..], "it is a pipe"),
        (&["check", "/dev/zero"], "it is a device"),
        (&["check", text(&good), "--dev"], "it is a pipe"),
        (&["set-key", text(&good), "--key-file", text(&pipe)], "it is a pipe"),
        (
            &[
                "agent",
                "--properties",
                text(&good),
                "--once",
                "--key-file",
                text(&pipe),
                "--member",
                "n1",
                "--report",
                "http://127.0.0.1:1",
            ],
            "it is a pipe",
        ),
    ] {
        let ran = run(arguments, b"");
        assert!(ran.code == 65 && ran.stderr.contains(says), "{arguments:?}: {ran:?}");
    }
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
