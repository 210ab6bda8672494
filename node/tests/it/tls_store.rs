//! Key stores made by the real keytool (S06, P21-P26); said to be skipped where there is no Java.

use crate::support::{SERVER_SAMPLE, Scratch, keytool, run, text};
use rcs_rig::stores::OTHER_STORE;

/// The walk-through of the vendor's page: a self-signed EC key pair in PKCS12. RSA likewise.
#[test]
fn stores_of_the_real_keytool_load() {
    for algorithm in
        [&["-keyalg", "EC"][..], &["-keyalg", "EC", "-groupname", "secp521r1"], &["-keyalg", "RSA"]]
    {
        let scratch = Scratch::new();
        let file = scratch.file("conf/ConnectorServer.properties", SERVER_SAMPLE);
        let store = scratch.file("security/readme", "").with_file_name("keyStore.pkcs12");
        let pair = ["-genkeypair", "-alias", "icf-rcs", "-dname", "CN=icf.example.com,O=Example Corp,C=FR"];
        let place = ["-keystore", text(&store), "-storetype", "PKCS12", "-storepass", "changeit"];
        if keytool(&[&pair[..], algorithm, &place].concat()).is_none() {
            return;
        }
        let ran = run(&["check", text(&file), "--dev"], b"");
        assert_eq!(ran.code, 0, "{algorithm:?}: {ran:?}");
        assert!(ran.stdout.contains("icf.example.com") && ran.stdout.contains("icf-rcs"), "{}", ran.stdout);
        let wrong = ["check", text(&file), "--dev", "-D", "connectorserver.keyStorePass=wrong!"];
        let ran = run(&wrong, b"");
        assert!(ran.code == 65 && ran.stderr.contains("keyStorePass does not open"), "{ran:?}");
        assert!(!ran.stderr.contains("wrong!"), "{ran:?}");
    }
}

/// A trust store has no key of its own.
#[test]
fn a_store_without_a_key_is_refused() {
    let scratch = Scratch::new();
    let [own, certificate, trust] = ["own.p12", "own.der", "security/keyStore.pkcs12"]
        .map(|name| scratch.file(name, "").with_extension("new"));
    let [own, certificate, trust] = [text(&own), text(&certificate), text(&trust)];
    let password = ["-storetype", "PKCS12", "-storepass", "changeit"];
    let pair = ["-genkeypair", "-keyalg", "EC", "-alias", "a", "-dname", "CN=a", "-keystore", own];
    if keytool(&[&pair[..], &password].concat()).is_none() {
        return;
    }
    let export = ["-exportcert", "-alias", "a", "-keystore", own, "-file", certificate];
    keytool(&[&export[..], &password].concat()).expect("it was there a moment ago");
    let import = ["-importcert", "-noprompt", "-alias", "a", "-keystore", trust, "-file", certificate];
    keytool(&[&import[..], &password].concat()).expect("it was there a moment ago");
    let file = scratch.file("ConnectorServer.properties", SERVER_SAMPLE);
    let store = format!("connectorserver.keyStoreFile={trust}");
    let ran = run(&["check", text(&file), "--dev", "-D", &store], b"");
    assert!(ran.code == 65 && ran.stderr.contains("has no private key"), "{ran:?}");
}

#[test]
fn nonsense_is_no_store() {
    let scratch = Scratch::new();
    scratch.file("security/keyStore.pkcs12", b"nonsense");
    let file = scratch.file("conf/ConnectorServer.properties", SERVER_SAMPLE);
    let ran = run(&["check", text(&file), "--dev"], b"");
    assert!(ran.code == 65 && ran.stderr.contains("is neither a PKCS12 store nor a PEM file"), "{ran:?}");
}

