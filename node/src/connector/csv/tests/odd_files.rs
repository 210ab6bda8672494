//! Files that are not as they should be: a clear error, or a right answer, and never a lost byte.

use super::*;
use crate::limits::CSV_COLUMNS_MAX;

struct Odd {
    name: &'static str,
    content: &'static [u8],
    class: ErrorClass,
    says: &'static str,
}

const fn odd(name: &'static str, content: &'static [u8], class: ErrorClass, says: &'static str) -> Odd {
    Odd { name, content, class, says }
}

const BROKEN: [Odd; 18] = [
    odd("empty", b"", ErrorClass::Configuration, "empty"),
    odd("empty lines only", b"\n\r\n", ErrorClass::Configuration, "empty"),
    odd("only a byte order mark", b"\xef\xbb\xbf", ErrorClass::Configuration, "empty"),
    odd("no uid column", b"id,email\na,b\n", ErrorClass::Configuration, "\"uid\""),
    odd("uid in other case", b"UID,email\na,b\n", ErrorClass::Configuration, "\"uid\""),
    odd("a column twice", b"uid,email,email\na,b,c\n", ErrorClass::Configuration, "\"email\" twice"),
    odd("a column twice, folded", b"uid,email,EMAIL\na,b,c\n", ErrorClass::Configuration, "twice"),
    odd("a column without a name", b"uid,,email\na,b,c\n", ErrorClass::Configuration, "column 2"),
    odd("a reserved column", b"uid,__PASSWORD__\na,b\n", ErrorClass::Configuration, "reserved"),
    odd(
        "a short row",
        b"uid,email,x\nd,e,f\na,b\n",
        ErrorClass::ConnectorIo,
        "line 3 has 2 cells, but the header has 3",
    ),
    odd("a long row", b"uid,email\na,b,c\n", ErrorClass::ConnectorIo, "line 2 has 3 cells"),
    odd("one uid twice", b"uid,email\na,b\nc,d\n a ,e\n", ErrorClass::ConnectorIo, "lines 2 and 4"),
    odd("a row without uid", b"uid,email\na,b\n,d\n", ErrorClass::ConnectorIo, "line 3 has no identifier"),
    odd("an open quote", b"uid,email\na,\"b\nc,d\n", ErrorClass::ConnectorIo, "line 2 is never closed"),
    odd("a quote inside", b"uid,email\na,b\"x\n", ErrorClass::ConnectorIo, "line 2 has a quote inside"),
    odd("text behind a quote", b"uid,email\na,\"b\"x\n", ErrorClass::ConnectorIo, "behind a closing quote"),
    odd("not UTF-8", b"uid,email\na,b\nc,\xe9\n", ErrorClass::ConnectorIo, "not UTF-8 (line 3)"),
    odd("not UTF-8 at once", b"\xff\xfeu\0i\0", ErrorClass::ConnectorIo, "not UTF-8 (line 1)"),
];

#[test]
fn every_operation_says_what_is_wrong_and_leaves_the_bytes_alone() {
    for Odd { name, content, class, says } in BROKEN {
        let rig = Rig::new(content);
        let given = [attribute("__NAME__", "n")];
        let connector = &rig.connector;
        let secret = Secret::new("b".to_owned());
        let results = [
            connector.test(),
            connector.schema().map(drop),
            rig.search(None, &none()).map(drop),
            connector.get(&account(), &Uid::new("a"), &none()).map(drop),
            connector.authenticate(&account(), "a", &secret, &none()).map(drop),
            connector.resolve_username(&account(), "a", &none()).map(drop),
            connector.latest_sync_token(&account()).map(drop),
            connector.sync(&account(), &Value::Long(0), &none(), &mut |_| Flow::Continue).map(drop),
            rig.create(&given).map(drop),
            rig.replace("a", &given).map(drop),
            rig.update(UpdateKind::Add, "a", &[attribute("email", "x")]).map(drop),
            rig.delete("a"),
        ];
        for (index, result) in results.into_iter().enumerate() {
            let error = result.expect_err(name);
            assert_eq!(error.class, class, "{name}, operation {index}: {error}");
            assert!(error.message.contains(says), "{name}, operation {index}: {}", error.message);
            assert!(error.message.contains("hr.csv"), "{name}: {}", error.message);
        }
        assert_eq!(fs::read(rig.file()).unwrap(), content, "{name}");
        assert_eq!(rig.names(), ["hr.csv"], "{name} leaves nothing behind");
    }
}

