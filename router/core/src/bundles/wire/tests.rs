use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRng;
use rcs_proto::icf::{ClassName, ConfigurationProperty, ConnectorInfo, Secret, Value};
use rcs_proto::legacy::Wire;

use super::*;
use crate::bundles::samples::{any_infos, any_value, rig, unhex, vector};

fn digest(infos: &[ConnectorInfo]) -> Digest {
    *WireManifest::of(infos).unwrap().digest()
}

#[test]
fn what_java_servers_told_in_many_runs_has_one_digest() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/tests/vectors/frames");
    let (mut told, mut blobs) = (0, BTreeSet::new());
    let mut digests = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        for line in std::fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let Ok(frame) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            let bytes = unhex(frame["hex"].as_str().unwrap_or_default());
            let Ok(message) = <rcs_proto::messages::RemoteMessage as prost::Message>::decode(&bytes[..])
            else {
                continue;
            };
            let infos = message.response.and_then(|response| response.control);
            let Some(infos) = infos.map(|control| control.connector_infos) else { continue };
            // An IDM's answer is an empty list.
            if let Ok(manifest) = WireManifest::read(&infos)
                && !manifest.is_empty()
            {
                digests.insert(*manifest.digest());
                told += 1;
                blobs.insert(infos);
            }
        }
    }
    assert!(told >= 8, "captures with a list of connectors: {told}");
    // The vector was written by another program, and its sets have another order.
    let vector = vector("rig-control-response");
    assert!(blobs.iter().all(|blob| *blob != vector));
    assert_eq!(digests, BTreeSet::from([*WireManifest::read(&vector).unwrap().digest()]));
}

#[test]
fn a_manifest_names_connectors_and_properties() {
    let manifest = WireManifest::read(&vector("rig-control-response")).unwrap();
    let (key, connector) = manifest.connectors().first_key_value().unwrap();
    assert_eq!(key.to_string(), "rig.connector/1.0.0.0/rig.RigConnector");
    assert!(connector.properties.contains_key("storeFile") && connector.properties.contains_key("secret"));
    assert_ne!(connector.properties["storeFile"], connector.properties["downFile"]);
}

