//! The tables of docs/protocol/legacy.md against the tables of the code: a newcomer reads the first, the program the second.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;

/// What the notes say of each type: the body of a scalar (LEGACY 4) or the fields in their order (LEGACY 5).
fn noted() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol/legacy.md");
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tables = page.split("\n## 4. ").nth(1).unwrap().split("\n## 6. ").next().unwrap();
    let mut noted = BTreeMap::new();
    for line in tables.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (types, says) = (cells.next().unwrap(), cells.next().unwrap());
        for name in types.split(' ') {
            let before = noted.insert(name.trim_matches('`').to_owned(), says.trim_matches('`').to_owned());
            assert_eq!(before, None, "{name} has two rows");
        }
    }
    noted
}

/// The row of the code in the notation of the notes.
fn rendered(row: &TypeRow) -> String {
    let mut parts: Vec<String> = row.fields.iter().map(field_as_noted).collect();
    match row.members {
        Members::None => {}
        Members::Scalar(scalar) => parts.push(body(scalar).to_owned()),
        Members::Exactly(count, _) => parts.push(format!("{count}*")),
        Members::Any(_) => parts.push("*".to_owned()),
    }
    parts.join(" ")
}

fn field_as_noted(field: &FieldRow) -> String {
    let kind = match field.kind {
        Kind::Text(None) => "str".to_owned(),
        Kind::Text(Some(default)) => format!("str=\"{default}\""),
        Kind::Class => "class".to_owned(),
        Kind::Int(default) => format!("int={default}"),
        Kind::Long(default) => format!("long={default}"),
        Kind::Bool(default) => format!("bool={default}"),
        Kind::Flag => "flag".to_owned(),
        Kind::Object(_) => "obj".to_owned(),
    };
    let need = match field.need {
        Need::Optional => "",
        Need::Required => "!",
        Need::NotBlank => "!!",
    };
    format!("{}:{kind}{need}", field.name)
}

fn body(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Boolean => "bool",
        Scalar::Character => "char",
        Scalar::Integer => "i32",
        Scalar::Long => "i64",
        Scalar::Byte => "i8",
        Scalar::Float | Scalar::Double => "f64",
        Scalar::String | Scalar::Uri | Scalar::File | Scalar::BigInteger | Scalar::Name => "text",
        Scalar::Bytes => "bytes",
        Scalar::Class => "class",
        Scalar::GuardedString => "sealed-text",
        Scalar::GuardedBytes => "sealed-bytes",
    }
}

#[test]
fn the_notes_list_the_same_types_and_fields() {
    let (noted, coded) = (noted(), TYPES.iter().map(|row| (row.name.to_owned(), rendered(row))));
    let coded: BTreeMap<String, String> = coded.collect();
    let differ: Vec<_> = coded.iter().filter(|(name, says)| noted.get(*name) != Some(says)).collect();
    assert!(differ.is_empty(), "docs/protocol/legacy.md says otherwise, or nothing: {differ:#?}");
    let unknown: Vec<_> = noted.keys().filter(|name| !coded.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "types of docs/protocol/legacy.md that no code knows: {unknown:?}");
}