#[test]
fn a_missing_file_is_an_io_error_and_is_not_made() {
    let rig = Rig::new(HR);
    fs::remove_file(rig.file()).unwrap();
    for result in [
        rig.connector.test(),
        rig.create(&[attribute("__NAME__", "n")]).map(drop),
        rig.delete("a"),
        rig.connector.latest_sync_token(&account()).map(drop),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.class, ErrorClass::ConnectorIo);
        assert!(error.message.contains("does not exist"), "{}", error.message);
    }
    assert!(rig.names().is_empty());
}

#[test]
fn a_folder_is_no_file() {
    let rig = Rig::new(HR);
    fs::remove_file(rig.file()).unwrap();
    fs::create_dir(rig.file()).unwrap();
    assert_eq!(class_of(rig.connector.test()), ErrorClass::ConnectorIo);
    assert_eq!(class_of(rig.delete("a")), ErrorClass::ConnectorIo);
}

#[test]
fn nothing_but_a_regular_file_is_read_or_waited_for() {
    let rig = Rig::new(HR);
    fs::remove_file(rig.file()).unwrap();
    let pipe = rustix::fs::mkfifoat(rustix::fs::CWD, rig.file(), rustix::fs::Mode::from_raw_mode(0o600));
    pipe.unwrap();
    for (connector, kind) in [
        (rig.connector.clone(), "a pipe"),
        (open(std::path::Path::new("/dev/zero"), &[]), "a device"),
        (open(std::path::Path::new("/dev/null"), &[]), "a device"),
    ] {
        let results = [
            connector.test(),
            connector.schema().map(drop),
            connector.get(&account(), &Uid::new("a"), &none()).map(drop),
            connector.latest_sync_token(&account()).map(drop),
            connector.delete(&account(), &Uid::new("a"), &none()),
        ];
        for (index, result) in results.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert_eq!(error.class, ErrorClass::ConnectorIo, "{kind}, operation {index}: {error}");
            let wanted = format!("it is {kind}; csvFile must name a file");
            assert!(error.message.contains(&wanted), "operation {index}: {}", error.message);
        }
        assert_eq!(class_of(connector.validate()), ErrorClass::Configuration);
    }
}

/// Somebody replaced a former state by a pipe.
#[test]
fn a_former_state_that_is_a_pipe_is_not_waited_for() {
    let rig = Rig::new(HR);
    let Some(Value::Long(token)) = rig.connector.latest_sync_token(&account()).unwrap() else {
        panic!("a token is a number")
    };
    let state = rig.folder.path().join(format!("hr.csv.{token}"));
    fs::remove_file(&state).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &state, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    rig.delete("jdoe").unwrap();
    let since = Value::Long(token);
    let error = rig.connector.sync(&account(), &since, &none(), &mut |_| Flow::Continue).unwrap_err();
    assert!(error.message.contains("a pipe"), "{}", error.message);
}

/// Cells cost memory, whatever their bytes are.
#[test]
fn a_file_whose_cells_would_take_all_memory_is_refused() {
    let many = ",".repeat(CSV_COLUMNS_MAX);
    let error = Rig::new(format!("uid\n{many}\n")).connector.test().unwrap_err();
    assert!(error.message.contains("line 2 has more than 4096 cells"), "{}", error.message);

    let memory = Memory::of(1 << 20);
    let rows: String = (0..20_000).map(|row| format!("{row}\n")).collect();
    let rig = Rig::new(format!("uid\n{rows}"));
    let large = open_in(&memory, &rig.file());
    let error = large.test().unwrap_err();
    assert_eq!(error.class, ErrorClass::ConnectorIo);
    assert!(error.message.contains("more than the 1 MiB") && error.message.contains("split it"), "{error}");
    assert_eq!(memory.used(), 0, "what was taken is given back");

    let small = Rig::new(HR);
    let connector = open_in(&memory, &small.file());
    connector.test().unwrap();
    let used = memory.used();
    assert!((HR.len() as u64..64 << 10).contains(&used), "{used}");
    assert_eq!(class_of(large.test()), ErrorClass::ConnectorIo);
    assert_eq!(memory.used(), 0, "the small file's cache made room");
    connector.test().unwrap();
    connector.delete(&account(), &Uid::new("jdoe"), &none()).unwrap();
    drop(connector);
    assert_eq!(memory.used(), 0);
}