/// One change of the rig connector.
type Change = (&'static str, fn(&mut ConnectorInfo));

fn first(info: &mut ConnectorInfo) -> &mut ConfigurationProperty {
    &mut info.configuration.as_mut().unwrap().properties[0]
}

#[test]
fn each_change_of_content_is_another_digest() {
    let changes: &[Change] = &[
        ("bundle", |info| info.key.bundle_name.push('x')),
        ("version", |info| info.key.bundle_version = "1.0.0.1".to_owned()),
        ("connector", |info| info.key.connector_name.push('x')),
        ("display name", |info| info.display_name_key = None),
        ("no configuration", |info| info.configuration = None),
        ("pooling", |info| info.configuration.as_mut().unwrap().pooling_supported = true),
        ("operation gone", |info| drop(info.configuration.as_mut().unwrap().supported_operations.pop())),
        ("property gone", |info| drop(info.configuration.as_mut().unwrap().properties.pop())),
        ("name", |info| first(info).name.push('x')),
        ("order", |info| first(info).order += 1),
        ("required", |info| first(info).required ^= true),
        ("confidential", |info| first(info).confidential ^= true),
        ("type", |info| first(info).class = ClassName::plain("File")),
        ("array of it", |info| first(info).class.dimensions = 1),
        ("help", |info| first(info).help_key = None),
        ("display", |info| first(info).display_key = Some(String::new())),
        ("group", |info| first(info).group_key = Some("other".to_owned())),
        ("default", |info| first(info).value = Value::String("x".to_owned())),
        ("secret default", |info| first(info).value = Value::GuardedString(Secret::new("x".to_owned()))),
        ("operations", |info| first(info).operations.push(ClassName::plain("SyncApiOp"))),
    ];
    let mut seen = BTreeSet::from([digest(&rig())]);
    for (what, change) in changes {
        let mut infos = rig();
        change(&mut infos[0]);
        assert!(seen.insert(digest(&infos)), "{what}");
    }
}

#[test]
fn texts_and_what_the_framework_adds_are_no_part_of_a_bundle() {
    let mut infos = rig();
    infos[0].messages = None;
    infos[0].category_key = Some("category".to_owned());
    let configuration = infos[0].configuration.as_mut().unwrap();
    configuration.pool = None;
    configuration.results_handlers = None;
    configuration.producer_buffer_size += 1;
    configuration.timeouts_ms.clear();
    assert_eq!(digest(&infos), digest(&rig()));
}

#[test]
fn defaults_are_not_kept() {
    let mut infos = rig();
    let clear = "canary-4711";
    first(&mut infos[0]).value = Value::GuardedString(Secret::new(clear.to_owned()));
    first(&mut infos[0]).name = "plain".to_owned();
    let manifest = WireManifest::of(&infos).unwrap();
    assert!(!format!("{manifest:?}").contains(clear));
}

#[test]
fn lists_beyond_the_bounds_and_broken_ones_are_refused_with_a_sentence() {
    let many = vec![rig().swap_remove(0); MANIFEST_CONNECTORS_MAX + 1];
    assert_eq!(WireManifest::of(&many), Err(WireError::TooManyConnectors { found: many.len() }));
    let mut infos = rig();
    let properties = &mut infos[0].configuration.as_mut().unwrap().properties;
    *properties = vec![properties[0].clone(); MANIFEST_PROPERTIES_MAX + 1];
    assert_eq!(
        WireManifest::of(&infos),
        Err(WireError::TooManyProperties { found: MANIFEST_PROPERTIES_MAX + 1 })
    );
    let blob = vector("rig-control-response");
    for cut in [0, 1, blob.len() / 2, blob.len() - 1] {
        assert!(WireManifest::read(&blob[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn numbers_that_look_alike_differ_and_all_nans_are_one() {
    let of = |value: Value| {
        let mut infos = rig();
        first(&mut infos[0]).value = value;
        digest(&infos)
    };
    assert_eq!(of(Value::Double(f64::NAN)), of(Value::Double(-f64::NAN)));
    let all = [
        Value::Integer(1),
        Value::Long(1),
        Value::Double(1.0),
        Value::Float(1.0),
        Value::Byte(1),
        Value::Null,
    ];
    let digests: BTreeSet<_> = all.into_iter().map(of).collect();
    assert_eq!(digests.len(), 6);
}

/// Puts everything whose order means nothing into another one.
fn shuffle(infos: &mut [ConnectorInfo], rng: &mut TestRng) {
    shuffled(infos, rng);
    for configuration in infos.iter_mut().filter_map(|info| info.configuration.as_mut()) {
        shuffled(&mut configuration.properties, rng);
        shuffled(&mut configuration.supported_operations, rng);
        for property in &mut configuration.properties {
            shuffled(&mut property.operations, rng);
            shuffle_value(&mut property.value, rng);
        }
    }
}

fn shuffle_value(value: &mut Value, rng: &mut TestRng) {
    match value {
        Value::Set { items, .. } => {
            shuffled(items, rng);
            items.iter_mut().for_each(|item| shuffle_value(item, rng));
        }
        Value::Map { entries, .. } => {
            shuffled(entries, rng);
            entries.iter_mut().for_each(|(_, value)| shuffle_value(value, rng));
        }
        Value::List(items) | Value::Array(_, items) => {
            items.iter_mut().for_each(|item| shuffle_value(item, rng))
        }
        _ => {}
    }
}

fn shuffled<T>(items: &mut [T], rng: &mut TestRng) {
    for at in (1..items.len()).rev() {
        let other = usize::try_from(rng.next_u64() % (at as u64 + 1)).unwrap();
        items.swap(at, other);
    }
}

proptest! {
    /// Any order, one digest (LEGACY 11); on the model and over the bytes of the format.
    #[test]
    fn any_order_has_the_same_digest(infos in any_infos(), mut rng in any::<[u8; 32]>().prop_map(rng)) {
        let mut other = infos.clone();
        shuffle(&mut other, &mut rng);
        prop_assert_eq!(WireManifest::of(&infos).unwrap(), WireManifest::of(&other).unwrap());
        // A generated list may hold what Java's reader refuses; then there is nothing to compare.
        if let Ok(read) = WireManifest::read(&other.encode()) {
            prop_assert_eq!(read, WireManifest::of(&infos).unwrap());
        }
    }

    #[test]
    fn any_other_default_is_another_digest(infos in any_infos(), value in any_value(), at in any::<prop::sample::Index>()) {
        let mut other = infos.clone();
        let mut all: Vec<&mut ConfigurationProperty> = other
            .iter_mut()
            .flat_map(|info| info.configuration.as_mut().map(|c| &mut c.properties))
            .flatten()
            .collect();
        prop_assume!(!all.is_empty());
        let property = &mut *all[at.index(infos_len(&infos))];
        let name = property.name.clone();
        let is_same = same(&property.value, &value);
        property.value = value;
        let (one, two) = (WireManifest::of(&infos).unwrap(), WireManifest::of(&other).unwrap());
        // Told twice, in two orders, is the only way to change nothing.
        let told_twice = infos.iter().enumerate().any(|(i, a)| infos[..i].iter().any(|b| a.key == b.key));
        prop_assume!(!told_twice);
        prop_assert_eq!(one.digest() == two.digest(), is_same, "{}", name);
    }

    #[test]
    fn anything_left_out_is_another_digest(infos in any_infos(), at in any::<prop::sample::Index>()) {
        let mut other = infos.clone();
        let left_out = other.remove(at.index(infos.len()));
        prop_assume!(!other.iter().any(|info| info.key == left_out.key));
        prop_assert_ne!(digest(&infos), digest(&other));
    }
}

fn rng(seed: [u8; 32]) -> TestRng {
    TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &seed)
}

fn infos_len(infos: &[ConnectorInfo]) -> usize {
    infos.iter().filter_map(|info| info.configuration.as_ref()).map(|c| c.properties.len()).sum()
}

/// Equality as the wire means it: sets and maps without order and without repetition, not-a-numbers alike.
fn same(one: &Value, two: &Value) -> bool {
    let within = |a: &[Value], b: &[Value]| a.iter().all(|x| b.iter().any(|y| same(x, y)));
    match (one, two) {
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
        (Value::Set { items: a, .. }, Value::Set { items: b, .. }) => within(a, b) && within(b, a),
        (Value::Map { entries: a, .. }, Value::Map { entries: b, .. }) => {
            let within = |a: &[(Value, Value)], b: &[(Value, Value)]| {
                a.iter().all(|x| b.iter().any(|y| x.0 == y.0 && same(&x.1, &y.1)))
            };
            within(a, b) && within(b, a)
        }
        (Value::List(a), Value::List(b)) | (Value::Array(_, a), Value::Array(_, b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y))
        }
        _ => one == two,
    }
}
