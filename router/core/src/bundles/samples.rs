//! Connector lists for the tests of this module: those that Java wrote, and generated ones.

use std::sync::LazyLock;

use proptest::prelude::*;
use rcs_proto::icf::{
    ApiConfiguration, ClassName, ConfigurationProperty, ConnectorInfo, ConnectorKey, Secret, Value,
};
use rcs_proto::legacy::Wire;

/// The bytes of a golden vector of the legacy format.
pub(super) fn vector(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/tests/vectors/legacy/");
    let text = std::fs::read_to_string(format!("{folder}{name}.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    unhex(json["hex"].as_str().unwrap())
}

pub(super) fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

/// The rig connector, as a Java server describes it.
pub(super) fn rig() -> Vec<ConnectorInfo> {
    static RIG: LazyLock<Vec<ConnectorInfo>> =
        LazyLock::new(|| Vec::<ConnectorInfo>::decode(&vector("rig-control-response")).unwrap());
    RIG.clone()
}

/// The rig connector at another version of its bundle.
pub(super) fn rig_at(version: &str) -> Vec<ConnectorInfo> {
    let mut infos = rig();
    infos[0].key.bundle_version = version.to_owned();
    infos
}

pub(super) fn key(bundle: &str, version: &str, connector: &str) -> ConnectorKey {
    ConnectorKey {
        bundle_name: bundle.to_owned(),
        bundle_version: version.to_owned(),
        connector_name: connector.to_owned(),
    }
}

/// A connector of a few properties.
pub(super) fn info(bundle: &str, version: &str) -> ConnectorInfo {
    let mut info = rig().swap_remove(0);
    info.key = key(bundle, version, &format!("{bundle}.Connector"));
    info
}

pub(super) fn any_infos() -> impl Strategy<Value = Vec<ConnectorInfo>> {
    proptest::collection::vec(any_info(), 1..5)
}

fn any_info() -> impl Strategy<Value = ConnectorInfo> {
    let key = ("[a-c]{1,2}", "1\\.[0-2]\\.0\\.0", "[A-C]").prop_map(|(b, v, c)| key(&b, &v, &c));
    let configuration = (proptest::collection::vec(any_property(), 0..6), any_classes(), any::<bool>());
    (key, proptest::option::of("[a-z]{0,3}"), configuration).prop_map(
        |(key, display_name_key, (properties, supported_operations, pooling_supported))| ConnectorInfo {
            display_name_key,
            category_key: None,
            key,
            messages: None,
            configuration: Some(ApiConfiguration {
                producer_buffer_size: 100,
                pooling_supported,
                pool: None,
                results_handlers: None,
                properties,
                timeouts_ms: Vec::new(),
                supported_operations,
            }),
        },
    )
}

fn any_property() -> impl Strategy<Value = ConfigurationProperty> {
    let flags = (any::<i32>(), any::<bool>(), any::<bool>());
    (flags, "[a-f]{1,2}", proptest::option::of("[a-z]{0,3}"), any_value(), any_classes()).prop_map(
        |((order, confidential, required), name, group_key, value, operations)| ConfigurationProperty {
            order,
            confidential,
            required,
            help_key: Some(format!("{name}.help")),
            display_key: None,
            group_key,
            name,
            class: ClassName::plain("String"),
            value,
            operations,
        },
    )
}

fn any_classes() -> impl Strategy<Value = Vec<ClassName>> {
    proptest::sample::subsequence(vec!["SearchApiOp", "CreateApiOp", "TestApiOp", "SyncApiOp"], 0..=4)
        .prop_map(|names| names.into_iter().map(ClassName::plain).collect())
}

pub(super) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i32>().prop_map(Value::Integer),
        any::<i64>().prop_map(Value::Long),
        any::<f64>().prop_map(Value::Double),
        "[a-z]{0,3}".prop_map(Value::String),
        "[a-z]{0,3}".prop_map(Value::File),
        "[a-z]{0,3}".prop_map(|text| Value::GuardedString(Secret::new(text))),
        proptest::collection::vec(any::<u8>(), 0..3).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| Value::Array(ClassName::plain("Object"), items)),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| Value::Set { case_insensitive: false, items }),
            proptest::collection::vec(("[a-z]{0,2}", inner), 0..4).prop_map(|entries| Value::Map {
                case_insensitive: false,
                entries: entries.into_iter().map(|(key, value)| (Value::String(key), value)).collect(),
            }),
        ]
    })
}
