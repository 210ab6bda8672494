//! create, update (replace, add, remove values), delete.

use proptest::prelude::*;

use super::*;

#[test]
fn a_new_row_is_quoted_and_nothing_else_changes() {
    let rig = Rig::new(HR);
    let uid = rig.create(&[attribute("__NAME__", "new1"), attribute("email", "a@b"), password("p")]);
    assert_eq!(uid.as_deref(), Ok("new1"));
    assert_eq!(rig.text(), format!("{HR}\"new1\",\"a@b\",,,\"p\",\n"));
    assert_eq!(rig.authenticate("new1", "p").as_deref(), Ok("new1"));
    assert_eq!(class_of(rig.create(&[attribute("__NAME__", "new1")])), ErrorClass::AlreadyExists);
    assert_eq!(
        rig.create(&[attribute("__NAME__", "NEW1")]).as_deref(),
        Ok("NEW1"),
        "identifiers keep their case"
    );
}

/// The name, else the identifier's own attribute, else one made up: as observed.
#[test]
fn an_identifier_is_chosen_as_the_published_connector_does() {
    let rig = Rig::new("uid,email\n");
    assert_eq!(rig.create(&[attribute("uid", "b")]).as_deref(), Ok("b"));
    assert_eq!(rig.create(&[attribute("uid", "d"), attribute("__NAME__", "c")]).as_deref(), Ok("c"));
    assert_eq!(rig.create(&[attribute("__NAME__", " e ")]).as_deref(), Ok("e"));
    let made_up = rig.create(&[attribute("email", "x")]).unwrap();
    let parts: Vec<_> = made_up.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{made_up}");
    assert!(made_up.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) && &made_up[14..15] == "4");
    assert_eq!(rig.search(None, &none()).unwrap(), ["b", "c", "e", made_up.as_str()]);
    for attributes in [vec![], vec![attribute("__NAME__", " ")], vec![attribute("uid", "")]] {
        let before = rig.text();
        assert_eq!(class_of(rig.create(&attributes)), ErrorClass::IllegalArgument);
        assert_eq!(rig.text(), before);
    }
}

#[test]
fn values_become_cells() {
    let none_of = |values| Attribute { name: "email".into(), values };
    let cases: Vec<(&str, Attribute, Result<&str, ErrorClass>)> = vec![
        ("text", attribute("email", "x"), Ok("\"x\"")),
        ("folded name", attribute("EMAIL", "x"), Ok("\"x\"")),
        ("trimmed", attribute("email", "  x "), Ok("\"x\"")),
        ("quotes", attribute("email", "q\"q"), Ok("\"q\"\"q\"")),
        ("lines", attribute("email", "l1\r\nl2"), Ok("\"l1\r\nl2\"")),
        ("delimiter", attribute("email", "a,b"), Ok("\"a,b\"")),
        ("wide", attribute("email", "é漢"), Ok("\"é漢\"")),
        ("empty text", attribute("email", ""), Ok("")),
        ("null", Attribute::new("email", vec![Value::Null]), Ok("")),
        ("no values", none_of(None), Ok("")),
        ("empty list", none_of(Some(vec![])), Ok("")),
        ("integer", Attribute::new("email", vec![Value::Integer(5)]), Ok("\"5\"")),
        ("boolean", Attribute::new("email", vec![Value::Boolean(true)]), Ok("\"true\"")),
        ("double", Attribute::new("email", vec![Value::Double(1.0)]), Ok("\"1.0\"")),
        (
            "two values",
            Attribute::new("email", vec![text("a"), text("b")]),
            Err(ErrorClass::InvalidAttributeValue),
        ),
        (
            "a secret in a plain column",
            Attribute::new("email", vec![Value::GuardedString(Secret::new("s3cret".into()))]),
            Err(ErrorClass::InvalidAttributeValue),
        ),
        (
            "bytes",
            Attribute::new("email", vec![Value::Bytes(vec![1])]),
            Err(ErrorClass::InvalidAttributeValue),
        ),
        ("an unknown attribute", attribute("nosuch", "x"), Ok("")),
    ];
    for (name, given, expected) in cases {
        for update in [false, true] {
            let before = if update { "uid,email\n\"n\",\n" } else { "uid,email\n" };
            let rig = Rig::new(before);
            let result = if update {
                rig.replace("n", std::slice::from_ref(&given))
            } else {
                rig.create(&[attribute("__NAME__", "n"), given.clone()])
            };
            match expected {
                Ok(cell) => {
                    assert_eq!(result.as_deref(), Ok("n"), "{name}");
                    assert_eq!(rig.text(), format!("uid,email\n\"n\",{cell}\n"), "{name}");
                }
                Err(class) => {
                    let error = result.unwrap_err();
                    assert_eq!(error.class, class, "{name}");
                    assert!(!error.message.contains("s3cret"), "{name}");
                    assert_eq!(rig.text(), before, "{name}");
                }
            }
        }
    }
}

