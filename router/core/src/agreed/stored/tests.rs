use proptest::prelude::*;

use super::*;
use crate::agreed::limits::{COMMAND_BYTES_MAX, FROM_BYTES_MAX, OUTCOME_BYTES_MAX, WHO_BYTES_MAX};
use crate::agreed::{
    Action, At, Author, Authority, ClusterState, Command, CommandResult, Edit, Outcome, RequestId,
};
use crate::engine::tests::parts::member;
use crate::settings::Settings;
use crate::view::MemberSpec;

fn command(action: Action) -> Command {
    Command {
        request: RequestId(1),
        expected_revision: None,
        author: Author::Operator,
        who: "ops".into(),
        from: "10.0.0.1:4711".into(),
        at: At(1),
        action,
    }
}

fn configure(settings: Settings) -> Command {
    command(Action::Configure {
        document: None,
        settings: Some(Box::new(settings)),
        digest: rcs_proto::manifest::Digest::of(b""),
    })
}

fn text(command: &Command) -> String {
    String::from_utf8(command.encode().unwrap()).unwrap()
}

#[test]
fn a_newer_format_is_refused_before_its_content_is_looked_at() {
    for (kind, read) in [
        ("command", (|bytes| Command::decode(bytes).err()) as fn(&[u8]) -> Option<StoredError>),
        ("outcome", |bytes| Outcome::decode(bytes).err()),
        ("snapshot", |bytes| ClusterState::decode(bytes).err()),
    ] {
        let newer = format!(r#"{{"format":2,"kind":"{kind}","signed":[],"value":{{"anything":1}}}}"#);
        let Some(error @ StoredError::TooNew { found: 2, .. }) = read(newer.as_bytes()) else {
            panic!("{kind}: {:?}", read(newer.as_bytes()));
        };
        assert!(error.to_string().contains("upgrade this router"), "{error}");
        for bad in ["", "{}", "null", "[]", "{\"format\":1}", "\u{7f}", "{\"format\":-1}"] {
            assert!(matches!(read(bad.as_bytes()), Some(StoredError::Unreadable { .. })), "{kind}: {bad}");
        }
        let of_another_kind = r#"{"format":1,"kind":"letter","value":{}}"#;
        assert!(matches!(read(of_another_kind.as_bytes()), Some(StoredError::Invalid { .. })));
        let zero = format!(r#"{{"format":0,"kind":"{kind}","value":{{}}}}"#);
        assert!(matches!(read(zero.as_bytes()), Some(StoredError::Invalid { .. })));
    }
    let mut state = ClusterState::default();
    let newer = br#"{"format":2,"kind":"command","value":{}}"#;
    assert!(matches!(state.apply_stored(7, newer), Err(StoredError::TooNew { .. })));
    assert_eq!(state, ClusterState::default(), "nothing is changed");
    let refused = state.apply_stored(8, b"no command").unwrap();
    assert_eq!((refused.result.word(), state.applied()), ("unreadable", 8));
}

#[test]
fn a_field_that_is_not_known_is_refused_at_every_depth() {
    let edit = text(&command(Action::Edit(Edit::AddMember(member("a")))));
    let settings = text(&configure(Settings::default()));
    for (text, place) in [
        (&edit, r#""format":1"#),
        (&edit, r#""who":"ops""#),
        (&edit, r#""sockets":2"#),
        (&edit, r#""port":8759"#),
        (&settings, r#""settings":{"#),
        (&settings, r#""login_ms":15000"#),
        (&settings, r#""failures":"#),
    ] {
        assert!(Command::decode(text.as_bytes()).is_ok());
        let with_more = match place.strip_suffix('{') {
            Some(_) => text.replace(place, &format!(r#"{place}"more":1,"#)),
            None => text.replace(place, &format!(r#""more":1,{place}"#)),
        };
        assert_ne!(&with_more, text, "{place} is there");
        let read = Command::decode(with_more.as_bytes());
        assert!(matches!(read, Err(StoredError::Unreadable { .. })), "{place}: {read:?}");
    }
}

#[test]
fn what_is_too_long_is_neither_written_nor_read() {
    let long = |who: usize, from: usize| Command {
        who: "w".repeat(who),
        from: "f".repeat(from),
        ..command(Action::Authority(Authority::Cluster))
    };
    let at_the_bound = long(WHO_BYTES_MAX, FROM_BYTES_MAX);
    assert_eq!(Command::decode(&at_the_bound.encode().unwrap()), Ok(at_the_bound.clone()));
    for over in [long(WHO_BYTES_MAX + 1, 0), long(0, FROM_BYTES_MAX + 1)] {
        assert!(matches!(over.encode(), Err(StoredError::Invalid { .. })));
        let written = encode(Kind { what: "command", bytes_max: COMMAND_BYTES_MAX }, &over).unwrap();
        assert!(matches!(Command::decode(&written), Err(StoredError::Invalid { .. })));
    }
    let spaces = vec![b' '; COMMAND_BYTES_MAX + 1];
    assert!(matches!(Command::decode(&spaces), Err(StoredError::TooLong { .. })));
    let sentence = "s".repeat(OUTCOME_BYTES_MAX);
    let outcome = Outcome { revision: 1, result: CommandResult::Refused { kind: "k".into(), sentence } };
    assert!(matches!(outcome.encode(), Err(StoredError::TooLong { .. })));
}

#[test]
fn a_duration_that_would_be_rounded_is_not_written() {
    let mut settings = Settings::default();
    settings.defaults.queue_wait = Duration::from_micros(1_500);
    assert_eq!(configure(settings).encode(), Err(StoredError::Unwritable { what: "command" }));
    let often = MemberSpec { ping_interval: Some(Duration::from_nanos(1)), ..member("a") };
    let edit = command(Action::Edit(Edit::AddMember(often)));
    assert_eq!(edit.encode(), Err(StoredError::Unwritable { what: "command" }));
}

#[test]
fn an_error_quotes_nothing_of_what_it_read() {
    let key = "four-rainy-days";
    let wrong = text(&command(Action::Edit(Edit::AddMember(member("a")))))
        .replace("8759", &format!(r#""{key}""#))
        .replace(r#""sockets""#, &format!(r#""{key}""#));
    let error = Command::decode(wrong.as_bytes()).unwrap_err();
    assert!(!format!("{error}{error:?}").contains(key), "{error}");
}

#[test]
fn one_value_has_one_text_in_hex() {
    assert_eq!(hex128::read("000000000000000000000000000000ff"), Some(255));
    for wrong in [
        "ff",
        "000000000000000000000000000000FF",
        "+00000000000000000000000000000ff",
        "0x",
        "äöüäöüäöüäöüäöüä",
    ] {
        assert_eq!(hex128::read(wrong), None, "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes of any kind, and a stored command with some of its bytes changed, are read or refused; nothing panics.
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut near = configure(Settings::default()).encode().unwrap();
        for (at, byte) in changes {
            let at = at.index(near.len());
            near[at] = byte;
        }
        let nested = [b"{\"format\":1,\"kind\":\"command\",\"value\":".as_slice(), &[b'['; 100_000]].concat();
        for bytes in [&bytes, &near, &nested] {
            drop((Command::decode(bytes), Outcome::decode(bytes), ClusterState::decode(bytes)));
        }
    }
}
