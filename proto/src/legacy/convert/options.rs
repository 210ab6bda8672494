//! `OperationOptions`.

use super::{Convert, string};
use crate::icf::{OperationOptions, Value};
use crate::legacy::error::LegacyError;
use crate::legacy::tree::{Node, Object};

impl Convert for OperationOptions {
    fn to_node(&self) -> Node<'_> {
        let entries = self.entries.iter().map(|(name, value)| (Node::text(name), value.to_node()));
        let map = Node::map(self.case_insensitive, entries.collect());
        Object::new("OperationOptions").object("options", map).into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let map = node.expect("OperationOptions")?.get("options");
        let entries = map.entries()?.map(|(name, value)| Ok((string(name)?, Value::from_node(value)?)));
        Ok(Self {
            case_insensitive: map.expect("Map")?.get_bool("caseInsensitive"),
            entries: entries.collect::<Result<_, LegacyError>>()?,
        })
    }
}
