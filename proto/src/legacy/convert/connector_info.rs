//! `ConnectorInfo`, the answer to CONNECTOR_INFO.

use super::{Convert, list_of, optional, optional_text, or_null, string, text, values_of};
use crate::icf::{Catalogs, ConnectorInfo, ConnectorKey};
use crate::legacy::error::LegacyError;
use crate::legacy::tree::{Node, Object};

impl Convert for Vec<ConnectorInfo> {
    fn to_node(&self) -> Node<'_> {
        list_of(self)
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        node.expect("List")?;
        values_of(node, "List")
    }
}

impl Convert for ConnectorInfo {
    fn to_node(&self) -> Node<'_> {
        Object::new("ConnectorInfo")
            .maybe_text("connectorDisplayNameKey", self.display_name_key.as_deref())
            .maybe_text("connectorCategoryKey", self.category_key.as_deref())
            .object("ConnectorKey", self.key.to_node())
            .object("ConnectorMessages", self.messages.as_ref().map_or(Node::Null, messages))
            .object("APIConfiguration", or_null(self.configuration.as_ref()))
            .into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let info = node.expect("ConnectorInfo")?;
        let messages = info.get("ConnectorMessages");
        Ok(Self {
            display_name_key: optional_text(info, "connectorDisplayNameKey"),
            category_key: optional_text(info, "connectorCategoryKey"),
            key: ConnectorKey::from_node(info.get("ConnectorKey"))?,
            messages: if messages.is_null() { None } else { Some(catalogs(messages)?) },
            configuration: optional(info.get("APIConfiguration"))?,
        })
    }
}

impl Convert for ConnectorKey {
    fn to_node(&self) -> Node<'_> {
        Object::new("ConnectorKey")
            .text("bundleName", &self.bundle_name)
            .text("bundleVersion", &self.bundle_version)
            .text("connectorName", &self.connector_name)
            .into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let key = node.expect("ConnectorKey")?;
        Ok(Self {
            bundle_name: text(key, "bundleName")?,
            bundle_version: text(key, "bundleVersion")?,
            connector_name: text(key, "connectorName")?,
        })
    }
}

fn messages(catalogs: &Catalogs) -> Node<'_> {
    let entries = catalogs.iter().map(|(locale, texts)| {
        let [language, country, variant] = locale;
        let locale = Object::new("Locale").text("language", language).text("country", country);
        let texts = texts.iter().map(|(key, value)| (Node::text(key), Node::text(value))).collect();
        (locale.text("variant", variant).into(), Node::map(false, texts))
    });
    Object::new("ConnectorMessages").object("catalogs", Node::map(false, entries.collect())).into()
}

fn catalogs(node: &Node<'_>) -> Result<Catalogs, LegacyError> {
    let entries = node.expect("ConnectorMessages")?.get("catalogs").entries()?.map(|(locale, texts)| {
        let locale = locale.expect("Locale")?;
        let locale = [text(locale, "language")?, text(locale, "country")?, text(locale, "variant")?];
        let texts = texts.entries()?.map(|(key, value)| Ok((string(key)?, string(value)?)));
        Ok((locale, texts.collect::<Result<_, LegacyError>>()?))
    });
    entries.collect()
}
