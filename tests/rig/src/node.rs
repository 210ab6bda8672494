//! The rcs-node binary as a process.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::workspace;

/// Longest wait for the node's ready line.
const START_BOUND: Duration = Duration::from_secs(10);

/// A running node in server mode, started with `--dev`.
pub struct Node {
    process: Process,
    port: u16,
}

impl Node {
    /// Starts a node on a free port, with its properties file in `folder`.
    pub fn start(folder: &Path) -> Self {
        let properties = folder.join("ConnectorServer.properties");
        let text = "connectorserver.port=0\nconnectorserver.usessl=false\nconnectorserver.key=lmA6bMfENJGlIDbfrVtklXFK32s\\=\n";
        fs::write(&properties, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", properties.display()));
        let mut command = Command::new(workspace::binary("rcs-node"));
        command.arg("serve").arg("--properties").arg(&properties).arg("--dev");
        let process = Process::start("rcs-node", command);
        let ready = process.read_until("ready ", START_BOUND);
        let port = ready.rsplit(':').next().and_then(|p| p.trim().parse().ok());
        Self { process, port: port.unwrap_or_else(|| panic!("no port in `{ready}`")) }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where an IDM dials it.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/openicf", self.port)
    }

    /// The process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
