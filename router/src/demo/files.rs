//! The files of the example: the users, each node's properties, the provider document, and the logs.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use super::Node;

/// The nodes' names.
pub(super) const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// The group's name.
pub(super) const GROUP: &str = "hr";
/// The key of nodes and router: the well-known one, since all of it is on the loopback.
pub(super) const KEY: &str = "changeit";

const USERS: &str = r#""uid","firstName","lastName","department","email","title","manager"
"akarlsen","Astrid","Karlsen","Manufacturing","akarlsen@example.com","Shift lead, nights","dmeier"
"dmeier","Dominik","Meier","Operations","dmeier@example.com","Head of ""everything else""",""
"rokafor","Ruth","Okafor","Finance","rokafor@example.com","Controller","dmeier"
"#;

/// Lines of a log that are shown when something failed.
const LOG_LINES: usize = 8;

/// A folder with everything in it; removed at the end.
pub(super) struct Files {
    folder: TempDir,
    /// The users.
    pub(super) csv: PathBuf,
}

impl Files {
    /// Writes what does not depend on ports.
    pub(super) fn write() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("rcs-router-demo-").tempdir()?;
        let csv = folder.path().join("hr.csv");
        fs::write(&csv, USERS)?;
        fs::create_dir(folder.path().join("logs"))?;
        // The hash of the key, as set-key writes it; the node's own default is the same.
        let properties = "connectorserver.port=0\nconnectorserver.ifaddress=127.0.0.1\nconnectorserver.usessl=false\n\
             connectorserver.key=lmA6bMfENJGlIDbfrVtklXFK32s\\=\n";
        let files = Self { folder, csv };
        fs::write(files.properties(), properties)?;
        Ok(files)
    }

    /// The properties file of all nodes.
    pub(super) fn properties(&self) -> PathBuf {
        self.folder.path().join("ConnectorServer.properties")
    }

    /// The provider document.
    pub(super) fn provider(&self) -> PathBuf {
        self.folder.path().join("provisioner.openicf.connectorinfoprovider.json")
    }

    /// The folder of everything.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the processes' logs.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// The log of one process.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// Writes the provider document: the nodes, and a group of them.
    pub(super) fn write_provider(&self, nodes: &[Node]) -> io::Result<()> {
        let server = |node: &Node| {
            json!({
                "type": "remoteConnectorServer", "name": node.name, "displayName": node.name,
                "host": node.address.ip().to_string(), "port": node.address.port(),
                "useSSL": false, "principal": "anonymous", "key": KEY, "webSocketConnections": 2,
            })
        };
        let group = json!({
            "type": "remoteConnectorServersGroup", "name": GROUP, "displayName": "Human resources", "algorithm": "roundrobin",
            "serversList": nodes.iter().map(|node| json!({"name": node.name})).collect::<Vec<_>>(),
        });
        let document = json!({
            "_id": "provisioner.openicf.connectorinfoprovider",
            "remoteConnectorServers": nodes.iter().map(server).collect::<Vec<_>>(),
            "remoteConnectorServersGroups": [group],
        });
        fs::write(self.provider(), format!("{document:#}\n"))
    }

    /// The end of each log, to explain a failure.
    pub(super) fn last_log_lines(&self) -> String {
        let mut text = String::new();
        for name in NODES.iter().chain(&["router", "router-1", "router-2", "router-3"]) {
            let log = fs::read_to_string(self.log(name)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
                writeln!(text, "{name}: {line}").expect("writing to a String cannot fail");
            }
        }
        text
    }
}

/// The path as an argument.
pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}
