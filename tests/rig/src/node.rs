//! The rcs-node binary as a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;
use crate::wait::PATIENCE;
use crate::workspace;

/// A running node in server mode, started with `--dev`.
pub struct Node {
    process: Process,
    port: u16,
}

impl Node {
    /// Starts a node on a free port, with its properties file in `folder`.
    pub fn start(folder: &Path) -> Self {
        let text = "connectorserver.port=0\nconnectorserver.usessl=false\nconnectorserver.key=lmA6bMfENJGlIDbfrVtklXFK32s\\=\n";
        let process = Process::start("rcs-node", serve(&properties(folder, text)));
        let ready = process.read_until("ready ", PATIENCE);
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

/// A running node in client mode, started with `--dev`: to a router it is the member of its name.
pub struct DiallingNode {
    process: Process,
    properties: PathBuf,
    log: Option<&'static str>,
}

impl DiallingNode {
    /// Starts a node of this name that keeps `sockets` sockets to each URL (separated by blanks) and dials again within a second. Its
    /// properties file is in `folder`.
    pub fn start(folder: &Path, name: &str, urls: &str, sockets: u32) -> Self {
        Self::start_with(folder, name, urls, sockets, &[])
    }

    /// [`DiallingNode::start`] with more properties, without their prefix.
    pub fn start_with(folder: &Path, name: &str, urls: &str, sockets: u32, more: &[&str]) -> Self {
        Self::start_logged(folder, name, urls, sockets, more, None)
    }

    /// [`DiallingNode::start_with`], with a filter for the log.
    pub fn start_logged(
        folder: &Path,
        name: &str,
        urls: &str,
        sockets: u32,
        more: &[&str],
        log: Option<&'static str>,
    ) -> Self {
        let mut text = format!(
            "connectorserver.url={urls}\nconnectorserver.connectorServerName={name}\nconnectorserver.webSocketConnections={sockets}\n\
             connectorserver.housekeepingInterval=1\nconnectorserver.newConnectionsInterval=0\n"
        );
        more.iter().for_each(|line| text.push_str(&format!("connectorserver.{line}\n")));
        let properties = properties(folder, &text);
        Self { process: launch(&properties, log), properties, log }
    }

    /// Its properties file.
    pub fn properties(&self) -> &Path {
        &self.properties
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after [`DiallingNode::kill`].
    pub fn restart(&mut self) {
        self.process = launch(&self.properties, self.log);
    }

    /// The process, for signals and its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn launch(properties: &Path, log: Option<&str>) -> Process {
    let mut command = serve(properties);
    command.envs(log.map(|filter| ("RCS_LOG", filter)));
    let process = Process::start("rcs-node", command);
    process.read_until("ready ", PATIENCE);
    process
}

fn properties(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("ConnectorServer.properties");
    fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    path
}

fn serve(properties: &Path) -> Command {
    let mut command = Command::new(workspace::binary("rcs-node"));
    command.arg("serve").arg("--properties").arg(properties).arg("--dev");
    command
}
