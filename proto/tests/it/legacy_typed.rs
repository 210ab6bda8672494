//! The typed layer against the golden vectors: what decodes into the model is written back byte for byte.

use rcs_proto::icf;
use rcs_proto::legacy::{LegacyError, Wire, facade_key, options_cookie};

use crate::vectors::{Vector, hex, load, one};

#[test]
fn typed_vectors_come_out_as_they_went_in() {
    let mut typed = 0;
    for vector in load("legacy") {
        let again = match vector.text("type") {
            "OperationOptions" => again::<icf::OperationOptions>(&vector),
            "ConnectorObject" => again::<icf::ConnectorObject>(&vector),
            "Schema" => again::<icf::Schema>(&vector),
            "APIConfiguration" => again::<icf::ApiConfiguration>(&vector),
            "Set" if vector.name.contains("attributes") => again::<Vec<icf::Attribute>>(&vector),
            "List" if vector.name == "rig-control-response" => again::<Vec<icf::ConnectorInfo>>(&vector),
            "List" if vector.name == "configuration-change" => {
                again::<Vec<icf::ConfigurationProperty>>(&vector)
            }
            name if name.ends_with("Filter") => again::<icf::Filter>(&vector),
            _ => continue,
        };
        assert_eq!(
            again.unwrap_or_else(|error| panic!("{}: {error}", vector.name)),
            vector.text("hex"),
            "{}",
            vector.name
        );
        typed += 1;
    }
    assert_eq!(typed, 32, "vectors of types that have a form of their own");
}

#[test]
fn values_come_out_as_they_went_in() {
    let mut values = 0;
    for vector in load("legacy") {
        match again::<icf::Value>(&vector) {
            Ok(again) => assert_eq!(again, vector.text("hex"), "{}", vector.name),
            Err(LegacyError::Type { .. }) => continue,
            Err(error) => panic!("{}: {error}", vector.name),
        }
        values += 1;
    }
    assert_eq!(values, 129, "vectors that are plain values");
}

#[test]
fn the_rig_facade_key_is_strict_base64_of_its_blob() {
    let vector = one("legacy", "rig-facade-key");
    let key = vector.text("base64");
    let configuration = facade_key::decode(key.as_bytes()).unwrap();
    assert_eq!(facade_key::encode(&configuration), key.as_bytes());
    for odd in [format!("{key} "), format!("{key}\n"), key.trim_end_matches('=').to_owned() + "="] {
        if odd != key {
            assert_eq!(facade_key::decode(odd.as_bytes()), Err(LegacyError::Base64));
        }
    }
}

#[test]
fn the_cookie_is_found_without_reading_the_rest() {
    let cases = [
        ("legacy", "options-page", Ok(Some("n1:50"))),
        ("legacy", "options-case-insensitive", Ok(Some("c1"))),
        ("legacy", "options-empty", Ok(None)),
        ("legacy", "options-custom", Ok(None)),
        ("legacy-reader", "options-null-cookie", Ok(None)),
        ("legacy-reader", "options-with-count-policy", Ok(None)),
        ("legacy", "uid", Err(())),
        ("legacy-reader", "truncated-field", Err(())),
    ];
    for (folder, name, expected) in cases {
        let found = options_cookie(&one(folder, name).blob()).map_err(|_| ());
        assert_eq!(found, expected.map(|cookie| cookie.map(str::to_owned)), "{name}");
    }
    assert_eq!(options_cookie(&[]), Ok(None));
}

fn again<T: Wire>(vector: &Vector) -> Result<String, LegacyError> {
    T::decode(&vector.blob()).map(|value| hex(&value.encode()))
}
