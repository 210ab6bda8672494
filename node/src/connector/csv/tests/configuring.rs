//! Identity (V03, V06), properties, and what a wrong configuration says.

use rcs_proto::icf::{ConnectorInfo, Schema};
use rcs_proto::legacy::Wire as _;

use super::*;
use crate::connector::Registry;

#[test]
fn the_identity_is_the_one_idms_sample_asks_for() {
    let info = CsvFactory::default().info();
    assert_eq!(
        info.key.to_string(),
        "org.forgerock.openicf.connectors.csvfile-connector/1.5.20.0/org.forgerock.openicf.csvfile.CSVFileConnector"
    );
    let texts = &info.messages.as_ref().unwrap()[0].1;
    let display = texts.iter().find(|(key, _)| Some(key) == info.display_name_key.as_ref()).unwrap();
    assert_eq!(display.1, "CSV File Connector");
    assert!(Registry::builtin(Vec::new()).find(&info.key).is_some());
    let open = CsvFactory::identities(Vec::new()).map(|factory| factory.info());
    assert_eq!(
        open[1].key.to_string(),
        "org.openidentityplatform.openicf.connectors.csvfile-connector/1.8.0/org.forgerock.openicf.csvfile.CSVFileConnector"
    );
    assert!(
        Registry::builtin(Vec::new()).find(&open[1].key).is_some(),
        "OpenIDM's own configuration finds it"
    );
    assert_eq!(open[1].configuration, info.configuration);
    for property in info.configuration.unwrap().properties {
        for key in [property.help_key, property.display_key].map(Option::unwrap) {
            assert!(texts.iter().any(|(known, text)| *known == key && !text.is_empty()), "{key} has a text");
        }
    }
}

/// As the published connector's CONNECTOR_INFO shows them.
#[test]
fn properties_have_the_published_names_types_and_defaults() {
    let properties = default_configuration().properties;
    let listed: Vec<_> = properties
        .iter()
        .map(|property| {
            (property.name.as_str(), property.class.name.as_str(), property.required, &property.value)
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("csvFile", "File", true, &Value::Null),
            ("headerUid", "String", false, &text("uid")),
            ("headerPassword", "String", false, &text("password")),
            ("quoteCharacter", "String", false, &text("\"")),
            ("fieldDelimiter", "String", false, &text(",")),
            ("newlineString", "String", false, &text("\n")),
            ("syncFileRetentionCount", "int", false, &Value::Integer(3)),
        ]
    );
    assert!(properties.iter().all(|property| !property.confidential));
}

#[test]
fn a_wrong_property_is_named_by_every_operation() {
    let cases = [
        ("csvFile", Value::Null),
        ("csvFile", Value::File(String::new())),
        ("csvFile", Value::Integer(1)),
        ("headerUid", Value::Null),
        ("headerUid", text("")),
        ("headerPassword", Value::Integer(1)),
        ("quoteCharacter", Value::Null),
        ("quoteCharacter", text("")),
        ("quoteCharacter", text("ab")),
        ("fieldDelimiter", Value::Null),
        ("fieldDelimiter", text("")),
        ("fieldDelimiter", text("\"")),
        ("fieldDelimiter", text("\n")),
        ("newlineString", Value::Null),
        ("newlineString", text("")),
        ("newlineString", text("a,b")),
        ("syncFileRetentionCount", text("3")),
    ];
    for (name, value) in cases {
        let rig = Rig::with(HR, &[(name, value.clone())]);
        for result in [rig.connector.validate(), rig.connector.test(), rig.delete("jdoe")] {
            let error = result.unwrap_err();
            assert_eq!(error.class, ErrorClass::Configuration, "{name}={value:?}");
            assert!(error.message.contains(name), "{name}={value:?}: {}", error.message);
        }
        assert_eq!(rig.text(), HR);
    }
}

#[test]
fn the_password_column_may_be_switched_off() {
    for value in [Value::Null, text("")] {
        let rig = Rig::with(HR, &[("headerPassword", value)]);
        rig.connector.validate().unwrap();
        assert_eq!(rig.value("jdoe", "password").as_deref(), Some("Passw2rd"), "a plain column then");
        assert_eq!(class_of(rig.authenticate("jdoe", "Passw2rd")), ErrorClass::Configuration);
    }
}

