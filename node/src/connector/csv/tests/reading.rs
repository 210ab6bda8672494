//! test, schema, search, get, authenticate, resolveUsername.

use rcs_proto::icf::{AttributeFlag, ClassName, Script};

use super::*;

#[test]
fn an_object_has_its_cells_its_name_and_its_password() {
    let rig = Rig::new(HR);
    let object = rig.get("bjensen").unwrap();
    let names: Vec<_> = object.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    assert_eq!(
        names,
        ["__NAME__", "__UID__", "uid", "email", "lastName", "firstName", "__PASSWORD__", "description"]
    );
    assert_eq!(rig.value("bjensen", "__NAME__").as_deref(), Some("bjensen"));
    assert_eq!(rig.value("bjensen", "__PASSWORD__").as_deref(), Some("Passw0rd"));
    assert_eq!(rig.value("scarter", "description").as_deref(), Some("Second, user"));
    assert!(rig.get("jdoe").unwrap().attribute("description").is_none(), "an empty cell is no attribute");
}

#[test]
fn the_schema_is_the_published_one() {
    let schema = Rig::new(HR).connector.schema().unwrap();
    let class = &schema.object_classes[0];
    assert_eq!((schema.object_classes.len(), class.object_class.0.as_str()), (1, "__ACCOUNT__"));
    let listed: Vec<_> = class
        .attributes
        .iter()
        .map(|attribute| (attribute.name.as_str(), attribute.class.name.as_str(), attribute.flags.as_slice()))
        .collect();
    assert_eq!(
        listed,
        [
            ("__NAME__", "String", [AttributeFlag::Required].as_slice()),
            ("__UID__", "String", &[]),
            ("email", "String", &[]),
            ("lastName", "String", &[]),
            ("firstName", "String", &[]),
            (
                "__PASSWORD__",
                "GuardedString",
                &[AttributeFlag::NotReadable, AttributeFlag::NotReturnedByDefault]
            ),
            ("description", "String", &[]),
        ]
    );
    assert_eq!(schema.object_classes_by_operation.len(), 8);
    let without = Rig::new("uid,email\n").connector.schema().unwrap();
    assert!(without.object_classes[0].attributes.iter().all(|attribute| attribute.name != PASSWORD));
}

/// V07: the three users, in the order of the file.
#[test]
fn a_search_delivers_every_row_in_order() {
    let rig = Rig::new(HR);
    assert_eq!(rig.search(None, &none()).unwrap(), ["bjensen", "scarter", "jdoe"]);
    let equals = |name: &str, value: &str| Filter::Equals(attribute(name, value));
    let cases = [
        (equals("__UID__", "jdoe"), vec!["jdoe"]),
        (equals("__NAME__", "jdoe"), vec!["jdoe"]),
        (equals("uid", "jdoe"), vec!["jdoe"]),
        (equals("UID", "jdoe"), vec!["jdoe"]),
        (equals("__UID__", "JDOE"), vec![]),
        (equals("EMAIL", "jdoe@example.com"), vec!["jdoe"]),
        (Filter::StartsWith(attribute("lastName", "C")), vec!["scarter"]),
        (Filter::GreaterThanOrEqual(attribute("uid", "jdoe")), vec!["scarter", "jdoe"]),
        (Filter::Presence("description".into()), vec!["bjensen", "scarter"]),
        (Filter::Not(Box::new(Filter::Presence("description".into()))), vec!["jdoe"]),
        (Filter::Equals(password("Passw1rd")), vec!["scarter"]),
        (Filter::ContainsAllValues(Attribute::new("uid", vec![text("jdoe"), text("jdoe")])), vec!["jdoe"]),
    ];
    for (filter, expected) in cases {
        assert_eq!(rig.search(Some(&filter), &none()).unwrap(), expected, "{filter:?}");
    }
}

#[test]
fn a_filter_sees_attributes_that_are_not_asked_for() {
    let rig = Rig::new(HR);
    let wish = options(&[("ATTRS_TO_GET", Value::List(vec![text("email")]))]);
    let filter = Filter::Equals(attribute("lastName", "Doe"));
    let mut found = Vec::new();
    rig.connector
        .search(&account(), Some(&filter), &wish, &mut |object| {
            found.push(object);
            Flow::Continue
        })
        .unwrap();
    let names: Vec<_> = found[0].attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    assert_eq!((found.len(), names), (1, vec!["__NAME__", "__UID__", "email"]));
}

#[test]
fn pages_follow_the_matches_and_their_order() {
    let rig = Rig::new(HR);
    let filter = Filter::LessThan(attribute("uid", "z"));
    let mut cookie = String::new();
    let mut pages = Vec::new();
    loop {
        let wish = options(&[
            ("PAGE_SIZE", Value::Integer(2)),
            ("PAGED_RESULTS_COOKIE", text(&cookie)),
            (
                "SORT_KEYS",
                Value::Array(
                    ClassName { name: "SortKey".into(), dimensions: 1 },
                    vec![sort_key("lastName", false)],
                ),
            ),
        ]);
        let mut page = Vec::new();
        let result = rig
            .connector
            .search(&account(), Some(&filter), &wish, &mut |object| {
                page.push(uid_of(&object));
                Flow::Continue
            })
            .unwrap()
            .unwrap();
        assert_eq!(result.total_paged_results, 3);
        pages.push(page);
        match result.paged_results_cookie {
            Some(next) => cookie = next,
            None => break,
        }
    }
    assert_eq!(pages, [vec!["bjensen", "jdoe"], vec!["scarter"]]);
}

