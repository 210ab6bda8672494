//! The model of [`crate::icf`] into trees and back, one family of types a file.

mod attribute;
mod configuration;
mod connector_info;
mod filter;
mod options;
mod schema;
mod value;

use super::error::LegacyError;
use super::tree::{Class, Node, Object};
use crate::icf::{ClassName, ObjectClass, Uid};

/// A type of the model with its form as a tree.
pub(crate) trait Convert: Sized {
    /// The tree; texts and bytes are borrowed.
    fn to_node(&self) -> Node<'_>;

    /// The value that the tree stands for.
    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError>;
}

impl ClassName {
    fn to_class(&self) -> Class<'_> {
        Class { name: self.name.as_str().into(), dimensions: self.dimensions }
    }

    fn from_class(class: &Class<'_>) -> Self {
        Self { name: class.name.as_ref().to_owned(), dimensions: class.dimensions }
    }
}

impl Convert for ClassName {
    fn to_node(&self) -> Node<'_> {
        Node::Class(self.to_class())
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        match node {
            Node::Class(class) => Ok(Self::from_class(class)),
            _ => Err(unexpected("Class", node)),
        }
    }
}

impl Convert for ObjectClass {
    fn to_node(&self) -> Node<'_> {
        Object::new("ObjectClass").text("type", &self.0).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        text(node.expect("ObjectClass")?, "type").map(Self)
    }
}

impl Convert for Uid {
    fn to_node(&self) -> Node<'_> {
        let uid = Object::new("Uid").text("uid", &self.value);
        uid.maybe_text("revision", self.revision.as_deref()).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let uid = node.expect("Uid")?;
        Ok(Self { value: text(uid, "uid")?, revision: optional_text(uid, "revision") })
    }
}

/// A `List` of values.
fn list_of<T: Convert>(values: &[T]) -> Node<'_> {
    Node::list(nodes(values))
}

/// A `Set` of values.
fn set_of<T: Convert>(values: &[T]) -> Node<'_> {
    Node::set(false, nodes(values))
}

fn nodes<T: Convert>(values: &[T]) -> Vec<Node<'_>> {
    values.iter().map(Convert::to_node).collect()
}

/// The members of a `List`, `Set` or other such type; none of a null.
fn values_of<T: Convert>(node: &Node<'_>, type_name: &'static str) -> Result<Vec<T>, LegacyError> {
    node.members_of(type_name)?.iter().map(T::from_node).collect()
}

/// The value, or none for null.
fn optional<T: Convert>(node: &Node<'_>) -> Result<Option<T>, LegacyError> {
    if node.is_null() { Ok(None) } else { T::from_node(node).map(Some) }
}

/// The tree, or null for none.
fn or_null<T: Convert>(value: Option<&T>) -> Node<'_> {
    value.map_or(Node::Null, Convert::to_node)
}

fn text(object: &Object<'_>, field: &'static str) -> Result<String, LegacyError> {
    let missing = LegacyError::Missing { type_name: object.type_name(), field };
    object.get_text(field).map(str::to_owned).ok_or(missing)
}

fn optional_text(object: &Object<'_>, field: &str) -> Option<String> {
    object.get_text(field).map(str::to_owned)
}

fn class(object: &Object<'_>, field: &'static str) -> Result<ClassName, LegacyError> {
    let missing = LegacyError::Missing { type_name: object.type_name(), field };
    object.get_class(field).map(ClassName::from_class).ok_or(missing)
}

/// The text of a `String`.
fn string(node: &Node<'_>) -> Result<String, LegacyError> {
    node.as_text().map(str::to_owned).ok_or_else(|| unexpected("String", node))
}

fn unexpected(expected: &'static str, node: &Node<'_>) -> LegacyError {
    LegacyError::Type { expected, found: node.type_name() }
}
