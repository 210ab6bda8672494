use proptest::prelude::*;

use super::*;
use crate::limits::MANIFEST_BODY_BYTES_MAX;

fn file(root: Root, path: &str, bytes: &[u8]) -> FileEntry {
    let content = Content::File { sha256: Digest::of(bytes), bytes: bytes.len() as u64 };
    FileEntry { root, path: path.to_owned(), content, bundle: None, link: None }
}

fn odd(path: &str, oddity: Oddity, link: &str) -> FileEntry {
    let content = Content::Odd(oddity);
    FileEntry { root: Root::Lib, path: path.to_owned(), content, bundle: None, link: Some(link.to_owned()) }
}

fn nonce() -> Nonce {
    "000102030405060708090a0b0c0d0e0f".parse().unwrap()
}

fn sample() -> FileManifest {
    let mut jar = file(Root::Bundles, "csv.jar", b"jar");
    jar.bundle = Some(Bundle { name: "org.example.csv".to_owned(), version: "1.5.20.30".to_owned() });
    let mut linked = file(Root::Lib, "scripts/b.groovy", b"b");
    linked.link = Some("../b.groovy".to_owned());
    FileManifest::of(vec![linked, odd("gone", Oddity::Dangling, "../x"), jar]).unwrap()
}

fn report(set: ReportedSet) -> Report {
    Report { member: "n1".to_owned(), nonce: nonce(), agent: "rcs-node 0.1.0".to_owned(), set }
}

/// The canonical form is a format: a change of it must be on purpose.
#[test]
fn the_canonical_form_is_this() {
    let empty = FileManifest::of(vec![]).unwrap();
    assert_eq!(empty.digest(), Digest::of(b"rcs-manifest-1\n"));
    let a = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let form = format!("rcs-manifest-1\nbundles\0a.jar\0{a}\x001\nlib\0l\0loop\0.\n");
    let manifest =
        FileManifest::of(vec![odd("l", Oddity::Loop, "."), file(Root::Bundles, "a.jar", b"a")]).unwrap();
    assert_eq!(manifest.digest(), Digest::of(form.as_bytes()));
}

#[test]
fn a_report_has_the_agreed_shape() {
    let body = report(ReportedSet::Whole(sample())).encode().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let digest = sample().digest().to_string();
    let expected = serde_json::json!({
        "member": "n1", "nonce": "000102030405060708090a0b0c0d0e0f", "agent": "rcs-node 0.1.0", "digest": digest,
        "files": [
            {"root": "bundles", "path": "csv.jar", "bytes": 3, "sha256": Digest::of(b"jar").to_string(),
             "bundle": {"name": "org.example.csv", "version": "1.5.20.30"}},
            {"root": "lib", "path": "gone", "odd": "dangling", "link": "../x"},
            {"root": "lib", "path": "scripts/b.groovy", "bytes": 1, "sha256": Digest::of(b"b").to_string(),
             "link": "../b.groovy"},
        ],
    });
    assert_eq!(json, expected);
    assert_eq!(Report::decode(&body).unwrap(), report(ReportedSet::Whole(sample())));
    let beat = report(ReportedSet::Unchanged(sample().digest()));
    let body = beat.encode().unwrap();
    assert!(!body.windows(5).any(|part| part == b"files"), "{}", String::from_utf8_lossy(&body));
    assert_eq!(Report::decode(&body).unwrap(), beat);
}

