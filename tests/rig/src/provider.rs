//! Provider documents: the JSON that IDM keeps as `provisioner.openicf.connectorinfoprovider`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A provider document under construction.
#[derive(Default)]
pub struct Provider {
    servers: Vec<Value>,
    clients: Vec<Value>,
    groups: Vec<Value>,
}

impl Provider {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server-mode member on the loopback with the default key and `sockets` sockets.
    #[must_use]
    pub fn server(mut self, name: &str, port: u16, sockets: u32) -> Self {
        self.servers.push(json!({
            "type": "remoteConnectorServer", "displayName": name, "name": name,
            "host": "127.0.0.1", "port": port, "enabled": true, "useSSL": false,
            "principal": "anonymous", "key": "changeit", "webSocketConnections": sockets,
        }));
        self
    }

    /// Adds a member in client mode, which dials the router.
    #[must_use]
    pub fn client(mut self, name: &str) -> Self {
        self.clients.push(json!({
            "type": "remoteConnectorClient", "displayName": name, "name": name, "enabled": true,
        }));
        self
    }

    /// Adds a group of members, in order; `algorithm` is `failover` or `roundrobin`.
    #[must_use]
    pub fn group(mut self, name: &str, algorithm: &str, members: &[&str]) -> Self {
        let list: Vec<Value> = members.iter().map(|m| json!({ "name": m })).collect();
        self.groups.push(json!({
            "type": "remoteConnectorServersGroup", "displayName": name, "name": name,
            "algorithm": algorithm, "serversList": list,
        }));
        self
    }

    /// Writes the document into `folder` and returns its path. Groups sit beside the servers, where the vendor's own examples
    /// put them.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let entries: Vec<&Value> = self.servers.iter().chain(&self.groups).collect();
        let document = json!({
            "_id": "provisioner.openicf.connectorinfoprovider",
            "connectorsLocation": "connectors", "enabled": true,
            "remoteConnectorServers": entries, "remoteConnectorClients": self.clients,
        });
        let path = folder.join("provider.json");
        fs::write(&path, document.to_string())
            .unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }
}