#[test]
fn passwords_are_written_under_either_name() {
    let rig = Rig::new(HR);
    rig.replace("jdoe", &[password("n1")]).unwrap();
    assert_eq!(rig.authenticate("jdoe", "n1").as_deref(), Ok("jdoe"));
    rig.replace("jdoe", &[attribute("password", "n2")]).unwrap();
    assert_eq!(rig.authenticate("jdoe", "n2").as_deref(), Ok("jdoe"));
    rig.replace("jdoe", &[password("n3"), attribute("password", "n4")]).unwrap();
    assert_eq!(rig.authenticate("jdoe", "n3").as_deref(), Ok("jdoe"), "the special name wins");
    let before = rig.text();
    assert_eq!(class_of(rig.replace("jdoe", &[password(" n5")])), ErrorClass::InvalidPassword);
    assert_eq!(rig.text(), before);
}

#[test]
fn an_update_changes_its_cells_and_no_other_byte() {
    let content = "uid, email ,x\r\n a , \"b\" ,c\r\n\r\nd,e,f";
    let rig = Rig::new(content);
    assert_eq!(rig.replace("a", &[attribute("x", "new")]).as_deref(), Ok("a"));
    assert_eq!(rig.text(), "uid, email ,x\r\n a , \"b\" ,\"new\"\r\n\r\nd,e,f");
    assert_eq!(rig.replace("d", &[attribute("email", "")]).as_deref(), Ok("d"));
    assert_eq!(rig.text(), "uid, email ,x\r\n a , \"b\" ,\"new\"\r\n\r\nd,,f");
    rig.delete("a").unwrap();
    assert_eq!(rig.text(), "uid, email ,x\r\n\r\nd,,f");
    rig.create(&[attribute("__NAME__", "g")]).unwrap();
    assert_eq!(rig.text(), "uid, email ,x\r\n\r\nd,,f\r\n\"g\",,\r\n");
}

#[test]
fn updates_rename_and_refuse_what_is_taken_or_blank() {
    let rig = Rig::new(HR);
    assert_eq!(rig.replace("bjensen", &[attribute("__NAME__", "bj2")]).as_deref(), Ok("bj2"));
    assert_eq!(rig.replace("bj2", &[attribute("uid", "bj3")]).as_deref(), Ok("bj3"));
    let both = [attribute("uid", "bj5"), attribute("__NAME__", "bj4"), attribute("email", "x")];
    assert_eq!(rig.replace("bj3", &both).as_deref(), Ok("bj4"), "the name wins");
    assert!(rig.get("bjensen").is_none());
    assert_eq!(rig.search(None, &none()).unwrap(), ["bj4", "scarter", "jdoe"], "it stays in its place");
    let before = rig.text();
    assert_eq!(class_of(rig.replace("bj4", &[attribute("__NAME__", "jdoe")])), ErrorClass::AlreadyExists);
    assert_eq!(class_of(rig.replace("bj4", &[attribute("__NAME__", " ")])), ErrorClass::IllegalArgument);
    assert_eq!(class_of(rig.replace("nobody", &[attribute("email", "x")])), ErrorClass::UnknownUid);
    assert_eq!(class_of(rig.replace("JDOE", &[])), ErrorClass::UnknownUid);
    assert_eq!(class_of(rig.delete("nobody")), ErrorClass::UnknownUid);
    assert_eq!(rig.text(), before);
}

#[test]
fn an_update_that_changes_nothing_does_not_touch_the_file() {
    let rig = Rig::new(HR);
    let before = std::fs::metadata(rig.file()).unwrap();
    for attributes in [vec![], vec![attribute("email", "jdoe@example.com")], vec![attribute("nosuch", "x")]] {
        assert_eq!(rig.replace("jdoe", &attributes).as_deref(), Ok("jdoe"));
    }
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(std::fs::metadata(rig.file()).unwrap().ino(), before.ino());
}

#[test]
fn values_are_added_and_taken_away() {
    let rig = Rig::new(HR);
    let step = |kind, value: Option<&str>| {
        let given = Attribute { name: "description".into(), values: value.map(|value| vec![text(value)]) };
        rig.update(kind, "jdoe", &[given]).unwrap();
        rig.value("jdoe", "description")
    };
    assert_eq!(step(UpdateKind::Add, Some("d1")).as_deref(), Some("d1"));
    assert_eq!(step(UpdateKind::Add, Some("d1")).as_deref(), Some("d1"));
    assert_eq!(step(UpdateKind::Add, None).as_deref(), Some("d1"));
    assert_eq!(step(UpdateKind::Add, Some("d2")).as_deref(), Some("d2"), "a cell holds one value: the last");
    assert_eq!(step(UpdateKind::Remove, Some("d1")).as_deref(), Some("d2"), "only what is there goes");
    assert_eq!(step(UpdateKind::Remove, None).as_deref(), Some("d2"));
    assert_eq!(step(UpdateKind::Remove, Some("d2")), None);
    assert_eq!(step(UpdateKind::Remove, Some("d2")), None);
    for kind in [UpdateKind::Add, UpdateKind::Remove] {
        assert_eq!(class_of(rig.update(kind, "nobody", &[attribute("email", "x")])), ErrorClass::UnknownUid);
    }
    let several = Attribute::new("email", vec![text("x"), text("jdoe@example.com")]);
    rig.update(UpdateKind::Remove, "jdoe", &[several]).unwrap();
    assert_eq!(rig.value("jdoe", "email"), None, "one of several values to take away is there");
    let uid = rig.update(UpdateKind::Remove, "jdoe", &[attribute("uid", "jdoe")]);
    assert_eq!(class_of(uid), ErrorClass::IllegalArgument);
}

