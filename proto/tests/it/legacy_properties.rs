//! Properties of the legacy codec over generated values and bytes.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rcs_proto::icf::*;
use rcs_proto::legacy::{Wire, facade_key, options_cookie, read, write};

use crate::vectors::load;

proptest! {
    #[test]
    fn values_are_read_as_written(value in any_value()) {
        prop_assert_eq!(Value::decode(&value.encode()), Ok(value));
    }

    #[test]
    fn attributes_are_read_as_written(attributes in attribute_set()) {
        prop_assert_eq!(Vec::<Attribute>::decode(&attributes.encode()), Ok(attributes));
    }

    #[test]
    fn objects_are_read_as_written(attributes in attribute_set(), name in text(), uid in uid()) {
        let mut attributes = attributes;
        attributes.push(Attribute::text(NAME, name));
        attributes.push(Attribute::text(UID, uid.value));
        let object = ConnectorObject { object_class: ObjectClass(ObjectClass::ACCOUNT.into()), attributes };
        prop_assert_eq!(ConnectorObject::decode(&object.encode()), Ok(object));
    }

    #[test]
    fn options_are_read_as_written_and_the_cookie_is_found(options in options()) {
        let blob = options.encode();
        let decoded = OperationOptions::decode(&blob);
        prop_assert_eq!(decoded.as_ref(), Ok(&options));
        let cookie = options_cookie(&blob).unwrap();
        prop_assert_eq!(cookie.as_deref(), options.paged_results_cookie());
    }

    #[test]
    fn filters_are_read_as_written(filter in filter()) {
        prop_assert_eq!(Filter::decode(&filter.encode()), Ok(filter));
    }

    #[test]
    fn schemas_are_read_as_written(schema in schema()) {
        prop_assert_eq!(Schema::decode(&schema.encode()), Ok(schema));
    }

    #[test]
    fn connector_infos_are_read_as_written(infos in vec(connector_info(), 0..3)) {
        prop_assert_eq!(Vec::<ConnectorInfo>::decode(&infos.encode()), Ok(infos));
    }

    #[test]
    fn facade_keys_are_read_as_written(configuration in configuration()) {
        prop_assert_eq!(facade_key::decode(&facade_key::encode(&configuration)), Ok(configuration));
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..512)) {
        read_every_way(&bytes);
        let headed = [&[0, 0, 0xFA, 0xFB, 0, 0, 0, 2], bytes.as_slice()].concat();
        read_every_way(&headed);
    }

    #[test]
    fn damaged_vectors_never_panic(
        which in any::<prop::sample::Index>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut blob = which.get(vectors()).clone();
        for (at, byte) in damage {
            let at = at.index(blob.len());
            blob[at] = byte;
        }
        read_every_way(&blob);
    }
}

/// What is read can be written, and reads the same again.
fn read_every_way(bytes: &[u8]) {
    let _ = options_cookie(bytes);
    let _ = facade_key::decode(bytes);
    let _ = OperationOptions::decode(bytes);
    let _ = Vec::<Attribute>::decode(bytes);
    let _ = Vec::<ConnectorInfo>::decode(bytes);
    let _ = Filter::decode(bytes);
    let _ = Schema::decode(bytes);
    let _ = Value::decode(bytes);
    if let Ok(node) = read(bytes) {
        let written = write(&node);
        assert_eq!(read(&written).as_ref(), Ok(&node));
    }
}

fn vectors() -> &'static [Vec<u8>] {
    static BLOBS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    BLOBS.get_or_init(|| load("legacy").iter().map(|vector| vector.blob()).collect())
}

fn text() -> impl Strategy<Value = String> {
    any::<String>()
}

/// A text that is not blank and none of the names with a meaning of their own.
fn word() -> impl Strategy<Value = String> {
    "[a-z][a-zA-Z0-9_]{0,8}"
}

fn class() -> impl Strategy<Value = ClassName> {
    let name = prop::sample::select(vec![
        "String",
        "int",
        "ByteArray",
        "Map",
        "Object",
        "SearchApiOp",
        "GuardedString",
    ]);
    (name, 0_u8..4).prop_map(|(name, dimensions)| ClassName { name: name.into(), dimensions })
}

fn operation() -> impl Strategy<Value = ClassName> {
    prop::sample::select(rcs_proto::legacy::OPERATIONS).prop_map(ClassName::plain)
}

fn uid() -> impl Strategy<Value = Uid> {
    (word(), option::of(word())).prop_map(|(value, revision)| Uid { value, revision })
}

