//! `Attribute`, `Name` and `Uid` as attributes, sets of them, and `ConnectorObject`.

use super::{Convert, list_of, set_of, text, values_of};
use crate::icf::{Attribute, ConnectorObject, NAME, ObjectClass, UID, Uid, Value};
use crate::legacy::error::LegacyError;
use crate::legacy::tree::{Node, Object};

impl Convert for Attribute {
    fn to_node(&self) -> Node<'_> {
        // Java writes the two special attributes as types of their own (LEGACY section 5).
        match (self.name.as_str(), self.values.as_deref()) {
            (NAME, Some([Value::String(name)])) => return Node::Name(name.as_str().into()),
            (UID, Some([Value::String(uid)])) => return Object::new("Uid").text("uid", uid).into(),
            (UID, Some([Value::Uid(uid)])) => return uid.to_node(),
            _ => {}
        }
        let values = self.values.as_deref().map_or(Node::Null, list_of);
        Object::new("Attribute").text("name", &self.name).object("Values", values).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        if let Node::Name(name) = node {
            return Ok(Attribute::text(NAME, name.as_ref()));
        }
        if node.as_object("Uid").is_some() {
            let uid = Uid::from_node(node)?;
            let value = if uid.revision.is_some() { Value::Uid(uid) } else { Value::String(uid.value) };
            return Ok(Attribute::new(UID, vec![value]));
        }
        let attribute = node.expect("Attribute")?;
        let values = attribute.get("Values");
        let values = if values.is_null() { None } else { Some(values_of(values, "List")?) };
        Ok(Self { name: text(attribute, "name")?, values })
    }
}

impl Convert for Vec<Attribute> {
    fn to_node(&self) -> Node<'_> {
        set_of(self)
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        node.expect("Set")?;
        values_of(node, "Set")
    }
}

impl Convert for ConnectorObject {
    fn to_node(&self) -> Node<'_> {
        let object = Object::new("ConnectorObject").object("ObjectClass", self.object_class.to_node());
        object.object("Attributes", set_of(&self.attributes)).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let object = node.expect("ConnectorObject")?;
        Ok(Self {
            object_class: ObjectClass::from_node(object.get("ObjectClass"))?,
            attributes: values_of(object.get("Attributes"), "Set")?,
        })
    }
}
