//! What Java's types demand beyond the tables (the lists at the end of LEGACY section 5).

use std::borrow::Cow;

use super::error::LegacyError;
use super::scalar::digits;
use super::schema;
use super::tree::{Class, Node, Object, Slot};
use crate::icf::{CURRENT_PASSWORD, NAME, ObjectClass, PASSWORD, UID};

/// Checks an object whose fields are read, and turns it into the form in which Java would hold it.
pub(crate) fn check(object: Object<'_>) -> Result<Node<'_>, LegacyError> {
    match object.row.name {
        "Attribute" => attribute(object),
        "BigDecimal" => big_decimal(object).map(Node::from),
        "SearchResult" if object.get("CountPolicy").is_null() => {
            let none = Object::new("CountPolicy").text("value", "NONE");
            Ok(object.object("CountPolicy", none.into()).into())
        }
        "ConnectorObject" => connector_object(&object).map(|()| object.into()),
        "SyncDelta" => sync_delta(&object).map(|()| object.into()),
        "OperationOptions" => options(&object).map(|()| object.into()),
        "ObjectClassInfo" => object_class_info(&object).map(|()| object.into()),
        _ => simple_rule(&object).map(|()| object.into()),
    }
}

/// Whether a member may stand in an array of that component.
pub(crate) fn array_member(component: &Class<'_>, member: &Node<'_>) -> Result<(), LegacyError> {
    let boxed = schema::boxed(&component.name);
    let fits = match (component.dimensions, boxed, member) {
        (0, None, Node::Null) => true,
        (0, Some(boxed), member) => member.type_name() == boxed,
        (0, None, member) => is_a(member, &component.name),
        (_, _, Node::Null) => true,
        (1, Some("Byte"), Node::Bytes(_)) => true,
        (dimensions, _, Node::Array(inner, _)) => {
            component.name == "Object" || (inner.dimensions + 1 == dimensions && inner.name == component.name)
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(LegacyError::Rule { type_name: "Array", rule: "has a member of another type" })
}

/// Java's blank: nothing but characters up to U+0020.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|character| character <= ' ')
}

fn require(object: &Object<'_>, holds: bool, rule: &'static str) -> Result<(), LegacyError> {
    if holds { Ok(()) } else { Err(broken(object, rule)) }
}

fn broken(object: &Object<'_>, rule: &'static str) -> LegacyError {
    LegacyError::Rule { type_name: object.row.name, rule }
}

/// The rules that are one condition each.
fn simple_rule(object: &Object<'_>) -> Result<(), LegacyError> {
    let text = |field| object.get_text(field).unwrap_or_default();
    let (holds, rule) = match object.row.name {
        "Uid" => (!object.get_text("revision").is_some_and(is_blank), "has a blank revision"),
        "CountPolicy" | "SyncDeltaType" | "AttributeInfoFlag" => {
            (enumeration(object.row.name).contains(&text("value")), "has no such value")
        }
        "UpdateBatchTask" => {
            (["UPDATE", "ADDVALUES", "REMOVEVALUES"].contains(&text("Type")), "has no such type of update")
        }
        "ContainsFilter" | "StartsWithFilter" | "EndsWithFilter" => {
            let single = single_value(object.get("attribute"));
            (matches!(single, Some(Single::Text)), "wants exactly one text, not of a Uid")
        }
        "GreaterThanFilter" | "GreaterThanOrEqualFilter" | "LessThanFilter" | "LessThanOrEqualFilter" => {
            let single = single_value(object.get("attribute"));
            (single.is_some(), "wants exactly one value that has an order, not of a Uid")
        }
        "ContainsAllValuesFilter" => {
            let attribute = object.get("attribute").as_object("Attribute");
            (!attribute.is_some_and(|attribute| attribute.get("Values").is_null()), "wants a list of values")
        }
        "SyncToken" => {
            (is_attribute_value(object.get("value")), "has a value of a type that tokens do not allow")
        }
        "ConfigurationProperty" => (
            is_configuration_value(object.get("value")),
            "has a value of a type that properties do not allow",
        ),
        "AttributeInfo" => {
            let guarded =
                object.get_class("type").is_some_and(|class| *class == Class::plain("GuardedString"));
            (guarded || !is_password(text("name")), "gives a password another type than GuardedString")
        }
        _ => return Ok(()),
    };
    require(object, holds, rule)
}

fn enumeration(type_name: &str) -> &'static [&'static str] {
    match type_name {
        "CountPolicy" => &["NONE", "ESTIMATE", "EXACT"],
        "SyncDeltaType" => &["CREATE_OR_UPDATE", "DELETE", "CREATE", "UPDATE"],
        _ => &[
            "REQUIRED",
            "MULTIVALUED",
            "NOT_CREATABLE",
            "NOT_UPDATEABLE",
            "NOT_READABLE",
            "NOT_RETURNED_BY_DEFAULT",
        ],
    }
}

/// Subtypes as far as arrays may be declared by a type that others extend.
fn is_a(member: &Node<'_>, type_name: &str) -> bool {
    let found = member.type_name();
    match type_name {
        "Object" => true,
        "Attribute" => ["Attribute", "Name", "Uid"].contains(&found),
        "Throwable" | "Exception" | "RuntimeException" | "ConnectorException" => {
            found.ends_with("Exception") || found == type_name
        }
        _ => found == type_name,
    }
}

fn is_password(name: &str) -> bool {
    name == PASSWORD || name == CURRENT_PASSWORD
}

/// An attribute; one of the two special names becomes the type that Java gives it.
fn attribute(object: Object<'_>) -> Result<Node<'_>, LegacyError> {
    let name = object.get_text("name").unwrap_or_default();
    let values = object.get("Values").members_of("List")?;
    let allowed = values.iter().all(is_attribute_value);
    require(&object, allowed, "has a value of a type that attributes do not allow")?;
    if is_password(name) {
        let guarded = matches!(values, [Node::GuardedString(_)]);
        require(&object, guarded, "is a password and holds something else than one GuardedString")?;
    }
    if name != NAME && name != UID {
        return Ok(object.into());
    }
    let [Node::String(text)] = values else {
        return Err(broken(&object, "is __NAME__ or __UID__ and holds something else than one text"));
    };
    if name == NAME {
        return Ok(Node::Name(text.clone()));
    }
    require(&object, !is_blank(text), "is a __UID__ without text")?;
    let mut uid = Object::new("Uid");
    uid.put(0, Slot::Text(text.clone()));
    Ok(uid.into())
}

fn is_attribute_value(value: &Node<'_>) -> bool {
    match value {
        Node::Null
        | Node::String(_)
        | Node::Long(_)
        | Node::Character(_)
        | Node::Double(_)
        | Node::Float(_)
        | Node::Integer(_)
        | Node::Boolean(_)
        | Node::Byte(_)
        | Node::Bytes(_)
        | Node::BigInteger(_)
        | Node::GuardedString(_)
        | Node::GuardedBytes(_) => true,
        Node::Object(object) => match object.row.name {
            "BigDecimal" => true,
            "List" | "Set" => object.members.iter().all(is_attribute_value),
            "Map" => value.entries().is_ok_and(|mut entries| {
                entries.all(|(key, value)| key.as_text().is_some() && is_attribute_value(value))
            }),
            _ => false,
        },
        _ => false,
    }
}

fn is_configuration_value(value: &Node<'_>) -> bool {
    match value {
        Node::Null
        | Node::String(_)
        | Node::Long(_)
        | Node::Character(_)
        | Node::Double(_)
        | Node::Float(_)
        | Node::Integer(_)
        | Node::Boolean(_)
        | Node::Uri(_)
        | Node::File(_)
        | Node::GuardedString(_)
        | Node::GuardedBytes(_) => true,
        Node::Array(_, members) => members.iter().all(is_configuration_value),
        Node::Object(object) => object.row.name == "Script",
        _ => false,
    }
}

fn is_option_value(value: &Node<'_>) -> bool {
    match value {
        Node::Array(_, members) => members.iter().all(is_option_value),
        Node::Object(object) => {
            ["Script", "ObjectClass", "Uid", "QualifiedUid", "SortKey"].contains(&object.row.name)
        }
        _ => is_configuration_value(value),
    }
}

fn big_decimal(mut object: Object<'_>) -> Result<Object<'_>, LegacyError> {
    let unscaled = object.get_text("unscaled").and_then(digits).map(Cow::into_owned);
    let unscaled = unscaled.ok_or_else(|| broken(&object, "is no number"))?;
    if object.get_text("unscaled") != Some(&unscaled) {
        object.put(0, Slot::Text(Cow::Owned(unscaled)));
    }
    Ok(object)
}

fn options(object: &Object<'_>) -> Result<(), LegacyError> {
    for (key, value) in object.get("options").entries()? {
        require(object, key.as_text().is_some(), "has an option whose name is no text")?;
        require(object, is_option_value(value), "has a value of a type that options do not allow")?;
    }
    Ok(())
}

fn object_class_info(object: &Object<'_>) -> Result<(), LegacyError> {
    let mut has_name = false;
    for info in object.get("AttributeInfos").members_of("Set")? {
        let name = info.expect("AttributeInfo")?.get_text("name").unwrap_or_default();
        has_name |= name.eq_ignore_ascii_case(NAME);
    }
    require(object, has_name, "lists no __NAME__")
}

/// The kind of a filter attribute's only value.
enum Single {
    Text,
    Ordered,
}

fn single_value(attribute: &Node<'_>) -> Option<Single> {
    let values = match attribute {
        Node::Name(_) => return Some(Single::Text),
        Node::Object(object) if object.row.name == "Attribute" => {
            object.get("Values").members_of("List").ok()?
        }
        _ => return None,
    };
    match values {
        [Node::String(_)] => Some(Single::Text),
        [
            Node::Long(_)
            | Node::Character(_)
            | Node::Double(_)
            | Node::Float(_)
            | Node::Integer(_)
            | Node::Boolean(_)
            | Node::Byte(_)
            | Node::BigInteger(_),
        ] => Some(Single::Ordered),
        [value] => value.as_object("BigDecimal").map(|_| Single::Ordered),
        _ => None,
    }
}

fn connector_object(object: &Object<'_>) -> Result<(), LegacyError> {
    let class = object.get("ObjectClass").expect("ObjectClass")?.get_text("type").unwrap_or_default();
    require(object, !class.eq_ignore_ascii_case(ObjectClass::ALL), "has the class __ALL__")?;
    let (mut name, mut uid) = (false, false);
    for member in object.get("Attributes").members_of("Set")? {
        match member {
            Node::Name(_) => name = true,
            Node::Object(inner) if inner.row.name == "Uid" => uid = true,
            other => {
                let found = other.expect("Attribute")?.get_text("name").unwrap_or_default();
                name |= found.eq_ignore_ascii_case(NAME);
                uid |= found.eq_ignore_ascii_case(UID);
            }
        }
    }
    require(object, name && uid, "lacks its __NAME__ or its __UID__")
}

fn sync_delta(object: &Object<'_>) -> Result<(), LegacyError> {
    let kind = object.get("SyncDeltaType").expect("SyncDeltaType")?.get_text("value").unwrap_or_default();
    if object.get("ConnectorObject").is_null() {
        require(object, kind == "DELETE", "lacks its object")?;
        require(object, !object.get("Uid").is_null(), "lacks its Uid")?;
    }
    let renames = ["CREATE_OR_UPDATE", "UPDATE"].contains(&kind);
    require(object, renames || object.get("PreviousUid").is_null(), "has a previous Uid but is no update")
}

#[cfg(test)]
mod tests;