/// Rules that the framework keeps before a connector sees the call.
#[test]
fn special_attributes_have_their_own_ways() {
    let rig = Rig::new(HR);
    let uid = [attribute("__UID__", "x"), attribute("__NAME__", "y")];
    assert_eq!(class_of(rig.create(&uid)), ErrorClass::InvalidAttributeValue);
    assert_eq!(class_of(rig.replace("jdoe", &uid)), ErrorClass::InvalidAttributeValue);
    for kind in [UpdateKind::Add, UpdateKind::Remove] {
        for given in [attribute("__NAME__", "x"), password("x")] {
            assert_eq!(class_of(rig.update(kind, "jdoe", &[given])), ErrorClass::IllegalArgument);
        }
    }
    assert_eq!(rig.text(), HR);
}

/// One step of [`any_history_of_changes_leaves_what_a_map_would_hold`].
#[derive(Clone, Debug)]
enum Step {
    Create(String, String),
    Replace(String, String),
    Rename(String, String),
    Delete(String),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let uid = || "[a-d]";
    let value = || "[a,;\"' \n\ré:|]{0,4}";
    let step = prop_oneof![
        (uid(), value()).prop_map(|(uid, value)| Step::Create(uid, value)),
        (uid(), value()).prop_map(|(uid, value)| Step::Replace(uid, value)),
        (uid(), uid()).prop_map(|(from, to)| Step::Rename(from, to)),
        uid().prop_map(Step::Delete),
    ];
    proptest::collection::vec(step, 0..12)
}

proptest! {
    // Each case writes files.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 2))]

    #[test]
    fn any_history_of_changes_leaves_what_a_map_would_hold(
        steps in steps(),
        (delimiter, quote, line_end) in prop_oneof![
            Just((",", "\"", "\n")), Just((";", "'", "\r\n")), Just(("::", "\"", "|")),
        ],
    ) {
        let untouched = format!("kept{delimiter} x y {line_end}");
        let head = format!("uid{delimiter}email{line_end}{untouched}");
        let properties =
            [("fieldDelimiter", text(delimiter)), ("quoteCharacter", text(quote)), ("newlineString", text(line_end))];
        let rig = Rig::with(&head, &properties);
        let mut model: Vec<(String, String)> = Vec::new();
        for step in steps {
            let at = |uid: &str, model: &[(String, String)]| model.iter().position(|(known, _)| known == uid);
            let trimmed = |value: &str| value.trim_matches(|c| c <= ' ').to_owned();
            match step {
                Step::Create(uid, value) => {
                    let result = rig.create(&[attribute("__NAME__", &uid), attribute("email", &value)]);
                    prop_assert_eq!(result.is_ok(), at(&uid, &model).is_none());
                    if result.is_ok() {
                        model.push((uid, trimmed(&value)));
                    }
                }
                Step::Replace(uid, value) => {
                    let result = rig.replace(&uid, &[attribute("email", &value)]);
                    prop_assert_eq!(result.is_ok(), at(&uid, &model).is_some());
                    if let Some(index) = at(&uid, &model) {
                        model[index].1 = trimmed(&value);
                    }
                }
                Step::Rename(from, to) => {
                    let free = from == to || at(&to, &model).is_none();
                    let result = rig.replace(&from, &[attribute("__NAME__", &to)]);
                    prop_assert_eq!(result.is_ok(), at(&from, &model).is_some() && free);
                    if let (Some(index), true) = (at(&from, &model), free) {
                        model[index].0 = to;
                    }
                }
                Step::Delete(uid) => {
                    prop_assert_eq!(rig.delete(&uid).is_ok(), at(&uid, &model).is_some());
                    model.retain(|(known, _)| *known != uid);
                }
            }
        }
        let uids = rig.search(None, &none()).unwrap();
        let found: Vec<_> = uids
            .into_iter()
            .map(|uid| (uid.clone(), rig.value(&uid, "email").unwrap_or_default()))
            .skip(1)
            .collect();
        prop_assert_eq!(found, model);
        prop_assert!(rig.text().starts_with(&head), "the untouched row keeps its bytes");
    }
}
