//! `Schema` and what it lists.

use super::{Convert, class, set_of, string, text, unexpected, values_of};
use crate::icf::{
    AttributeFlag, AttributeInfo, ClassName, ObjectClass, ObjectClassInfo, OperationOptionInfo, Schema,
};
use crate::legacy::error::LegacyError;
use crate::legacy::tree::{Node, Object};

const FLAGS: [(AttributeFlag, &str); 6] = [
    (AttributeFlag::Required, "REQUIRED"),
    (AttributeFlag::Multivalued, "MULTIVALUED"),
    (AttributeFlag::NotCreatable, "NOT_CREATABLE"),
    (AttributeFlag::NotUpdateable, "NOT_UPDATEABLE"),
    (AttributeFlag::NotReadable, "NOT_READABLE"),
    (AttributeFlag::NotReturnedByDefault, "NOT_RETURNED_BY_DEFAULT"),
];

impl Convert for Schema {
    fn to_node(&self) -> Node<'_> {
        Object::new("Schema")
            .object("ObjectClassInfos", set_of(&self.object_classes))
            .object("OperationOptionInfos", set_of(&self.options))
            .object("objectClassesByOperation", by_operation(&self.object_classes_by_operation))
            .object("optionsByOperation", by_operation(&self.options_by_operation))
            .into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let schema = node.expect("Schema")?;
        Ok(Self {
            object_classes: values_of(schema.get("ObjectClassInfos"), "Set")?,
            options: values_of(schema.get("OperationOptionInfos"), "Set")?,
            object_classes_by_operation: names_by_operation(schema.get("objectClassesByOperation"))?,
            options_by_operation: names_by_operation(schema.get("optionsByOperation"))?,
        })
    }
}

impl Convert for ObjectClassInfo {
    fn to_node(&self) -> Node<'_> {
        Object::new("ObjectClassInfo")
            .text("type", &self.object_class.0)
            .bool("container", self.container)
            .object("AttributeInfos", set_of(&self.attributes))
            .into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let info = node.expect("ObjectClassInfo")?;
        Ok(Self {
            object_class: ObjectClass(text(info, "type")?),
            container: info.get_bool("container"),
            attributes: values_of(info.get("AttributeInfos"), "Set")?,
        })
    }
}

impl Convert for AttributeInfo {
    fn to_node(&self) -> Node<'_> {
        let info = Object::new("AttributeInfo").text("name", &self.name).class("type", self.class.to_class());
        info.with_members(super::nodes(&self.flags)).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let info = node.expect("AttributeInfo")?;
        let flags = info.members().iter().map(AttributeFlag::from_node).collect::<Result<_, _>>()?;
        Ok(Self { name: text(info, "name")?, class: class(info, "type")?, flags })
    }
}

impl Convert for AttributeFlag {
    fn to_node(&self) -> Node<'_> {
        let found = FLAGS.iter().find(|(flag, _)| flag == self);
        let (_, value) = found.expect("every flag has its value");
        Object::new("AttributeInfoFlag").text("value", value).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let value = node.expect("AttributeInfoFlag")?.get_text("value");
        let found = FLAGS.iter().find(|(_, known)| Some(*known) == value);
        found.map(|(flag, _)| *flag).ok_or_else(|| unexpected("AttributeInfoFlag", node))
    }
}

impl Convert for OperationOptionInfo {
    fn to_node(&self) -> Node<'_> {
        let info = Object::new("OperationOptionInfo").text("name", &self.name);
        info.class("type", self.class.to_class()).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let info = node.expect("OperationOptionInfo")?;
        Ok(Self { name: text(info, "name")?, class: class(info, "type")? })
    }
}

type NamesByOperation = Vec<(ClassName, Vec<String>)>;

fn by_operation(map: &[(ClassName, Vec<String>)]) -> Node<'_> {
    let entries = map.iter().map(|(operation, names)| {
        let names = names.iter().map(|name| Node::text(name)).collect();
        (operation.to_node(), Node::set(false, names))
    });
    Node::map(false, entries.collect())
}

fn names_by_operation(node: &Node<'_>) -> Result<NamesByOperation, LegacyError> {
    let entries = node.entries()?.map(|(operation, names)| {
        let names = names.members_of("Set")?.iter().map(string).collect::<Result<_, _>>()?;
        Ok((ClassName::from_node(operation)?, names))
    });
    entries.collect()
}
