use proptest::prelude::*;

use super::*;

/// A file and what is read from it.
type Case<T> = (&'static [u8], &'static [T]);
/// A file and what is odd about it, by line.
type NoticeCase = (&'static [u8], Vec<(usize, NoticeKind)>);

fn pairs(document: &Document) -> Vec<(&str, &str)> {
    document.entries().iter().map(|e| (e.key.as_str(), e.value.expose().as_str())).collect()
}

/// P37: each case is what `java.util.Properties.load` makes of the bytes.
#[test]
fn reads_what_java_reads() {
    let cases: &[Case<(&str, &str)>] = &[
        (b"", &[]),
        (b"\n \t\r\n\x0c\n", &[]),
        (b"# one\n ! two\n#three\\\na=b", &[("a", "b")]),
        (b"a=b", &[("a", "b")]),
        (b"a:b\r\nc d\re\tf", &[("a", "b"), ("c", "d"), ("e", "f")]),
        (b"  a  =  b  ", &[("a", "b  ")]),
        (b"a = = b", &[("a", "= b")]),
        (b"a b=c", &[("a", "b=c")]),
        (b"a\\=b\\:c\\ d = e", &[("a=b:c d", "e")]),
        (
            b"connectorserver.key=lmA6bMfENJGlIDbfrVtklXFK32s\\=",
            &[("connectorserver.key", "lmA6bMfENJGlIDbfrVtklXFK32s=")],
        ),
        (b"scope=fr:idm:\\*", &[("scope", "fr:idm:*")]),
        (b"url=wss://a/openicf/0 wss://a/openicf/1", &[("url", "wss://a/openicf/0 wss://a/openicf/1")]),
        (b"a=one\\\n   two\\\r\n\tthree", &[("a", "onetwothree")]),
        (b"a=one\\\n\nb=c", &[("a", "one"), ("b", "c")]),
        (b"a=one\\\n#two", &[("a", "one#two")]),
        (b"a=one\\\\\nb=c", &[("a", "one\\"), ("b", "c")]),
        (b"a=one\\", &[("a", "one")]),
        (b"\\\n  a=b", &[("a", "b")]),
        (b"\\\n#a=b\nc=d", &[("c", "d")]),
        (b"\\", &[]),
        (b"a=\\u0041\\u00e9\\uD83D\\uDE00", &[("a", "A\u{e9}\u{1f600}")]),
        (b"a=\\t\\n\\r\\f\\\\", &[("a", "\t\n\r\x0c\\")]),
        (b"a=caf\xe9", &[("a", "caf\u{e9}")]),
        (b"\xef\xbb\xbfa=caf\xc3\xa9", &[("a", "caf\u{e9}")]),
        (b"=b", &[("", "b")]),
        (b"a", &[("a", "")]),
        (b"a=1\na=2", &[("a", "1"), ("a", "2")]),
    ];
    for (bytes, expected) in cases {
        let document = parse(bytes).unwrap_or_else(|error| panic!("{:?}: {error}", bytes.escape_ascii()));
        assert_eq!(&pairs(&document), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn errors_name_the_line() {
    let cases: &[(&[u8], SyntaxError)] = &[
        (b"a=b\n\nc=\\u12G4", SyntaxError::UnicodeEscape { line: 3 }),
        (b"a=\\u12", SyntaxError::UnicodeEscape { line: 1 }),
        (b"#\r\n#\r\na=\\uD83D!", SyntaxError::UnicodeEscape { line: 3 }),
        (b"a=\\uDE00", SyntaxError::UnicodeEscape { line: 1 }),
        (b"a=\\uD83D", SyntaxError::UnicodeEscape { line: 1 }),
        (b"a=b\n\x00", SyntaxError::NoText { line: 2, byte: 0 }),
        (b"a\x00=\x00b\x00", SyntaxError::NoText { line: 1, byte: 0 }),
        (b"\xef\xbb\xbfa=b\nc=\xe9", SyntaxError::NoUtf8 { line: 2 }),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(bytes).expect_err("no properties file"), *expected, "{}", bytes.escape_ascii());
    }
    let large = vec![b'#'; PROPERTIES_BYTES + 1];
    assert_eq!(parse(&large).expect_err("too large"), SyntaxError::TooLarge { bytes: large.len() });
}

#[test]
fn notices_what_looks_like_a_mistake() {
    let key = || "a".to_owned();
    let cases: Vec<NoticeCase> = vec![
        (b"a=b\n# c\nd=\\=\\:\\ \\#\\!\\\\\\u0041", vec![]),
        (b"a=1\n\na=2", vec![(3, NoticeKind::Duplicate { key: key(), first: 1 })]),
        (b"a=C:\\Users", vec![(1, NoticeKind::UnknownEscape { key: key(), letter: 'U' })]),
        (b"a=security\\truststore", vec![(1, NoticeKind::InvisibleEscape { key: key(), letter: 't' })]),
        (b"x=y\na", vec![(2, NoticeKind::NoSeparator)]),
        (b"a=caf\xc3\xa9", vec![(1, NoticeKind::LooksLikeUtf8)]),
        (b"\xef\xbb\xbfa=b", vec![(1, NoticeKind::ByteOrderMark)]),
    ];
    for (bytes, expected) in cases {
        let document = parse(bytes).unwrap();
        let found: Vec<_> = document.notices().iter().map(|n| (n.line, n.kind.clone())).collect();
        assert_eq!(found, expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn debug_shows_no_values() {
    let shown = format!("{:?}", parse(b"connectorserver.clientSecret=hunter2").unwrap());
    assert!(shown.contains("clientSecret") && !shown.contains("hunter2"), "{shown}");
}

/// P36: only the value's bytes change.
#[test]
fn set_rewrites_one_value_and_keeps_every_other_byte() {
    let cases: &[(&[u8], &[u8], Change)] = &[
        (b"k=old\nb=c\n", b"k=n\\=\nb=c\n", Change::Replaced { line: 1 }),
        (b"# k=x\r\n  k  :  old  \r\nb = c", b"# k=x\r\n  k  :  n\\=\r\nb = c", Change::Replaced { line: 2 }),
        (b"k=o\\\n  ld\nb=c", b"k=n\\=\nb=c", Change::Replaced { line: 1 }),
        (b"k=\\\n  old\nb=c", b"k=\\\n  n\\=\nb=c", Change::Replaced { line: 1 }),
        (b"k=1\nk=2\n", b"k=1\nk=n\\=\n", Change::Replaced { line: 2 }),
        (b"k\nb=c", b"k=n\\=\nb=c", Change::Replaced { line: 1 }),
        (b"k=\\", b"k=n\\=", Change::Replaced { line: 1 }),
        (b"", b"k=n\\=\n", Change::Added),
        (b"#k=1\r\n", b"#k=1\r\nk=n\\=\r\n", Change::Added),
        (b"b=caf\xe9", b"b=caf\xe9\nk=n\\=\n", Change::Added),
        (b"b=c\\\n", b"b=c\\\n\nk=n\\=\n", Change::Added),
        (b"b=c\\", b"b=c\\\n\nk=n\\=\n", Change::Added),
    ];
    for (before, after, change) in cases {
        let (bytes, done) = set(before, "k", "n=").unwrap();
        assert_eq!((bytes.escape_ascii().to_string(), done), (after.escape_ascii().to_string(), *change));
        assert_eq!(parse(&bytes).unwrap().get("k").unwrap().value.expose(), "n=");
    }
}

/// Text that is likely to hit the syntax.
fn odd_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"k".to_vec()),
        Just(b"=".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b" ".to_vec()),
        Just(b"#".to_vec()),
        Just(b"\\u0041".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_parse_or_fail_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn set_is_read_back_and_changes_nothing_else(bytes in odd_text(), value in any::<String>()) {
        let Ok(before) = parse(&bytes) else { return Ok(()) };
        let (changed, _) = set(&bytes, "k", &value).unwrap();
        let after = parse(&changed).unwrap();
        prop_assert_eq!(after.get("k").unwrap().value.expose(), &value);
        let others = |document: &Document| -> Vec<(String, String)> {
            let entries = document.entries().iter().filter(|entry| entry.key != "k");
            entries.map(|e| (e.key.clone(), e.value.expose().clone())).collect()
        };
        prop_assert_eq!(others(&before), others(&after));
    }
}
