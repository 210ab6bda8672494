//! Each rule with what keeps it and what breaks it. Blobs are written without checks, so that a broken one can be read.

use crate::icf::Secret;
use crate::legacy::tree::{Class, Node, Object};
use crate::legacy::{LegacyError, read, write};

fn accepted(node: &Node<'_>) -> Result<(), LegacyError> {
    read(&write(node)).map(|_| ())
}

fn check(cases: Vec<(&str, Node<'_>)>, expected: bool) {
    for (name, node) in cases {
        let found = accepted(&node);
        assert_eq!(found.is_ok(), expected, "{name}: {found:?}");
    }
}

fn attribute<'a>(name: &'a str, values: Vec<Node<'a>>) -> Node<'a> {
    Object::new("Attribute").text("name", name).object("Values", Node::list(values)).into()
}

fn mail<'a>(values: Vec<Node<'a>>) -> Node<'a> {
    attribute("mail", values)
}

fn text<'a>() -> Node<'a> {
    Node::text("x")
}

fn uid<'a>() -> Node<'a> {
    Object::new("Uid").text("uid", "u").into()
}

fn filter<'a>(type_name: &str, attribute: Node<'a>) -> Node<'a> {
    Object::new(type_name).object("attribute", attribute).into()
}

fn account<'a>() -> Node<'a> {
    Object::new("ObjectClass").text("type", "__ACCOUNT__").into()
}

fn connector_object<'a>(class: Node<'a>, attributes: Vec<Node<'a>>) -> Node<'a> {
    let object = Object::new("ConnectorObject").object("ObjectClass", class);
    object.object("Attributes", Node::set(false, attributes)).into()
}

fn secret<'a>() -> Node<'a> {
    Node::GuardedString(Secret::new("s".to_owned()))
}

#[test]
fn text_filters_want_one_text() {
    for name in ["ContainsFilter", "StartsWithFilter", "EndsWithFilter"] {
        check(
            vec![("text", filter(name, mail(vec![text()]))), ("name", filter(name, Node::Name("x".into())))],
            true,
        );
        check(
            vec![
                ("two values", filter(name, mail(vec![text(), text()]))),
                ("none", filter(name, mail(vec![]))),
                ("a number", filter(name, mail(vec![Node::Integer(1)]))),
                ("null", filter(name, mail(vec![Node::Null]))),
                ("a uid", filter(name, uid())),
                ("no attribute", filter(name, Node::Null)),
                ("no attribute but a text", filter(name, text())),
            ],
            false,
        );
    }
}

#[test]
fn comparisons_want_one_value_with_an_order() {
    let decimal = || Object::new("BigDecimal").text("unscaled", "1").into();
    for name in ["GreaterThanFilter", "GreaterThanOrEqualFilter", "LessThanFilter", "LessThanOrEqualFilter"] {
        check(
            vec![
                ("text", filter(name, mail(vec![text()]))),
                ("number", filter(name, mail(vec![Node::Long(1)]))),
                ("decimal", filter(name, mail(vec![decimal()]))),
            ],
            true,
        );
        check(
            vec![
                ("bytes", filter(name, mail(vec![Node::Bytes(vec![1].into())]))),
                ("secret", filter(name, mail(vec![secret()]))),
                ("two", filter(name, mail(vec![text(), text()]))),
                ("a uid", filter(name, uid())),
            ],
            false,
        );
    }
}

#[test]
fn composed_filters_hold_filters() {
    let presence = || Node::from(Object::new("PresenceFilter").text("name", "mail"));
    let of = |name: &str, members| Node::from(Object::new(name).with_members(members));
    check(vec![("and", of("AndFilter", vec![presence(), presence()]))], true);
    check(
        vec![
            ("one", of("AndFilter", vec![presence()])),
            ("three", of("OrFilter", vec![presence(), presence(), presence()])),
            ("null", of("NotFilter", vec![Node::Null])),
            ("no filter", of("NotFilter", vec![text()])),
        ],
        false,
    );
}

#[test]
fn contains_all_values_wants_a_list() {
    let valueless = Object::new("Attribute").text("name", "mail").into();
    check(vec![("empty", filter("ContainsAllValuesFilter", mail(vec![])))], true);
    check(vec![("null", filter("ContainsAllValuesFilter", valueless))], false);
}

#[test]
fn attributes_hold_the_allowed_types() {
    let map = |key| Node::map(false, vec![(key, Node::list(vec![Node::Integer(1)]))]);
    check(
        vec![
            ("password", attribute("__PASSWORD__", vec![secret()])),
            ("map", mail(vec![map(text())])),
            ("any name for the special ones in another case", attribute("__uid__", vec![Node::Integer(1)])),
        ],
        true,
    );
    check(
        vec![
            ("uid as a value", mail(vec![uid()])),
            ("uri", mail(vec![Node::Uri("a:b".into())])),
            ("array", mail(vec![Node::Array(Class::plain("String"), vec![])])),
            ("map by number", mail(vec![map(Node::Integer(1))])),
            ("password as text", attribute("__PASSWORD__", vec![text()])),
            ("two passwords", attribute("__CURRENT_PASSWORD__", vec![secret(), secret()])),
            ("name as number", attribute("__NAME__", vec![Node::Integer(1)])),
            ("blank uid", attribute("__UID__", vec![Node::text(" \t")])),
            ("blank name", attribute(" ", vec![])),
        ],
        false,
    );
}

