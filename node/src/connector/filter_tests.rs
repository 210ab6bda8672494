//! Filter semantics, as observed on the published framework 1.8.0 (see node/CSV.md), and laws that hold for any filter.

use proptest::prelude::*;
use rcs_proto::icf::{Attribute, ConnectorObject, Filter, NAME, ObjectClass, UID, Value};

use super::{Case, FilterRules, Missing};
use crate::error::ErrorClass;

const FRAMEWORK: FilterRules = FilterRules { case: Case::Sensitive, missing: Missing::Undefined };
const TWO_VALUED: FilterRules = FilterRules { case: Case::Sensitive, missing: Missing::False };
const FOLDING: FilterRules = FilterRules { case: Case::Insensitive, missing: Missing::Undefined };

fn object() -> ConnectorObject {
    ConnectorObject {
        object_class: ObjectClass(ObjectClass::ACCOUNT.to_owned()),
        attributes: vec![
            Attribute::text(NAME, "jdoe"),
            Attribute::text(UID, "jdoe"),
            Attribute::text("email", "jdoe@example.com"),
            Attribute::new("tags", vec![Value::String("a".into()), Value::String("b".into())]),
            Attribute::new("age", vec![Value::Integer(40)]),
            Attribute { name: "empty".into(), values: None },
        ],
    }
}

fn eq(name: &str, value: &str) -> Filter {
    Filter::Equals(Attribute::text(name, value))
}
fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}
fn and(left: Filter, right: Filter) -> Filter {
    Filter::And(Box::new(left), Box::new(right))
}
fn or(left: Filter, right: Filter) -> Filter {
    Filter::Or(Box::new(left), Box::new(right))
}
fn text(name: &str, value: &str) -> Attribute {
    Attribute::text(name, value)
}

#[test]
fn comparisons_answer_as_the_framework_does() {
    let all = |values: &[&str]| {
        Filter::ContainsAllValues(Attribute::new(
            "tags",
            values.iter().map(|value| Value::String((*value).into())).collect(),
        ))
    };
    let cases: Vec<(&str, Filter, bool)> = vec![
        ("equal", eq("email", "jdoe@example.com"), true),
        ("attribute names fold", eq("EMAIL", "jdoe@example.com"), true),
        ("values do not fold", eq("email", "JDOE@example.com"), false),
        (
            "another type is not equal",
            Filter::Equals(Attribute::new("email", vec![Value::Integer(1)])),
            false,
        ),
        ("all values in order", Filter::Equals(object().attributes[3].clone()), true),
        ("no value wanted", Filter::Equals(Attribute { name: "email".into(), values: None }), false),
        ("missing is not equal", eq("nosuch", "x"), false),
        ("not missing is undefined", not(eq("nosuch", "x")), false),
        ("twice not missing is undefined", not(not(eq("nosuch", "x"))), false),
        ("not of a known false", not(eq("email", "x")), true),
        ("and with a known false is false", not(and(eq("nosuch", "x"), eq("email", "x"))), true),
        ("and with a known true is undefined", not(and(eq("nosuch", "x"), eq(UID, "jdoe"))), false),
        ("or with a known true is true", or(eq(UID, "jdoe"), eq("nosuch", "x")), true),
        ("or does not depend on order", or(eq("nosuch", "x"), eq(UID, "jdoe")), true),
        ("or of undefined", or(eq("nosuch", "x"), eq("nosuch2", "x")), false),
        ("present", Filter::Presence("email".into()), true),
        ("present folds", Filter::Presence("EMAIL".into()), true),
        ("absent", Filter::Presence("nosuch".into()), false),
        ("an attribute without values is absent", Filter::Presence("empty".into()), false),
        ("not present is known", not(Filter::Presence("nosuch".into())), true),
        ("contains", Filter::Contains(text("email", "doe@")), true),
        ("contains with case", Filter::Contains(text("email", "DOE@")), false),
        ("starts", Filter::StartsWith(text("email", "jdoe")), true),
        ("starts not", Filter::StartsWith(text("email", "doe")), false),
        ("ends", Filter::EndsWith(text("email", ".com")), true),
        ("ends not", Filter::EndsWith(text("email", ".org")), false),
        ("greater", Filter::GreaterThan(text(NAME, "jdod")), true),
        ("greater not when equal", Filter::GreaterThan(text(NAME, "jdoe")), false),
        ("greater or equal", Filter::GreaterThanOrEqual(text(NAME, "jdoe")), true),
        ("less", Filter::LessThan(text(NAME, "jdof")), true),
        ("less or equal", Filter::LessThanOrEqual(text(NAME, "jdoe")), true),
        ("numbers", Filter::LessThan(Attribute::new("age", vec![Value::Integer(41)])), true),
        ("all of one", all(&["a"]), true),
        ("all of two, any order", all(&["b", "a"]), true),
        ("all with one too many", all(&["a", "c"]), false),
        ("all of nothing", all(&[]), true),
    ];
    for (name, filter, expected) in cases {
        assert_eq!(FRAMEWORK.accepts(&filter, &object()), Ok(expected), "{name}");
    }
}

