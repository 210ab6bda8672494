//! A real Java RCS, in server mode or in client mode.

use std::path::Path;

use crate::java::Java;
use crate::ports::free_port;
use crate::process::Process;
use crate::wait::PATIENCE;

/// One Java connector server. It keeps its name and port when it is killed and started again.
pub struct Rcs {
    member: String,
    port: u16,
    /// The folders that it loads its bundles from.
    bundles: String,
    /// The options of its TLS, if it has any.
    tls: Vec<String>,
    process: Process,
}

impl Rcs {
    /// Starts one on a free port and waits until it listens.
    pub fn start(java: &Java, member: &str) -> Self {
        Self::start_from(java, member, java.bundles())
    }

    /// The same with the bundles of a folder, which it reads again whenever it is started again.
    pub fn start_with(java: &Java, member: &str, bundles: &Path) -> Self {
        Self::start_from(java, member, bundles.display().to_string())
    }

    /// One that speaks TLS with the key store, and asks its clients for a certificate of the trust store (both PKCS12, with the password
    /// "changeit").
    pub fn start_with_tls(java: &Java, member: &str, key_store: &Path, trust_store: &Path) -> Self {
        let stores = [key_store, trust_store].map(|path| path.display().to_string());
        let tls = ["--keystore", &stores[0], "--truststore", &stores[1]].map(str::to_owned).to_vec();
        Self::start_all(java, member, java.bundles(), tls)
    }

    fn start_from(java: &Java, member: &str, bundles: String) -> Self {
        Self::start_all(java, member, bundles, Vec::new())
    }

    fn start_all(java: &Java, member: &str, bundles: String, tls: Vec<String>) -> Self {
        let port = free_port();
        let process = launch(java, member, port, &bundles, &tls);
        Self { member: member.to_owned(), port, bundles, tls, process }
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
        self.process = launch(java, &self.member, self.port, &self.bundles, &self.tls);
    }

    /// The running process, to freeze and thaw it.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// One Java connector server in client mode: it dials a router, and opens two sockets.
pub struct ClientRcs {
    process: Process,
}

impl ClientRcs {
    /// Starts one of this name, which its objects carry as `servedBy`, and returns once it has begun to dial `url`.
    pub fn start(java: &Java, member: &str, url: &str) -> Self {
        Self::start_as(java, member, member, url)
    }

    /// The same with another principal than the name.
    pub fn start_as(java: &Java, member: &str, principal: &str, url: &str) -> Self {
        Self::start_with(java, member, url, &["--principal", principal])
    }

    /// The same with options of the role, `--name value` pairs, its principal among them.
    pub fn start_with(java: &Java, member: &str, url: &str, options: &[&str]) -> Self {
        let mut command = java.peer("rcs-client", member);
        command.args(["--url", url, "--bundles", &java.bundles()]).args(options);
        let process = Process::start(&format!("Java RCS {member} in client mode"), command);
        process.read_until("ready", PATIENCE);
        Self { process }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

fn launch(java: &Java, member: &str, port: u16, bundles: &str, tls: &[String]) -> Process {
    let mut command = java.peer("rcs-server", member);
    command.args(["--port", &port.to_string(), "--bundles", bundles]).args(tls);
    let process = Process::start(&format!("Java RCS {member}"), command);
    process.read_until("ready ", PATIENCE);
    process
}