/// What attributes, options and properties all may hold.
fn plain() -> impl Strategy<Value = Value> {
    let numbers = prop_oneof![
        any::<i32>().prop_map(Value::Integer),
        any::<i64>().prop_map(Value::Long),
        (-1e30_f32..1e30).prop_map(Value::Float),
        (-1e300_f64..1e300).prop_map(Value::Double),
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        numbers,
        text().prop_map(Value::String),
        prop::char::range('\0', '\u{D7FF}').prop_map(Value::Character),
        prop::char::range('\u{E000}', '\u{FFFF}').prop_map(Value::Character),
        text().prop_map(|clear| Value::GuardedString(Secret::new(clear))),
        vec(any::<u8>(), 0..40).prop_map(|clear| Value::GuardedBytes(Secret::new(clear))),
    ]
}

fn attribute_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        plain(),
        any::<i8>().prop_map(Value::Byte),
        vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        any::<i128>().prop_map(|number| Value::BigInteger(number.to_string())),
        (any::<i128>(), any::<i32>())
            .prop_map(|(unscaled, scale)| Value::BigDecimal { unscaled: unscaled.to_string(), scale }),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::List), map(inner)]
    })
}

fn map(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (any::<bool>(), vec((word(), value), 0..4)).prop_map(|(case_insensitive, entries)| Value::Map {
        case_insensitive,
        entries: distinct(entries).into_iter().map(|(key, value)| (Value::String(key), value)).collect(),
    })
}

fn option_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        plain(),
        word().prop_map(Value::File),
        word().prop_map(Value::Uri),
        uid().prop_map(Value::Uid),
        word().prop_map(|name| Value::ObjectClass(ObjectClass(name))),
        (word(), uid()).prop_map(|(name, uid)| Value::QualifiedUid(ObjectClass(name), uid)),
        (word(), any::<bool>()).prop_map(|(field, ascending)| Value::SortKey(SortKey { field, ascending })),
        (word(), text()).prop_map(|(language, text)| Value::Script(Script { language, text })),
    ];
    let array = vec(leaf.clone(), 0..4).prop_map(|items| Value::Array(ClassName::plain("Object"), items));
    prop_oneof![leaf, array]
}

fn property_value() -> impl Strategy<Value = Value> {
    let array = vec(plain(), 0..4).prop_map(|items| Value::Array(ClassName::plain("Object"), items));
    prop_oneof![plain(), array, word().prop_map(Value::File)]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        attribute_value(),
        option_value(),
        class().prop_map(Value::Class),
        attribute().prop_map(Value::Attribute),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::List),
            vec(inner.clone(), 0..4).prop_map(|items| Value::Array(ClassName::plain("Object"), items)),
            vec(inner.clone(), 0..4).prop_map(|items| {
                let mut distinct = Vec::new();
                for item in items {
                    if !distinct.contains(&item) {
                        distinct.push(item);
                    }
                }
                Value::Set { case_insensitive: false, items: distinct }
            }),
            map(inner),
        ]
    })
}

fn attribute() -> impl Strategy<Value = Attribute> {
    (word(), option::of(vec(attribute_value(), 0..4))).prop_map(|(name, values)| Attribute { name, values })
}

fn attribute_set() -> impl Strategy<Value = Vec<Attribute>> {
    vec(attribute(), 0..5).prop_map(|attributes| {
        distinct(attributes.into_iter().map(|attribute| (attribute.name.clone(), attribute)).collect())
            .into_iter()
            .map(|(_, attribute)| attribute)
            .collect()
    })
}

