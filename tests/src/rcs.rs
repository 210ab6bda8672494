//! A real Java RCS in server mode.

use std::time::Duration;

use crate::java::Java;
use crate::ports::free_port;
use crate::process::Process;

/// Longest wait for a Java peer to be ready.
const START_BOUND: Duration = Duration::from_secs(30);

/// One Java connector server. It keeps its name and port when it is killed and started again.
pub struct Rcs {
    member: String,
    port: u16,
    process: Process,
}

impl Rcs {
    /// Starts one on a free port and waits until it listens.
    pub fn start(java: &Java, member: &str) -> Self {
        let port = free_port();
        Self { member: member.to_owned(), port, process: launch(java, member, port) }
    }

    /// The name that its objects carry as `servedBy`.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where an IDM dials it.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/openicf", self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port after [`Rcs::kill`]; returns once it listens.
    pub fn restart(&mut self, java: &Java) {
        self.process = launch(java, &self.member, self.port);
    }

    /// The running process, to freeze and thaw it.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn launch(java: &Java, member: &str, port: u16) -> Process {
    let mut command = java.peer("rcs-server", member);
    command.args(["--port", &port.to_string(), "--bundles", &java.bundles()]);
    let process = Process::start(&format!("Java RCS {member}"), command);
    process.read_until("ready ", START_BOUND);
    process
}