/// Stores that keytool and openssl make and TLS here cannot use. Each error names kind and size of the key, and the way out.
#[test]
fn a_key_or_store_of_another_kind_is_named_with_the_way_out() {
    let scratch = Scratch::new();
    let file = scratch.file("conf/ConnectorServer.properties", SERVER_SAMPLE);
    let check = |store: &std::path::Path| {
        let store = format!("connectorserver.keyStoreFile={}", text(store));
        run(&["check", text(&file), "--dev", "-D", &store], b"")
    };
    let pair = ["-genkeypair", "-alias", "a", "-dname", "CN=localhost", "-validity", "3650"];
    let password = ["-storepass", "changeit", "-keypass", "changeit"];
    for (algorithm, kind, says) in [
        (&["-keyalg", "DSA", "-keysize", "2048"][..], "PKCS12", "a DSA key of 2048 bits"),
        (&["-keyalg", "RSA", "-keysize", "1024"], "PKCS12", "an RSA key of 1024 bits"),
        (&["-keyalg", "RSASSA-PSS"], "PKCS12", "an RSASSA-PSS key"),
        (
            &["-keyalg", "RSA"],
            "JKS",
            "is a JKS store, not a PKCS12 store: convert it with `keytool -importkeystore",
        ),
        (&["-keyalg", "RSA"], "JCEKS", "is a JCEKS store"),
    ] {
        let store = scratch.path(&format!("{}.{kind}", algorithm.concat()));
        let place = ["-keystore", text(&store), "-storetype", kind];
        if keytool(&[&pair[..], algorithm, &place, &password].concat()).is_none() {
            return;
        }
        let ran = check(&store);
        assert!(ran.code == 65 && ran.stderr.contains(says), "{algorithm:?} {kind}: {ran:?}");
        assert!(ran.stderr.contains("keytool -"), "the way out: {ran:?}");
    }
    let pem =
        scratch.file("key.pem", "\u{feff}-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    assert!(check(&pem).stderr.contains("is a PEM file, not a PKCS12 store"), "{:?}", check(&pem));
    assert!(check(&pem).stderr.contains("openssl pkcs12 -export"));

    let old = scratch.path("old.p12");
    let dates = ["-keyalg", "EC", "-startdate", "-400d", "-validity", "365"];
    let place = ["-keystore", text(&old), "-storetype", "PKCS12"];
    keytool(&[&pair[..5], &dates, &place, &password].concat()).expect("it was there a moment ago");
    let ran = check(&old);
    assert_eq!(ran.code, 0, "a Java server takes it, too: {ran:?}");
    assert!(
        ran.stdout.contains("notice           the certificate of \"CN=localhost\" expired on 20"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("an EC key of "), "{ran:?}");
}

/// Certificates that an authority signed, with and without the authority's in the store; SHA-1; a password of the key's own.
#[test]
fn a_store_works_or_the_check_says_what_to_do() {
    let scratch = Scratch::new();
    let file = scratch.file("conf/ConnectorServer.properties", SERVER_SAMPLE);
    let store = |name: &str| scratch.path(name).display().to_string();
    let generate = |place: &str, more: &[&str]| {
        let pair = ["-genkeypair", "-storetype", "PKCS12", "-storepass", "changeit", "-keystore", place];
        keytool(&[&pair[..], more].concat())
    };
    let (signed, sha1, other, alone) =
        (store("signed.p12"), store("sha1.p12"), store("other.p12"), store("alone.p12"));
    let of_server = ["-alias", "rcs", "-dname", "CN=rcs.example"];
    let authority = ["-alias", "ca", "-dname", "CN=Our CA", "-keyalg", "EC", "-ext", "bc:c"];
    if generate(&signed, &authority).is_none() {
        return;
    }
    generate(&signed, &[&of_server[..], &["-keyalg", "EC", "-signer", "ca"]].concat());
    keytool(&["-delete", "-alias", "ca", "-storepass", "changeit", "-keystore", &signed]);
    generate(&sha1, &[&of_server[..], &["-keyalg", "RSA", "-sigalg", "SHA1withRSA"]].concat());
    let source = scratch.file("Other.java", OTHER_STORE);
    for (made, password, certificates) in [(&other, "another", "2"), (&alone, "changeit", "1")] {
        let mut java = std::process::Command::new("java");
        let ran =
            java.arg(&source).args([&signed, made, password, certificates]).output().expect("Java is there");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    for (store, code, says) in [
        (&signed, 0, "callers must trust the last certificate of its chain (self-signed, \"CN=Our CA\")"),
        (&alone, 0, "callers must trust its issuer \"CN=Our CA\", whose certificate is not in the file"),
        (&sha1, 0, "which many peers refuse: make a new certificate with SHA-256"),
        (
            &other,
            65,
            "has a password of its own. Give the key the password of the store: keytool -importkeystore",
        ),
    ] {
        let ran = run(
            &["check", text(&file), "--dev", "-D", &format!("connectorserver.keyStoreFile={store}")],
            b"",
        );
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.code == code && said.contains(says), "{store}: {ran:?}");
    }
}