#[test]
fn a_challenge_has_the_agreed_shape() {
    let body = Challenge { nonce: nonce() }.encode();
    assert_eq!(body, r#"{"nonce":"000102030405060708090a0b0c0d0e0f"}"#);
    assert_eq!(Challenge::decode(body.as_bytes()), Ok(Challenge { nonce: nonce() }));
    assert_eq!(Challenge::decode(br#"{"nonce":"00"}"#), Err(ReportError::Nonce));
    assert!(matches!(Challenge::decode(b"<html>"), Err(ReportError::Json(_))));
}

/// What stands in the lists and in the paths of a stranger's report.
#[test]
fn hostile_reports_are_refused_with_a_sentence() {
    let hex = Digest::of(b"").to_string();
    let upper = hex.to_uppercase();
    let entry = |path: &str| format!(r#"{{"root":"lib","path":"{path}","sha256":"{hex}","bytes":0}}"#);
    let long = "a".repeat(513);
    let many = vec![entry("a"); 10_001].join(",");
    let cases: Vec<(String, &str)> = vec![
        (entry("../../etc/shadow"), "no name that is empty, `.` or `..`"),
        (entry("/etc/shadow"), "no name that is empty"),
        (entry("a//b"), "no name that is empty"),
        (entry("a/"), "no name that is empty"),
        (entry("./a"), "no name that is empty"),
        (entry("a/.."), "no name that is empty"),
        (entry(""), "the path is empty"),
        (entry("a\\u0000b"), "has a control character"),
        (entry("a\\nERROR forged line"), "has a control character"),
        (entry("a\\u0085b"), "has a control character"),
        (entry(&long), "the path is longer than 512 bytes"),
        (format!("{},{}", entry("b"), entry("a")), "lib/a is out of order"),
        (format!("{},{}", entry("a"), entry("a")), "lib/a is listed twice"),
        (format!("{},{}", entry("z"), entry("a").replace("lib", "bundles")), "bundles/a is out of order"),
        (many, "more than 10000 files"),
        (entry("a").replace("lib", "etc"), "`root` must be"),
        (entry("a").replace(&hex, "00"), "`sha256` must have 64 digits"),
        (entry("a").replace(&hex, &upper), "`sha256` must have 64 digits"),
        (entry("a").replace(":0}", ":-1}"), "invalid value"),
        (entry("a").replace(":0}", ":1e400}"), "number out of range"),
        (entry("a").replace(r#","bytes":0"#, ""), "a file has `sha256` and `bytes`"),
        (entry("a").replace(":0}", r#":0,"odd":"loop"}"#), "a file has `sha256` and `bytes`"),
        (entry("a").replace(":0}", r#":0,"mode":493}"#), "unknown field"),
        (entry("a").replace(":0}", r#":0,"bytes":1}"#), "duplicate field"),
        (r#"{"root":"lib","path":"a","odd":"fine"}"#.to_owned(), "`odd` must be"),
        (entry("a").replace(":0}", r#":0,"link":""}"#), "the link's target is empty"),
        (
            entry("a").replace(":0}", r#":0,"bundle":{"name":"\u0007","version":"1"}}"#),
            "name or version has a control",
        ),
        (entry("a\\ud800"), "the report is not JSON"),
        ("[".repeat(100_000), "the report is not JSON"),
        (entry("a"), "`digest` does not match the listed files"),
    ];
    for (files, sentence) in cases {
        let body = format!(
            r#"{{"member":"n1","nonce":"{}","agent":"x","digest":"{hex}","files":[{files}]}}"#,
            nonce()
        );
        let error = Report::decode(body.as_bytes()).expect_err(sentence).to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
        assert!(error.len() < 400 && !error.contains(char::is_control), "{error:?}");
    }
    let whole =
        String::from_utf8(report(ReportedSet::Unchanged(sample().digest())).encode().unwrap()).unwrap();
    for (from, to, sentence) in [
        (r#""n1""#, r#""n\n1""#, "`member` has a control character"),
        (r#""n1""#, r#""""#, "`member` is empty"),
        ("rcs-node", "\\u0000", "`agent` has a control character"),
        ("000102", "00010x", "`nonce` must be"),
        ("0b0c0d0e0f", "", "`nonce` must be"),
        (r#""digest":""#, r#""digest":"0"#, "`digest` must be"),
        ("{", "", "the report is not JSON"),
        (r#""n1""#, r#"["n1"]"#, "the report is not JSON"),
    ] {
        let error = Report::decode(whole.replacen(from, to, 1).as_bytes()).expect_err(sentence).to_string();
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
    let error = Report::decode(&vec![b' '; MANIFEST_BODY_BYTES_MAX + 1]).expect_err("too large");
    assert!(matches!(error, ReportError::TooLarge { .. }), "{error}");
}

/// A body of the largest size costs a small multiple of itself, whatever stands in it.
#[test]
fn memory_is_bounded_by_the_body() {
    let start = format!(r#"{{"member":"n1","nonce":"{}","agent":"x","digest":"","files":["#, nonce());
    let odd = r#"{"root":"lib","path":"a","odd":"loop"},"#;
    for filler in ["[", "\"\\u0041\",", "{\"a\":", "0,", odd] {
        let body =
            format!("{start}{}", filler.repeat((MANIFEST_BODY_BYTES_MAX - start.len()) / filler.len()));
        let info = allocation_counter::measure(|| drop(Report::decode(body.as_bytes())));
        assert!(info.bytes_max < 8 << 20, "{filler}: {} bytes", info.bytes_max);
    }
    let escaped = format!(r#"{{"member":"{}"}}"#, "\\n".repeat(2_000_000));
    let info = allocation_counter::measure(|| drop(Report::decode(escaped.as_bytes())));
    assert!(info.bytes_max < 8 << 20, "{} bytes", info.bytes_max);
}

#[test]
fn the_largest_manifest_of_common_paths_fits() {
    let files = (0..MANIFEST_FILES_MAX).map(|n| file(Root::Lib, &format!("{}{n:05}", "d/".repeat(90)), b"x"));
    let manifest = FileManifest::of(files.collect()).unwrap();
    let body = report(ReportedSet::Whole(manifest.clone())).encode().unwrap();
    assert_eq!(Report::decode(&body).unwrap().set, ReportedSet::Whole(manifest));
    let files = (0..MANIFEST_FILES_MAX).map(|n| file(Root::Lib, &format!("{}{n:05}", "d".repeat(500)), b"x"));
    let manifest = FileManifest::of(files.collect()).unwrap();
    let error = report(ReportedSet::Whole(manifest)).encode().expect_err("too large");
    assert!(matches!(error, ReportError::TooLarge { .. }), "{error}");
}

#[test]
fn odd_entries_are_found_and_compared_by_their_links() {
    let one = FileManifest::of(vec![odd("l", Oddity::Outside, "/opt/a")]).unwrap();
    let other = FileManifest::of(vec![odd("l", Oddity::Outside, "/opt/b")]).unwrap();
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.get(Root::Lib, "l"), one.files().first());
    assert_eq!(one.get(Root::Bundles, "l"), None);
    // A file is its bytes, however it comes to its place.
    let plain = file(Root::Lib, "a", b"a");
    let linked = FileEntry { link: Some("b".to_owned()), ..plain.clone() };
    let digests = [plain, linked].map(|entry| FileManifest::of(vec![entry]).unwrap().digest());
    assert_eq!(digests[0], digests[1]);
}

/// RFC 2104 as `openssl dgst -sha256 -hmac` computes it, under the sample file's key hash (P35).
#[test]
fn a_head_proves_nonce_member_and_length() {
    let key = ProofKey::of_key("changeit");
    let head = key.prove_head(&nonce(), "n1", 2);
    let text =
        "000102030405060708090a0b0c0d0e0f 5dc4b76b28d8180037b3cc8a0f0fff7695c24107f98a209a5f550f4ac6dd1c3a";
    assert_eq!(head.to_string(), text);
    let read: Head = text.parse().unwrap();
    assert_eq!((read.nonce(), key.verify_head(&read, "n1", 2)), (&nonce(), Ok(())));
    let of_other_nonce: Head = text.replace("0f ", "0e ").parse().unwrap();
    for (key, head, member, bytes) in [
        (ProofKey::of_key("Passw0rd"), read, "n1", 2),
        (key.clone(), of_other_nonce, "n1", 2),
        (key.clone(), read, "n2", 2),
        (key.clone(), read, "n1", 3),
    ] {
        assert_eq!(key.verify_head(&head, member, bytes), Err(WrongProof), "{member} {bytes}");
    }
    let proof = key.prove(&nonce(), "n1", b"2").to_string();
    assert_eq!(key.verify(&nonce(), "n1", b"2", text.split_once(' ').unwrap().1), Err(WrongProof));
    assert_eq!(key.verify_head(&format!("{} {proof}", nonce()).parse().unwrap(), "n1", 2), Err(WrongProof));
    for text in ["", " ", &text[..96], &text.to_uppercase(), &text.replace(' ', "")] {
        assert!(text.parse::<Head>().is_err(), "{text:?}");
    }
    assert!(!format!("{head:?}").contains("5dc4b76b28d8"));
}

#[test]
fn a_proof_is_that_of_any_hmac() {
    let stored = ProofKey::of_stored_hash("lmA6bMfENJGlIDbfrVtklXFK32s=");
    let proof = stored.prove(&nonce(), "n1", b"{}").to_string();
    assert_eq!(proof, "c072a6793730ab01d94541c2b10ba4b9884862dbaf035d15af8721481bb6bf92");
    assert_eq!(ProofKey::of_key("changeit").prove(&nonce(), "n1", b"{}").to_string(), proof);
    assert_eq!(stored.verify(&nonce(), "n1", b"{}", &proof), Ok(()));
    let other_nonce = Nonce::from([1; 16]);
    for (key, nonce, member, body, header) in [
        (ProofKey::of_key("Passw0rd"), nonce(), "n1", &b"{}"[..], proof.as_str()),
        (stored.clone(), other_nonce, "n1", b"{}", &proof),
        (stored.clone(), nonce(), "n2", b"{}", &proof),
        (stored.clone(), nonce(), "n1", b"{} ", &proof),
        (stored.clone(), nonce(), "n1", b"{}", &proof.to_uppercase()),
        (stored.clone(), nonce(), "n1", b"{}", &proof[..62]),
        (stored.clone(), nonce(), "n1", b"{}", ""),
        (stored.clone(), nonce(), "n1", b"{}", &"é".repeat(32)),
    ] {
        assert_eq!(key.verify(&nonce, member, body, header), Err(WrongProof), "{member} {header}");
    }
    assert!(!format!("{stored:?}{:?}", stored.prove(&nonce(), "n1", b"")).contains("lmA6"));
}

fn entry() -> impl Strategy<Value = FileEntry> {
    let root = prop_oneof![Just(Root::Bundles), Just(Root::Lib)];
    let path =
        proptest::collection::vec("[a-c\u{e9}\u{1f600}][.a]{0,2}", 1..4).prop_map(|names| names.join("/"));
    let content = prop_oneof![
        4 => any::<(u8, u8)>().prop_map(|(seed, bytes)| Content::File { sha256: Digest::of(&[seed]), bytes: bytes.into() }),
        1 => proptest::sample::select(Oddity::ALL.to_vec()).prop_map(Content::Odd),
    ];
    let bundle = proptest::option::of(
        ("[a-z.]{1,9}", "[0-9.]{1,9}").prop_map(|(name, version)| Bundle { name, version }),
    );
    (root, path, content, bundle, proptest::option::of("[a-z./]{1,9}"))
        .prop_map(|(root, path, content, bundle, link)| FileEntry { root, path, content, bundle, link })
}

/// Entries of different places, and the same in another order.
fn entries() -> impl Strategy<Value = (Vec<FileEntry>, Vec<FileEntry>)> {
    proptest::collection::vec(entry(), 1..12).prop_flat_map(|mut files| {
        files.sort_by(|a, b| a.place().cmp(&b.place()));
        files.dedup_by(|a, b| a.place() == b.place());
        (Just(files.clone()), Just(files).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn any_order_has_one_digest((files, shuffled) in entries()) {
        let manifest = FileManifest::of(files).unwrap();
        prop_assert_eq!(&manifest, &FileManifest::of(shuffled).unwrap());
        let body = report(ReportedSet::Whole(manifest.clone())).encode().unwrap();
        prop_assert_eq!(Report::decode(&body).unwrap().set, ReportedSet::Whole(manifest));
    }

    #[test]
    fn any_change_of_content_has_another((files, _) in entries(), at in any::<prop::sample::Index>(), kind in 0..5) {
        let before = FileManifest::of(files.clone()).unwrap().digest();
        let mut changed = files;
        let at = at.index(changed.len());
        match kind {
            0 => drop(changed.remove(at)),
            1 => changed.push(file(Root::Lib, "new", b"")),
            2 => changed[at].path.push('x'),
            3 => changed[at].root = if changed[at].root == Root::Lib { Root::Bundles } else { Root::Lib },
            _ => changed[at].content = match changed[at].content {
                Content::File { sha256, bytes } => Content::File { sha256, bytes: bytes + 1000 },
                Content::Odd(_) => Content::File { sha256: Digest::of(b"0"), bytes: 0 },
            },
        }
        // Moved to where another one is: no manifest at all.
        if let Ok(after) = FileManifest::of(changed) {
            prop_assert_ne!(after.digest(), before);
        }
    }

    #[test]
    fn any_bytes_are_a_report_or_a_sentence(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Report::decode(&bytes);
    }
}