/// The estimate must cover all memory that the table holds, or the bound would let files in that do not fit.
#[test]
fn the_estimate_of_a_tables_memory_is_not_below_the_truth() {
    let rows: String = (0..5_000).map(|row| format!("{row},a,,b{row}\n")).collect();
    let rig = Rig::new(format!("uid,x,y,z\n{rows}"));
    let memory = Memory::of(1 << 30);
    let connector = open_in(&memory, &rig.file());
    let count = allocation_counter::measure(|| connector.test().unwrap());
    let held = u64::try_from(count.bytes_current).unwrap();
    let used = memory.used();
    assert!(used >= held && used < 4 * held, "{used} bytes are accounted for, {held} are held");
}

#[test]
fn a_byte_order_mark_is_understood_and_kept() {
    for header in ["uid,email", "\"uid\",\"email\""] {
        let rig = Rig::new(format!("\u{feff}{header}\r\na,b\r\n"));
        assert_eq!(rig.value("a", "email").as_deref(), Some("b"));
        rig.create(&[attribute("__NAME__", "n")]).unwrap();
        rig.replace("a", &[attribute("email", "c")]).unwrap();
        assert_eq!(rig.text(), format!("\u{feff}{header}\r\na,\"c\"\r\n\"n\",\r\n"));
    }
}

#[test]
fn line_ends_of_all_kinds_are_understood_and_kept() {
    for end in ["\n", "\r\n", "\r"] {
        let rig = Rig::new(format!("uid,email{end}a,b{end}"));
        assert_eq!(rig.value("a", "email").as_deref(), Some("b"));
        rig.create(&[attribute("__NAME__", "n")]).unwrap();
        rig.delete("a").unwrap();
        assert_eq!(rig.text(), format!("uid,email{end}\"n\",{end}"), "{end:?}");
    }
}

#[test]
fn a_last_line_without_an_end_is_not_glued_to_the_next() {
    let rig = Rig::new("uid,email\na,b");
    rig.create(&[attribute("__NAME__", "n")]).unwrap();
    assert_eq!(rig.text(), "uid,email\na,b\n\"n\",\n");
    let rig = Rig::new("uid,email");
    rig.create(&[attribute("__NAME__", "n")]).unwrap();
    assert_eq!(rig.text(), "uid,email\n\"n\",\n");
}

#[test]
fn a_header_alone_is_an_empty_resource() {
    let rig = Rig::new("uid,email\n");
    rig.connector.test().unwrap();
    assert!(rig.search(None, &none()).unwrap().is_empty());
    assert_eq!(class_of(rig.authenticate("a", "b")), ErrorClass::Configuration, "no password column");
}

#[test]
fn the_last_row_can_be_deleted_and_the_header_stays() {
    for (content, left) in [("uid,email\na,b\n", "uid,email\n"), ("uid,email\na,b", "uid,email\n")] {
        let rig = Rig::new(content);
        rig.delete("a").unwrap();
        assert_eq!(rig.text(), left);
        rig.connector.test().unwrap();
    }
}

/// The published connector finds no row here, and a reconciliation would take that for deleted accounts.
#[test]
fn a_wrong_line_end_is_an_error_and_not_an_empty_file() {
    for content in ["uid,email\na,b\n", "uid\na\nb\n", "uid,email\r\na,b"] {
        let rig = Rig::with(content, &[("newlineString", text("abc"))]);
        let error = rig.search(None, &none()).unwrap_err();
        assert_eq!(error.class, ErrorClass::ConnectorIo);
        assert!(error.message.contains("newlineString"), "{}", error.message);
    }
}
