//! `rcs-node set-key` (P35, P36, N05).

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use crate::support::{SERVER_SAMPLE, Scratch, run, text};

/// P36: one value changes, the rest stays byte for byte, and the program says so.
#[test]
fn rewrites_the_key_of_the_sample_file_and_nothing_else() {
    let scratch = Scratch::new();
    let file = scratch.file("conf/ConnectorServer.properties", SERVER_SAMPLE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let ran = run(&["set-key", text(&file)], b"Passw0rd\n");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("The key has been set in line 15 of"), "{}", ran.stdout);
    let sample = String::from_utf8(SERVER_SAMPLE.to_vec()).unwrap();
    // Computed apart: base64(sha1("Passw0rd".encode("utf-16-be"))).
    let expected = sample.replace("lmA6bMfENJGlIDbfrVtklXFK32s\\=", "xOS4IeeE6eb/AhMbhxZEC37PgtE\\=");
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    let left: Vec<_> = fs::read_dir(scratch.path("conf")).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
    let ran = run(&["check", text(&file), "-D", "connectorserver.useSSL=false"], b"");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn takes_the_key_from_a_file_and_follows_a_link() {
    let scratch = Scratch::new();
    let file = scratch.file("real.properties", "connectorserver.port=1\r\n");
    let key = scratch.file("key", "Passw0rd");
    let link = scratch.path("link.properties");
    symlink(&file, &link).unwrap();
    let ran = run(&["set-key", text(&link), "--key-file", text(&key)], b"");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("a new line at the end of"), "{}", ran.stdout);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "connectorserver.port=1\r\nconnectorserver.key=xOS4IeeE6eb/AhMbhxZEC37PgtE\\=\r\n"
    );
}

/// A09 and what a caller cannot send; the file stays as it was.
#[test]
fn refuses_keys_that_make_no_sense() {
    let long = "x".repeat(2000);
    for (key, expected) in [
        ("", "the key is empty"),
        ("\n", "the key is empty"),
        ("changeit\n", "the default key"),
        ("a\tb\n", "a character that callers cannot send"),
        ("\u{20ac}\n", "a character that callers cannot send"),
        (long.as_str(), "longer than 1024 bytes"),
    ] {
        let scratch = Scratch::new();
        let file = scratch.file("a.properties", SERVER_SAMPLE);
        let ran = run(&["set-key", text(&file)], key.as_bytes());
        assert!(ran.code == 65 && ran.stderr.contains(expected), "{key:?}: {ran:?}");
        assert_eq!(fs::read(&file).unwrap(), SERVER_SAMPLE);
    }
}

#[test]
fn a_bad_file_is_named_and_left_alone() {
    let scratch = Scratch::new();
    let missing = scratch.path("none.properties");
    let ran = run(&["set-key", text(&missing)], b"Passw0rd\n");
    assert!(ran.code == 65 && ran.stderr.contains("none.properties cannot be read"), "{ran:?}");
    let bad = scratch.file("bad.properties", "a=\\u12");
    let ran = run(&["set-key", text(&bad)], b"Passw0rd\n");
    assert!(ran.code == 65 && ran.stderr.contains("line 1"), "{ran:?}");
    assert_eq!(fs::read(&bad).unwrap(), b"a=\\u12");
}

/// P35: the hash alone, for files that are made elsewhere.
#[test]
fn hash_key_prints_the_hash_and_nothing_else() {
    let scratch = Scratch::new();
    let key = scratch.file("key", "Passw0rd\n");
    for (arguments, stdin) in
        [(&["hash-key"][..], &b"Passw0rd\n"[..]), (&["hash-key", "--key-file", text(&key)], b"")]
    {
        let ran = run(arguments, stdin);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "xOS4IeeE6eb/AhMbhxZEC37PgtE=\n"), "{ran:?}");
    }
    let ran = run(&["hash-key"], b"changeit\n");
    assert!(
        ran.code == 65 && ran.stdout.is_empty() && ran.stderr.contains("must not be the default key"),
        "{ran:?}"
    );
}
