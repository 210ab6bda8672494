//! `APIConfiguration` and its parts.

use super::{Convert, class, list_of, optional, optional_text, or_null, set_of, text, unexpected, values_of};
use crate::icf::{
    ApiConfiguration, ClassName, ConfigurationProperty, PoolConfiguration, ResultsHandlers, Value,
};
use crate::legacy::error::LegacyError;
use crate::legacy::tree::{Node, Object};

impl Convert for ApiConfiguration {
    fn to_node(&self) -> Node<'_> {
        let properties = Object::new("ConfigurationProperties").with_members(super::nodes(&self.properties));
        let timeouts = self.timeouts_ms.iter();
        let timeouts = timeouts.map(|(operation, ms)| (operation.to_node(), Node::Integer(*ms))).collect();
        Object::new("APIConfiguration")
            .int("producerBufferSize", self.producer_buffer_size)
            .bool("connectorPoolingSupported", self.pooling_supported)
            .object("connectorPoolConfiguration", or_null(self.pool.as_ref()))
            .object("resultsHandlerConfiguration", or_null(self.results_handlers.as_ref()))
            .object("ConfigurationProperties", properties.into())
            .object("timeoutMap", Node::map(false, timeouts))
            .object("SupportedOperations", set_of(&self.supported_operations))
            .into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let configuration = node.expect("APIConfiguration")?;
        let timeouts = configuration.get("timeoutMap").entries()?.map(|(operation, ms)| match ms {
            Node::Integer(ms) => Ok((ClassName::from_node(operation)?, *ms)),
            _ => Err(unexpected("Integer", ms)),
        });
        Ok(Self {
            producer_buffer_size: configuration.get_int("producerBufferSize"),
            pooling_supported: configuration.get_bool("connectorPoolingSupported"),
            pool: optional(configuration.get("connectorPoolConfiguration"))?,
            results_handlers: optional(configuration.get("resultsHandlerConfiguration"))?,
            properties: values_of(configuration.get("ConfigurationProperties"), "ConfigurationProperties")?,
            timeouts_ms: timeouts.collect::<Result<_, LegacyError>>()?,
            supported_operations: values_of(configuration.get("SupportedOperations"), "Set")?,
        })
    }
}

impl Convert for ConfigurationProperty {
    fn to_node(&self) -> Node<'_> {
        Object::new("ConfigurationProperty")
            .int("order", self.order)
            .bool("confidential", self.confidential)
            .bool("required", self.required)
            .text("name", &self.name)
            .maybe_text("helpMessageKey", self.help_key.as_deref())
            .maybe_text("displayMessageKey", self.display_key.as_deref())
            .maybe_text("groupMessageKey", self.group_key.as_deref())
            .class("type", self.class.to_class())
            .object("value", self.value.to_node())
            .object("operations", set_of(&self.operations))
            .into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let property = node.expect("ConfigurationProperty")?;
        Ok(Self {
            order: property.get_int("order"),
            confidential: property.get_bool("confidential"),
            required: property.get_bool("required"),
            name: text(property, "name")?,
            help_key: optional_text(property, "helpMessageKey"),
            display_key: optional_text(property, "displayMessageKey"),
            group_key: optional_text(property, "groupMessageKey"),
            class: class(property, "type")?,
            value: Value::from_node(property.get("value"))?,
            operations: values_of(property.get("operations"), "Set")?,
        })
    }
}

impl Convert for Vec<ConfigurationProperty> {
    fn to_node(&self) -> Node<'_> {
        list_of(self)
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        node.expect("List")?;
        values_of(node, "List")
    }
}

impl Convert for PoolConfiguration {
    fn to_node(&self) -> Node<'_> {
        Object::new("ObjectPoolConfiguration")
            .int("maxObjects", self.max_objects)
            .int("maxIdle", self.max_idle)
            .long("maxWait", self.max_wait_ms)
            .long("minEvictableIdleTimeMillis", self.min_evictable_idle_ms)
            .int("minIdle", self.min_idle)
            .into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let pool = node.expect("ObjectPoolConfiguration")?;
        Ok(Self {
            max_objects: pool.get_int("maxObjects"),
            max_idle: pool.get_int("maxIdle"),
            max_wait_ms: pool.get_long("maxWait"),
            min_evictable_idle_ms: pool.get_long("minEvictableIdleTimeMillis"),
            min_idle: pool.get_int("minIdle"),
        })
    }
}

impl Convert for ResultsHandlers {
    fn to_node(&self) -> Node<'_> {
        Object::new("ResultsHandlerConfiguration")
            .bool("enableNormalizingResultsHandler", self.normalizing)
            .bool("enableFilteredResultsHandler", self.filtered)
            .bool("enableCaseInsensitiveFilter", self.case_insensitive_filter)
            .bool("enableAttributesToGetSearchResultsHandler", self.attributes_to_get)
            .into()
    }

    fn from_node(node: &Node<'_>) -> Result<Self, LegacyError> {
        let handlers = node.expect("ResultsHandlerConfiguration")?;
        Ok(Self {
            normalizing: handlers.get_bool("enableNormalizingResultsHandler"),
            filtered: handlers.get_bool("enableFilteredResultsHandler"),
            case_insensitive_filter: handlers.get_bool("enableCaseInsensitiveFilter"),
            attributes_to_get: handlers.get_bool("enableAttributesToGetSearchResultsHandler"),
        })
    }
}