#[test]
fn a_property_that_is_not_listed_has_its_default() {
    let rig = Rig::new(HR);
    let mut configuration = configuration(&rig.file(), &[]);
    configuration.properties.retain(|property| property.name == "csvFile");
    configuration.results_handlers = None;
    let connector = CsvFactory::default().open(&configuration).unwrap();
    connector.test().unwrap();
    assert!(connector.get(&account(), &Uid::new("jdoe"), &none()).unwrap().is_some());
}

#[test]
fn validate_looks_at_the_file_without_reading_it() {
    let rig = Rig::new("no,header,here");
    rig.connector.validate().unwrap();
    let folder = rig.folder.path();
    for path in [folder.to_owned(), folder.join("missing.csv")] {
        assert_eq!(class_of(open(&path, &[]).validate()), ErrorClass::Configuration, "{path:?}");
    }
}

#[test]
fn separators_of_all_kinds_are_read_and_written() {
    let cases = [
        ("uid;email;password\na;b;c\n", vec![("fieldDelimiter", ";")], "\"n\";\"x;y\";\n"),
        ("uid\temail\tpassword\na\tb\tc\n", vec![("fieldDelimiter", "\t")], "\"n\"\t\"x;y\"\t\n"),
        ("uid::email::password\na::b::c\n", vec![("fieldDelimiter", "::")], "\"n\"::\"x;y\"::\n"),
        ("uid,email,password\n'a',b,c\n", vec![("quoteCharacter", "'")], "'n','x;y',\n"),
        ("uid,email,password|a,b,c|", vec![("newlineString", "|")], "\"n\",\"x;y\",|"),
        ("uid,email,password#eol#a,b,c", vec![("newlineString", "#eol#")], "#eol#\"n\",\"x;y\",#eol#"),
        ("uid,email,password", vec![("newlineString", "\r\n")], "\r\n\"n\",\"x;y\",\r\n"),
    ];
    for (content, properties, added) in cases {
        let properties: Vec<_> = properties.into_iter().map(|(name, value)| (name, text(value))).collect();
        let rig = Rig::with(content, &properties);
        rig.create(&[attribute("__NAME__", "n"), attribute("email", "x;y")]).unwrap();
        assert_eq!(rig.text(), format!("{content}{added}"));
        assert_eq!(rig.value("n", "email").as_deref(), Some("x;y"));
    }
}

/// What CONNECTOR_INFO and the schema say can be written for a Java peer and read back.
#[test]
fn descriptions_survive_the_wire() {
    let infos = vec![CsvFactory::default().info()];
    assert_eq!(Vec::<ConnectorInfo>::decode(&infos.encode()).unwrap(), infos);
    let schema = Rig::new(HR).connector.schema().unwrap();
    assert_eq!(Schema::decode(&schema.encode()).unwrap(), schema);
    let rig = Rig::new(HR);
    let object = rig.get("jdoe").unwrap();
    assert_eq!(ConnectorObject::decode(&object.encode()).unwrap(), object);
}

/// An operator may restrict the folders of files. A link out of a folder leads outside, and no error reveals which files exist elsewhere.
#[test]
fn a_file_outside_of_the_allowed_folders_is_refused() {
    let rig = Rig::new(HR);
    let folder = fs::canonicalize(rig.folder.path()).unwrap();
    let [factory, _] = CsvFactory::identities(vec![folder.clone()]);
    let open = |file: &std::path::Path| factory.open(&configuration(file, &[])).unwrap();
    open(&rig.file()).test().unwrap();
    open(&folder.join("../").join(folder.file_name().unwrap()).join("hr.csv")).test().unwrap();

    let elsewhere = Rig::new(HR);
    let link = folder.join("link.csv");
    std::os::unix::fs::symlink(elsewhere.file(), &link).unwrap();
    let absent = elsewhere.folder.path().join("absent.csv");
    for file in [elsewhere.file(), link, absent, PathBuf::from("/etc/passwd"), folder.join("../hr.csv")] {
        let connector = open(&file);
        for result in [
            connector.test(),
            connector.validate(),
            connector.delete(&account(), &Uid::new("a"), &none()),
            connector.latest_sync_token(&account()).map(drop),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.class, ErrorClass::PermissionDenied, "{}: {error}", file.display());
            assert!(error.message.contains("--csv-folder"), "{error}");
        }
    }
    let missing = open(&folder.join("absent.csv")).test().unwrap_err();
    assert!(missing.message.contains("does not exist"), "{missing}");
}