#[test]
fn objects_have_a_name_a_uid_and_a_class_of_their_own() {
    let all = Object::new("ObjectClass").text("type", "__all__").into();
    let name = || Node::Name("bob".into());
    check(vec![("both", connector_object(account(), vec![name(), uid()]))], true);
    check(
        vec![
            ("no uid", connector_object(account(), vec![name()])),
            ("no name", connector_object(account(), vec![uid()])),
            ("all classes", connector_object(all, vec![name(), uid()])),
            ("no class", connector_object(Node::Null, vec![name(), uid()])),
            ("no attribute", connector_object(account(), vec![name(), uid(), text()])),
        ],
        false,
    );
}

#[test]
fn deltas_without_an_object_are_deletions() {
    let delta = |kind, previous, uid, object| -> Node<'static> {
        let kind = Object::new("SyncDeltaType").text("value", kind).into();
        let token = Object::new("SyncToken").object("value", Node::Integer(1)).into();
        let delta = Object::new("SyncDelta").object("SyncDeltaType", kind).object("SyncToken", token);
        let delta = delta.object("PreviousUid", previous).object("ObjectClass", account());
        delta.object("Uid", uid).object("ConnectorObject", object).into()
    };
    let object = || connector_object(account(), vec![Node::Name("bob".into()), uid()]);
    check(
        vec![
            ("deletion", delta("DELETE", Node::Null, uid(), Node::Null)),
            ("renamed", delta("UPDATE", uid(), uid(), object())),
            ("uid from the object", delta("CREATE", Node::Null, Node::Null, object())),
        ],
        true,
    );
    check(
        vec![
            ("update of nothing", delta("UPDATE", Node::Null, uid(), Node::Null)),
            ("deletion of nothing", delta("DELETE", Node::Null, Node::Null, Node::Null)),
            ("renaming creation", delta("CREATE", uid(), uid(), object())),
            ("no such kind", delta("MOVE", Node::Null, uid(), object())),
        ],
        false,
    );
}

#[test]
fn schemas_list_the_name_and_guard_passwords() {
    let info =
        |name, class| Object::new("AttributeInfo").text("name", name).class("type", Class::plain(class));
    let class = |info: Object<'static>| -> Node<'static> {
        let infos = Node::set(false, vec![info.into()]);
        Object::new("ObjectClassInfo").text("type", "x").object("AttributeInfos", infos).into()
    };
    check(vec![("name", class(info("__NAME__", "String")))], true);
    check(
        vec![
            ("no name", class(info("mail", "String"))),
            ("open password", info("__PASSWORD__", "String").into()),
            ("unknown class", info("mail", "Date").into()),
        ],
        false,
    );
}

#[test]
fn options_tokens_and_properties_hold_the_allowed_types() {
    let options = |value| -> Node<'_> {
        Object::new("OperationOptions").object("options", Node::map(false, vec![(text(), value)])).into()
    };
    let token = |value| -> Node<'_> { Object::new("SyncToken").object("value", value).into() };
    let property = |value| -> Node<'_> { Object::new("ConfigurationProperty").object("value", value).into() };
    let uids = Node::Array(Class::plain("Uid"), vec![uid()]);
    check(
        vec![
            ("array option", options(uids)),
            ("token", token(Node::Long(1))),
            ("no value", property(Node::Null)),
            ("file", property(Node::File("/a".into()))),
        ],
        true,
    );
    check(
        vec![
            ("list option", options(Node::list(vec![]))),
            ("attribute option", options(mail(vec![]))),
            ("null token", token(Node::Null)),
            ("uid token", token(uid())),
            ("byte property", property(Node::Byte(1))),
            ("list property", property(Node::list(vec![]))),
        ],
        false,
    );
}

#[test]
fn arrays_hold_their_component() {
    let array = |name, dimensions, members| {
        Node::Array(Class { name: std::borrow::Cow::Borrowed(name), dimensions }, members)
    };
    let strings = || array("String", 0, vec![text()]);
    check(
        vec![
            ("null text", array("String", 0, vec![Node::Null])),
            ("two dimensions", array("String", 1, vec![strings(), Node::Null])),
            ("anything", array("Object", 0, vec![text(), strings(), Node::Null])),
            ("bytes of bytes", array("byte", 1, vec![Node::Bytes(vec![].into())])),
            ("attributes", array("Attribute", 0, vec![Node::Name("x".into()), uid(), mail(vec![])])),
        ],
        true,
    );
    check(
        vec![
            ("null number", array("int", 0, vec![Node::Null])),
            ("long in int", array("int", 0, vec![Node::Long(1)])),
            ("text for an array", array("String", 1, vec![text()])),
            ("one dimension too few", array("String", 2, vec![strings()])),
            ("unknown class", array("Date", 0, vec![])),
        ],
        false,
    );
}

#[test]
fn folding_collections_hold_texts_that_differ_in_more_than_case() {
    let set = |members| Node::set(true, members);
    let map = |keys: [&'static str; 2]| Node::map(true, keys.map(|key| (Node::text(key), Node::Null)).into());
    check(vec![("set", set(vec![Node::text("a"), Node::text("A")])), ("map", map(["a", "b"]))], true);
    check(vec![("number", set(vec![Node::Integer(1)])), ("equal keys", map(["straße", "STRAßE"]))], false);
    let set = write(&set(vec![Node::text("a"), Node::text("A")]));
    assert_eq!(
        read(&set).map(|set| set.members_of("Set").map(<[_]>::len)),
        Ok(Ok(1)),
        "equal members collapse"
    );
}

#[test]
fn a_set_member_that_spells_out_a_default_equals_one_that_leaves_it_out() {
    let key = || Object::new("SortKey").text("field", "mail");
    let mut set = Node::set(false, vec![key().into(), key().bool("isAscending", false).into()]);
    assert_eq!(read(&write(&set)).as_ref(), Ok(&set));
    set = Node::set(false, vec![key().into(), key().bool("isAscending", true).into()]);
    assert_eq!(read(&write(&set)), Ok(Node::set(false, vec![key().into()])));
}
