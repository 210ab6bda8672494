//! The node's properties file: read, typed, and one value changed without a change to any other.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rcs_node::config::NodeConfig;
use rcs_node::properties::{self, Document};

const KEY: &str = "connectorserver.key";

fuzz_target!(|data: &[u8]| {
    rcs_fuzz::within_bound(data.len(), || {
        let document = match properties::parse(data) {
            Ok(document) => document,
            Err(error) => return drop(error.to_string()),
        };
        document.notices().iter().for_each(|notice| drop(notice.to_string()));
        match NodeConfig::read(data, Path::new("/rcs/conf/ConnectorServer.properties"), &[]) {
            Ok(config) => drop(format!("{config:?}")),
            Err(error) => drop(error.to_string()),
        }
        let value = document.entries().first().map_or("new", |entry| entry.value.expose());
        // A value may grow past what a file may hold: that is refused.
        let Ok((changed, _)) = properties::set(data, KEY, value) else { return };
        let after = properties::parse(&changed).expect("a changed file stays one");
        assert_eq!(after.get(KEY).map(|entry| entry.value.expose().as_str()), Some(value));
        assert_eq!(others(&after), others(&document));
    });
});

/// All entries but the one in force for [`KEY`].
fn others(document: &Document) -> Vec<(&str, &str)> {
    let last = document.entries().iter().rposition(|entry| entry.key == KEY);
    let entries = document.entries().iter().enumerate().filter(|(index, _)| Some(*index) != last);
    entries.map(|(_, entry)| (entry.key.as_str(), entry.value.expose().as_str())).collect()
}