#[test]
fn without_the_frameworks_filter_missing_is_false() {
    assert_eq!(TWO_VALUED.accepts(&not(eq("nosuch", "x")), &object()), Ok(true));
    assert_eq!(TWO_VALUED.accepts(&not(not(eq("nosuch", "x"))), &object()), Ok(false));
}

#[test]
fn the_case_folding_handler_folds_values() {
    for filter in [
        eq("email", "JDOE@Example.com"),
        Filter::StartsWith(text("email", "JD")),
        Filter::Contains(text("email", "OE@")),
        Filter::GreaterThan(text("email", "JDOA")),
    ] {
        assert_eq!(FOLDING.accepts(&filter, &object()), Ok(true));
    }
}

#[test]
fn putting_different_types_in_order_is_javas_class_cast() {
    let filter = Filter::GreaterThan(Attribute::new("email", vec![Value::Integer(5)]));
    assert_eq!(FRAMEWORK.accepts(&filter, &object()).unwrap_err().class, ErrorClass::ClassCast);
    assert_eq!(FRAMEWORK.accepts(&not(filter), &object()).unwrap_err().class, ErrorClass::ClassCast);
}

#[test]
fn an_operator_of_nobody_is_refused() {
    let filter = Filter::Extended { operator: "SOUNDS".into(), attribute: text("email", "x") };
    assert_eq!(FRAMEWORK.accepts(&filter, &object()).unwrap_err().class, ErrorClass::UnsupportedOperation);
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let names = prop_oneof![Just("email"), Just("tags"), Just("nosuch"), Just(UID)];
    let leaf = (names, "[a-j]{0,3}", 0..7u8).prop_map(|(name, value, kind)| {
        let attribute = Attribute::text(name, value);
        match kind {
            0 => Filter::Equals(attribute),
            1 => Filter::Contains(attribute),
            2 => Filter::StartsWith(attribute),
            3 => Filter::EndsWith(attribute),
            4 => Filter::GreaterThan(attribute),
            5 => Filter::ContainsAllValues(attribute),
            _ => Filter::Presence(attribute.name),
        }
    });
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| and(left, right)),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| or(left, right)),
            inner.prop_map(not),
        ]
    })
}

proptest! {
    #[test]
    fn an_object_never_passes_both_a_filter_and_its_negation(filter in any_filter()) {
        for rules in [FRAMEWORK, TWO_VALUED, FOLDING] {
            let straight = rules.accepts(&filter, &object()).unwrap();
            let negated = rules.accepts(&not(filter.clone()), &object()).unwrap();
            prop_assert!(!(straight && negated));
            prop_assert_eq!(straight, rules.accepts(&not(not(filter.clone())), &object()).unwrap());
            if rules.missing == Missing::False {
                prop_assert!(straight || negated);
            }
        }
    }

    #[test]
    fn and_and_or_do_not_depend_on_order(left in any_filter(), right in any_filter()) {
        for rules in [FRAMEWORK, TWO_VALUED] {
            let answer = |filter| rules.accepts(&filter, &object()).unwrap();
            prop_assert_eq!(answer(and(left.clone(), right.clone())), answer(and(right.clone(), left.clone())));
            prop_assert_eq!(answer(or(left.clone(), right.clone())), answer(or(right.clone(), left.clone())));
            prop_assert_eq!(
                answer(not(and(left.clone(), right.clone()))),
                answer(or(not(left.clone()), not(right.clone())))
            );
        }
    }
}
