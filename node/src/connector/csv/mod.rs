//! The CSV file connector: one file is one resource, one row is one account (node/CSV.md says it for users).
//!
//! It stands in for the published connector: same bundle and connector name, same properties, same answers; the differences
//! are in the table of node/CSV.md, each with its reason. One object class: a CSV file has one set of columns, and neither
//! the format nor the published properties have a place that could say which row is of which class. A second class is a
//! second file, and so a second configured instance.
//!
//! Flow: `config` → `store` (file, cache, lock, replace) → `table` (columns, rows, index) ← `format` (text);
//! `connector` holds the operations, `values` turns attributes into cells and back, `sync` finds changes.

mod config;
mod connector;
mod format;
mod memory;
mod store;
mod sync;
mod table;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use rcs_proto::icf::{
    ApiConfiguration, ClassName, ConnectorInfo, ConnectorKey, PoolConfiguration, ResultsHandlers,
};

use super::{Connector, ConnectorFactory};
use crate::error::IcfError;

/// Describes the CSV connector under one identity and opens instances of it.
#[derive(Clone)]
pub struct CsvFactory {
    memory: memory::Memory,
    bundle: Bundle,
    folders: Folders,
}

/// The folders in which files may lie, with their links resolved. Empty: files may lie in any folder.
type Folders = Arc<[PathBuf]>;

/// Name and version of a bundle.
type Bundle = (&'static str, &'static str);

/// The identity under which IDM's sample configuration finds the connector (V03: in `[1.5.19.0,1.6.0.0)`).
const COMMERCIAL: Bundle = ("org.forgerock.openicf.connectors.csvfile-connector", "1.5.20.0");
/// The bundle name and version of the open release. OpenIDM's own configuration finds the connector under this identity (in
/// `[1.4.0.0,2)`).
const OPEN: Bundle = ("org.openidentityplatform.openicf.connectors.csvfile-connector", "1.8.0");
const CONNECTOR_NAME: &str = "org.forgerock.openicf.csvfile.CSVFileConnector";
/// What IDM shows (V06).
const DISPLAY_NAME: &str = "CSV File Connector";

impl CsvFactory {
    /// The connector under both identities, which share one bound on memory. `csvFile` must lie in one of the folders, or below one. The
    /// folders' paths must have their links resolved. Without a folder, `csvFile` may lie anywhere.
    pub fn identities(folders: Vec<PathBuf>) -> [Self; 2] {
        let (memory, folders) = (memory::Memory::default(), Folders::from(folders));
        [COMMERCIAL, OPEN].map(|bundle| Self { memory: memory.clone(), bundle, folders: folders.clone() })
    }
}

impl Default for CsvFactory {
    fn default() -> Self {
        Self { memory: memory::Memory::default(), bundle: COMMERCIAL, folders: Folders::default() }
    }
}

impl ConnectorFactory for CsvFactory {
    fn info(&self) -> ConnectorInfo {
        let mut texts = vec![("display_CSVFileConnector".to_owned(), DISPLAY_NAME.to_owned())];
        for property in &config::PROPERTIES {
            texts.push((format!("{}.display", property.name), property.display.to_owned()));
            texts.push((format!("{}.help", property.name), property.help.to_owned()));
        }
        ConnectorInfo {
            display_name_key: Some("display_CSVFileConnector".to_owned()),
            category_key: None,
            key: ConnectorKey {
                bundle_name: self.bundle.0.to_owned(),
                bundle_version: self.bundle.1.to_owned(),
                connector_name: CONNECTOR_NAME.to_owned(),
            },
            messages: Some(vec![([String::new(), String::new(), String::new()], texts)]),
            configuration: Some(default_configuration()),
        }
    }

    fn open(&self, configuration: &ApiConfiguration) -> Result<Arc<dyn Connector>, IcfError> {
        Ok(Arc::new(connector::CsvConnector::new(configuration, &self.memory, &self.folders)))
    }
}

fn default_configuration() -> ApiConfiguration {
    let operations: Vec<_> = connector::CLASS_OPERATIONS
        .into_iter()
        .chain(["SchemaApiOp", "ScriptOnConnectorApiOp", "TestApiOp", "ValidateApiOp"])
        .map(ClassName::plain)
        .collect();
    ApiConfiguration {
        producer_buffer_size: 100,
        pooling_supported: false,
        pool: Some(PoolConfiguration::default()),
        results_handlers: Some(ResultsHandlers::default()),
        properties: (0..)
            .zip(&config::PROPERTIES)
            .map(|(order, property)| config::describe(order, property))
            .collect(),
        timeouts_ms: operations.iter().map(|operation| (operation.clone(), -1)).collect(),
        supported_operations: operations,
    }
}

#[cfg(test)]
mod tests;
