//! Values of attributes, options, properties, tokens and script results.

use super::{Convert, optional_text, string, text, unexpected, values_of};
use crate::icf::{Attribute, ClassName, ObjectClass, Script, Secret, SortKey, Uid, Value};
use crate::legacy::error::LegacyError;
use crate::legacy::scalar;
use crate::legacy::tree::{Node, Object};

impl Convert for Value {
    fn to_node(&self) -> Node<'_> {
        match self {
            Value::Null => Node::Null,
            Value::Boolean(value) => Node::Boolean(*value),
            Value::Byte(number) => Node::Byte(*number),
            Value::Character(character) => Node::Character(*character),
            Value::Integer(number) => Node::Integer(*number),
            Value::Long(number) => Node::Long(*number),
            Value::Float(number) => scalar::float(*number),
            Value::Double(number) => scalar::double(*number),
            Value::String(text) => Node::text(text),
            Value::BigInteger(digits) => Node::BigInteger(digits.as_str().into()),
            Value::BigDecimal { unscaled, scale } => {
                Object::new("BigDecimal").text("unscaled", unscaled).int("scale", *scale).into()
            }
            Value::Bytes(bytes) => Node::Bytes(bytes.as_slice().into()),
            Value::GuardedString(secret) => Node::GuardedString(secret.clone()),
            Value::GuardedBytes(secret) => Node::GuardedBytes(secret.clone()),
            Value::File(path) => Node::File(path.as_str().into()),
            Value::Uri(uri) => Node::Uri(uri.as_str().into()),
            Value::Class(class) => class.to_node(),
            Value::QualifiedUid(class, uid) => {
                let object = Object::new("QualifiedUid").object("ObjectClass", class.to_node());
                object.object("Uid", uid.to_node()).into()
            }
            Value::ObjectClass(class) => class.to_node(),
            Value::Uid(uid) => uid.to_node(),
            Value::Attribute(attribute) => attribute.to_node(),
            Value::SortKey(key) => key.to_node(),
            Value::Script(script) => script.to_node(),
            Value::Array(component, items) => Node::Array(component.to_class(), super::nodes(items)),
            Value::List(items) => super::list_of(items),
            Value::Set { case_insensitive, items } => Node::set(*case_insensitive, super::nodes(items)),
            Value::Map { case_insensitive, entries } => {
                let entries = entries.iter().map(|(key, value)| (key.to_node(), value.to_node()));
                Node::map(*case_insensitive, entries.collect())
            }
        }
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        Ok(match node {
            Node::Null => Value::Null,
            Node::Boolean(value) => Value::Boolean(*value),
            Node::Byte(number) => Value::Byte(*number),
            Node::Character(character) => Value::Character(*character),
            Node::Integer(number) => Value::Integer(*number),
            Node::Long(number) => Value::Long(*number),
            Node::Float(bits) => Value::Float(f32::from_bits(*bits)),
            Node::Double(bits) => Value::Double(f64::from_bits(*bits)),
            Node::String(text) => Value::String(text.as_ref().to_owned()),
            Node::BigInteger(digits) => Value::BigInteger(digits.as_ref().to_owned()),
            Node::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
            Node::GuardedString(secret) => Value::GuardedString(secret.clone()),
            Node::GuardedBytes(secret) => Value::GuardedBytes(secret.clone()),
            Node::File(path) => Value::File(path.as_ref().to_owned()),
            Node::Uri(uri) => Value::Uri(uri.as_ref().to_owned()),
            Node::Class(class) => Value::Class(ClassName::from_class(class)),
            Node::Name(_) => Value::Attribute(Attribute::from_node(node)?),
            Node::Array(component, items) => {
                let items: Result<Vec<_>, _> = items.iter().map(Value::from_node).collect();
                Value::Array(ClassName::from_class(component), items?)
            }
            Node::Object(object) => structured(node, object)?,
        })
    }
}

impl Convert for SortKey {
    fn to_node(&self) -> Node<'_> {
        Object::new("SortKey").text("field", &self.field).bool("isAscending", self.ascending).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let key = node.expect("SortKey")?;
        Ok(Self { field: text(key, "field")?, ascending: key.get_bool("isAscending") })
    }
}

impl Convert for Script {
    fn to_node(&self) -> Node<'_> {
        let script = Object::new("Script").text("scriptLanguage", &self.language);
        script.object("scriptText", Node::text(&self.text)).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let script = node.expect("Script")?;
        Ok(Self { language: text(script, "scriptLanguage")?, text: string(script.get("scriptText"))? })
    }
}

impl Convert for Secret<String> {
    fn to_node(&self) -> Node<'_> {
        Node::GuardedString(self.clone())
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        match node {
            Node::GuardedString(secret) => Ok(secret.clone()),
            _ => Err(unexpected("GuardedString", node)),
        }
    }
}

fn structured(node: &Node<'_>, object: &Object<'_>) -> Result<Value, LegacyError> {
    Ok(match object.type_name() {
        "BigDecimal" => Value::BigDecimal {
            unscaled: optional_text(object, "unscaled").unwrap_or_default(),
            scale: object.get_int("scale"),
        },
        "QualifiedUid" => Value::QualifiedUid(
            ObjectClass::from_node(object.get("ObjectClass"))?,
            Uid::from_node(object.get("Uid"))?,
        ),
        "ObjectClass" => Value::ObjectClass(ObjectClass::from_node(node)?),
        "Uid" => Value::Uid(Uid::from_node(node)?),
        "Attribute" => Value::Attribute(Attribute::from_node(node)?),
        "SortKey" => Value::SortKey(SortKey::from_node(node)?),
        "Script" => Value::Script(Script::from_node(node)?),
        "List" => Value::List(values_of(node, "List")?),
        "Set" => Value::Set {
            case_insensitive: object.get_bool("caseInsensitive"),
            items: values_of(node, "Set")?,
        },
        "Map" => {
            let pairs =
                node.entries()?.map(|(key, value)| Ok((Value::from_node(key)?, Value::from_node(value)?)));
            Value::Map {
                case_insensitive: object.get_bool("caseInsensitive"),
                entries: pairs.collect::<Result<_, LegacyError>>()?,
            }
        }
        _ => return Err(unexpected("a value", node)),
    })
}