fn options() -> impl Strategy<Value = OperationOptions> {
    let cookie = prop_oneof![Just(Value::Null), text().prop_map(Value::String)];
    let cookie = option::of(cookie.prop_map(|cookie| ("PAGED_RESULTS_COOKIE".to_owned(), cookie)));
    let others = vec((word(), option_value()), 0..5);
    (any::<bool>(), cookie, others).prop_map(|(case_insensitive, cookie, others)| OperationOptions {
        case_insensitive,
        entries: distinct(others).into_iter().chain(cookie).collect(),
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let single = || {
        prop_oneof![
            (word(), text()).prop_map(|(name, value)| Attribute::text(name, value)),
            text().prop_map(|value| Attribute::text(NAME, value)),
        ]
    };
    let leaf = prop_oneof![
        attribute().prop_map(Filter::Equals),
        single().prop_map(Filter::ContainsAllValues),
        single().prop_map(Filter::Contains),
        single().prop_map(Filter::StartsWith),
        single().prop_map(Filter::EndsWith),
        single().prop_map(Filter::GreaterThan),
        single().prop_map(Filter::GreaterThanOrEqual),
        single().prop_map(Filter::LessThan),
        single().prop_map(Filter::LessThanOrEqual),
        (word(), attribute()).prop_map(|(operator, attribute)| Filter::Extended { operator, attribute }),
        word().prop_map(Filter::Presence),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

fn schema() -> impl Strategy<Value = Schema> {
    let flags = prop::sample::subsequence(vec![AttributeFlag::Required, AttributeFlag::NotReadable], 0..=2);
    let info = (word(), class(), flags).prop_map(|(name, class, flags)| AttributeInfo { name, class, flags });
    let class_info = (word(), any::<bool>(), vec(info, 0..3)).prop_map(|(name, container, attributes)| {
        let mut attributes: Vec<_> =
            distinct(attributes.into_iter().map(|info| (info.name.clone(), info)).collect())
                .into_iter()
                .map(|(_, info)| info)
                .collect();
        let class = ClassName::plain("String");
        attributes.push(AttributeInfo { name: NAME.into(), class, flags: vec![AttributeFlag::Required] });
        ObjectClassInfo { object_class: ObjectClass(name), container, attributes }
    });
    let option = (word(), class()).prop_map(|(name, class)| OperationOptionInfo { name, class });
    let by_operation = || {
        option::of((operation(), word()))
            .prop_map(|entry| entry.into_iter().map(|(op, name)| (op, vec![name])).collect())
    };
    (option::of(class_info), option::of(option), by_operation(), by_operation()).prop_map(
        |(object_class, option, object_classes_by_operation, options_by_operation)| Schema {
            object_classes: object_class.into_iter().collect(),
            options: option.into_iter().collect(),
            object_classes_by_operation,
            options_by_operation,
        },
    )
}

fn configuration() -> impl Strategy<Value = ApiConfiguration> {
    let property = (
        any::<i32>(),
        any::<[bool; 2]>(),
        word(),
        vec(option::of(text()), 3),
        class(),
        property_value(),
        option::of(operation()),
    )
        .prop_map(|(order, [confidential, required], name, keys, class, value, operation)| {
            ConfigurationProperty {
                order,
                confidential,
                required,
                name,
                help_key: keys[0].clone(),
                display_key: keys[1].clone(),
                group_key: keys[2].clone(),
                class,
                value,
                operations: operation.into_iter().collect(),
            }
        });
    let pool = (any::<i32>(), any::<i64>()).prop_map(|(max_objects, max_wait_ms)| PoolConfiguration {
        max_objects,
        max_wait_ms,
        ..PoolConfiguration::default()
    });
    let handlers = any::<[bool; 4]>().prop_map(|[a, b, c, d]| ResultsHandlers {
        normalizing: a,
        filtered: b,
        case_insensitive_filter: c,
        attributes_to_get: d,
    });
    let timeout = option::of((operation(), any::<i32>()));
    (
        any::<i32>(),
        any::<bool>(),
        option::of(pool),
        option::of(handlers),
        vec(property, 0..3),
        timeout,
        option::of(operation()),
    )
        .prop_map(
            |(
                producer_buffer_size,
                pooling_supported,
                pool,
                results_handlers,
                properties,
                timeout,
                operation,
            )| {
                ApiConfiguration {
                    producer_buffer_size,
                    pooling_supported,
                    pool,
                    results_handlers,
                    properties,
                    timeouts_ms: timeout.into_iter().collect(),
                    supported_operations: operation.into_iter().collect(),
                }
            },
        )
}

fn connector_info() -> impl Strategy<Value = ConnectorInfo> {
    let key = [word(), word(), word()].prop_map(|[bundle_name, bundle_version, connector_name]| {
        ConnectorKey { bundle_name, bundle_version, connector_name }
    });
    let catalogs = option::of(([text(), text(), text()], vec((word(), text()), 0..3)))
        .prop_map(|catalog| catalog.into_iter().map(|(locale, texts)| (locale, distinct(texts))).collect());
    (option::of(text()), option::of(text()), key, option::of(catalogs), option::of(configuration())).prop_map(
        |(display_name_key, category_key, key, messages, configuration)| ConnectorInfo {
            display_name_key,
            category_key,
            key,
            messages,
            configuration,
        },
    )
}

/// The entries whose keys differ in more than case.
fn distinct<T>(entries: Vec<(String, T)>) -> Vec<(String, T)> {
    let mut seen = std::collections::HashSet::new();
    entries.into_iter().filter(|(key, _)| seen.insert(key.to_lowercase())).collect()
}