#[test]
fn a_search_stops_when_its_handler_does() {
    let rig = Rig::new(HR);
    for sorted in [false, true] {
        let keys = if sorted { vec![sort_key("uid", true)] } else { vec![] };
        let mut seen = 0;
        let result = rig.connector.search(
            &account(),
            None,
            &options(&[("SORT_KEYS", Value::List(keys))]),
            &mut |_| {
                seen += 1;
                Flow::Stop
            },
        );
        assert_eq!((seen, result), (1, Ok(None)));
    }
}

#[test]
fn result_handlers_of_the_configuration_count() {
    let rig = Rig::new(HR);
    let mut configuration = configuration(&rig.file(), &[]);
    let handlers = configuration.results_handlers.as_mut().unwrap();
    handlers.case_insensitive_filter = true;
    handlers.filtered = false;
    handlers.attributes_to_get = false;
    let connector = CsvFactory::default().open(&configuration).unwrap();
    let wish = options(&[("ATTRS_TO_GET", Value::List(vec![text("email")]))]);
    let filter = Filter::And(
        Box::new(Filter::Equals(attribute("__NAME__", "JDOE"))),
        Box::new(Filter::Not(Box::new(Filter::Equals(attribute("nosuch", "x"))))),
    );
    let mut found = Vec::new();
    connector
        .search(&account(), Some(&filter), &wish, &mut |object| {
            found.push((uid_of(&object), object.attributes.len()));
            Flow::Continue
        })
        .unwrap();
    assert_eq!(found, [("jdoe".to_owned(), 7)]);
}

/// J06, with the exception classes of the published connector.
#[test]
fn passwords_are_checked() {
    let rig = Rig::new(format!("{HR}nopw,,,,,\n"));
    assert_eq!(rig.authenticate("bjensen", "Passw0rd").as_deref(), Ok("bjensen"));
    for (user, clear, class) in [
        ("bjensen", "passw0rd", ErrorClass::InvalidPassword),
        ("bjensen", "", ErrorClass::InvalidPassword),
        ("nopw", "", ErrorClass::InvalidPassword),
        ("nopw", "x", ErrorClass::InvalidPassword),
        ("nobody", "Passw0rd", ErrorClass::InvalidCredential),
        ("BJENSEN", "Passw0rd", ErrorClass::InvalidCredential),
    ] {
        let error = rig.authenticate(user, clear).unwrap_err();
        assert_eq!(error.class, class, "{user}");
        assert!(!error.message.contains(user) && !error.message.contains("Passw0"), "P9: {}", error.message);
    }
}

#[test]
fn user_names_are_resolved() {
    let rig = Rig::new("uid,email\na,b\n");
    let resolve = |name| rig.connector.resolve_username(&account(), name, &none());
    assert_eq!(resolve("a").unwrap(), Uid::new("a"));
    assert_eq!(class_of(resolve("b")), ErrorClass::InvalidCredential);
}

#[test]
fn a_column_of_names_is_the_name() {
    let rig = Rig::new("uid,__NAME__,password\na,Anna,c\nb,,d\n");
    assert_eq!(rig.value("a", "__NAME__").as_deref(), Some("Anna"));
    assert_eq!(rig.value("b", "__NAME__").as_deref(), Some("b"));
    let by_name = Filter::Equals(attribute("__NAME__", "Anna"));
    assert_eq!(rig.search(Some(&by_name), &none()).unwrap(), ["a"]);
    rig.replace("a", &[attribute("__NAME__", "Ann")]).unwrap();
    rig.create(&[attribute("__NAME__", "Cleo"), attribute("uid", "c")]).unwrap();
    assert_eq!(rig.text(), "uid,__NAME__,password\na,\"Ann\",c\nb,,d\n\"c\",\"Cleo\",\n");
}

#[test]
fn other_object_classes_are_refused_everywhere() {
    let rig = Rig::new(HR);
    let connector = &rig.connector;
    let uid = Uid::new("jdoe");
    for class in ["__GROUP__", "__ALL__", "account"] {
        let class = ObjectClass(class.to_owned());
        let secret = Secret::new(String::new());
        let errors = [
            connector.search(&class, None, &none(), &mut |_| Flow::Continue).map(drop),
            connector.get(&class, &uid, &none()).map(drop),
            connector.create(&class, &[attribute("__NAME__", "x")], &none()).map(drop),
            connector.update(UpdateKind::Replace, &class, &uid, &[], &none()).map(drop),
            connector.delete(&class, &uid, &none()),
            connector.authenticate(&class, "jdoe", &secret, &none()).map(drop),
            connector.resolve_username(&class, "jdoe", &none()).map(drop),
            connector.latest_sync_token(&class).map(drop),
            connector.sync(&class, &Value::Long(0), &none(), &mut |_| Flow::Continue).map(drop),
        ];
        for error in errors {
            assert_eq!(class_of(error), ErrorClass::IllegalArgument);
        }
    }
    let script = Script { language: "groovy".into(), text: "x".into() };
    let error = connector.script_on_connector(&script, &Value::Null, &none());
    assert_eq!(class_of(error), ErrorClass::IllegalArgument);
    assert_eq!(rig.text(), HR);
}
