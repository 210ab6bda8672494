//! A connector configured as an IDM configures it: the facade key is made from the connector's own description.

use std::time::Duration;

use rcs_proto::icf::{ApiConfiguration, ClassName, ConnectorInfo, Value};
use rcs_proto::legacy::{Wire, facade_key};
use rcs_proto::messages::{ConnectorKey, OperationRequest};

/// A connector and the configuration that calls use.
#[derive(Clone)]
pub struct Configured {
    key: ConnectorKey,
    configuration: ApiConfiguration,
}

impl Configured {
    /// The first connector of an answer to CONNECTOR_INFO whose name contains `name`, with its defaults.
    pub fn of(infos: &[u8], name: &str) -> Self {
        let infos = Vec::<ConnectorInfo>::decode(infos).expect("a list of connectors");
        let info = infos.into_iter().find(|info| info.key.connector_name.contains(name));
        let info = info.unwrap_or_else(|| panic!("no connector like {name}"));
        let key = ConnectorKey {
            bundle_name: info.key.bundle_name,
            bundle_version: info.key.bundle_version,
            connector_name: info.key.connector_name,
        };
        Self { key, configuration: info.configuration.expect("every connector describes its configuration") }
    }

    /// Sets a property.
    #[must_use]
    pub fn with(mut self, property: &str, value: Value) -> Self {
        let found = self.configuration.properties.iter_mut().find(|known| known.name == property);
        found.unwrap_or_else(|| panic!("no property {property}")).value = value;
        self
    }

    /// Sets how long the caller waits for an operation, e.g. `SearchApiOp`.
    #[must_use]
    pub fn with_timeout(mut self, class: &str, timeout: Duration) -> Self {
        let ms = i32::try_from(timeout.as_millis()).expect("a timeout in milliseconds fits an int");
        let timeouts = &mut self.configuration.timeouts_ms;
        timeouts.retain(|(known, _)| known.name != class);
        timeouts.push((ClassName::plain(class), ms));
        self
    }

    /// A request without its operation.
    pub fn request(&self) -> OperationRequest {
        OperationRequest {
            connector_key: Some(self.key.clone()),
            connector_facade_key: facade_key::encode(&self.configuration),
            ..OperationRequest::default()
        }
    }
}
