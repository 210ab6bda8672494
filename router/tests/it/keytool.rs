//! Key stores that the real keytool makes: each works as the router's certificate, or `check` says what to do (S06, issue of stores in the
//! field). Without Java the test says so and returns.

use rcs_rig::stores::OTHER_STORE;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{file, member, provider, run, scratch};

fn keytool(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("keytool");
    command.current_dir(folder).args(arguments).args(["-storepass", "changeit"]);
    command.env("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "keytool {arguments:?}: {}", String::from_utf8_lossy(&said));
}

fn generate(folder: &Path, store: &str, more: &str) {
    let line =
        format!("-genkeypair -alias rcs -storetype PKCS12 -keystore {store} -dname CN=router.example {more}");
    keytool(folder, &line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
}

#[test]
fn stores_of_keytool_work_or_are_named_with_what_to_do() {
    let has = |tool: &str, option: &str| {
        Command::new(tool)
            .arg(option)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !(has("keytool", "-help") && has("java", "-version")) {
        assert!(std::env::var_os("RCS_REQUIRE_ALL").is_none(), "this test needs Java");
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr().lock(),
            "SKIPPED stores_of_keytool_work_or_are_named_with_what_to_do: no Java"
        );
        return;
    }
    let scratch = scratch();
    let folder = scratch.path();
    let member = member("n1");
    let document = provider(&scratch, &[("n1", &member)]);
    generate(folder, "ec.p12", "-keyalg EC -groupname secp256r1 -ext san=dns:router.example");
    generate(folder, "rsa.p12", "-keyalg RSA -keysize 2048");
    generate(folder, "sha1.p12", "-keyalg RSA -keysize 2048 -sigalg SHA1withRSA");
    generate(folder, "dsa.p12", "-keyalg DSA -keysize 2048");
    generate(folder, "small.p12", "-keyalg RSA -keysize 1024");
    generate(folder, "ended.p12", "-keyalg EC -groupname secp384r1 -startdate -400d -validity 300");
    // Signed by an authority of the same store, which is taken out afterwards. Its certificate stays in the chain.
    keytool(
        folder,
        &[
            "-genkeypair",
            "-alias",
            "ca",
            "-storetype",
            "PKCS12",
            "-keystore",
            "signed.p12",
            "-dname",
            "CN=Our CA",
            "-keyalg",
            "EC",
            "-ext",
            "bc:c",
        ],
    );
    generate(folder, "signed.p12", "-keyalg EC -signer ca");
    keytool(folder, &["-delete", "-alias", "ca", "-keystore", "signed.p12"]);
    let source = file(&scratch, "Other.java", OTHER_STORE);
    let other = |arguments: &str| {
        let mut java = Command::new("java");
        let made = java.current_dir(folder).arg(&source).args(arguments.split(' ')).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    other("ec.p12 other.p12 another 1");
    other("signed.p12 alone.p12 changeit 1");
    fs::write(folder.join("old.jks"), b"\xFE\xED\xFE\xED\0\0\0\x02").unwrap();
    let (right, wrong) =
        (file(&scratch, "right", "changeit\n"), file(&scratch, "wrong", "secret-of-others\n"));

    for (store, password, code, part) in [
        (
            "ec.p12",
            None,
            0,
            "has an EC key of 256 bits. Peers must trust this certificate itself (self-signed",
        ),
        ("ec.p12", Some(&right), 0, ""),
        ("rsa.p12", None, 0, ""),
        (
            "signed.p12",
            None,
            0,
            "Peers must trust the last certificate of its chain (self-signed, \"CN=Our CA\")",
        ),
        (
            "alone.p12",
            None,
            0,
            "Peers must trust its issuer \"CN=Our CA\", whose certificate is not in the file",
        ),
        ("sha1.p12", None, 0, "is signed with sha1"),
        ("ended.p12", None, 0, "expired on 20"),
        (
            "ec.p12",
            Some(&wrong),
            65,
            "the given password does not open the PKCS12 store: correct the password",
        ),
        (
            "dsa.p12",
            None,
            65,
            "has a DSA key of 2048 bits, which TLS here cannot use: it needs an RSA key of 2048",
        ),
        ("small.p12", None, 65, "has an RSA key of 1024 bits, which TLS here cannot use"),
        (
            "other.p12",
            None,
            65,
            "has a password of its own. Give the key the password of the store: keytool -importkeystore",
        ),
        (
            "old.jks",
            None,
            65,
            "(JKS), which only Java reads. Write a store of the standard form: keytool -importkeystore",
        ),
    ] {
        let path = folder.join(store);
        let mut arguments = vec![
            "check",
            "--dev",
            "--provider",
            document.to_str().unwrap(),
            "--key-store",
            path.to_str().unwrap(),
        ];
        if let Some(file) = password {
            arguments.extend(["--key-store-password-file", file.as_str()]);
        }
        let ran = run(&arguments);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.code == Some(code), "{store}: {ran:?}");
        assert!(said.to_lowercase().contains(&part.to_lowercase()), "{store}: no {part:?} in {said}");
        assert!(
            !said.contains("secret-of-others")
                && (code != 0
                    || part.contains(" sha1")
                    || part.contains("expired")
                    || !said.contains("Warning: the cert")),
            "{store}: {said}"
        );
    }
}
