//! `rcs-node serve` for the tests: a started node.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rcs_rig::process::Process;
use rustix::process::Signal;

use crate::support::{PATIENCE, Scratch, rcs_node, text};

/// A running node, its files in a folder of its own.
pub(crate) struct Serving {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) scratch: Scratch,
}

impl Serving {
    /// A node with the default key.
    pub(crate) fn start() -> Self {
        Self::with(Scratch::new(), "", &["--dev"])
    }

    /// A node with more properties, and arguments, on a free port of the loopback address.
    pub(crate) fn with(scratch: Scratch, properties: &str, arguments: &[&str]) -> Self {
        Self::logging_to(scratch, properties, arguments, Stdio::piped())
    }

    /// Like [`Self::with`], with this stream as the node's standard error.
    pub(crate) fn logging_to(scratch: Scratch, properties: &str, arguments: &[&str], log: Stdio) -> Self {
        let fixed = "connectorserver.port=0\nconnectorserver.address=127.0.0.1\n";
        let file = scratch.file("conf/ConnectorServer.properties", format!("{fixed}{properties}"));
        let mut command = rcs_node();
        command.args(["serve", "--properties", text(&file)]).args(arguments);
        let process = Process::start_logging_to("rcs-node", command, log);
        let ready = process.read_line("the ready line", PATIENCE);
        let address = ready.strip_prefix("ready ").expect("the first line is the ready line");
        let address = address.parse().expect("the ready line has an address");
        Self { process, address, scratch }
    }

    /// Ends it with a signal; how, and within what bound.
    pub(crate) fn end(mut self, signal: Signal, bound: Duration) -> ExitStatus {
        self.process.signal(signal);
        self.process.wait(bound)
    }
}
