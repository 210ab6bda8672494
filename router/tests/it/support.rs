//! The binary under test, with scripted members behind it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine};
use rcs_rig::metrics::http_get;
use rcs_rig::process::Process;
use rcs_rig::provider::Provider;
use rcs_rig::scripted::{FakeIdm, FakeMember, Manners};
use rcs_rig::wait::wait_until;
use tempfile::TempDir;

pub(crate) use rcs_rig::wait::{AT_ONCE, PATIENCE};

/// The router's command line.
pub(crate) fn router(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rcs-router"));
    command
        .args(arguments)
        .env_remove("RCS_LOG")
        .env_remove("RCS_ROUTER_CALLER_KEY_FILE")
        .env_remove("RCS_ROUTER_TOKEN");
    command
}

/// How a command that ends by itself ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the router to its end.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    run_command(router(arguments))
}

/// Runs a command of the router to its end.
pub(crate) fn run_command(mut command: Command) -> Ran {
    let output = command.output().expect("the binary under test starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A running router.
pub(crate) struct Router {
    pub(crate) process: Process,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The line that the router printed when it listened.
    pub(crate) ready: String,
}

impl Router {
    /// Starts `serve` on free ports.
    pub(crate) fn serve(provider: &Path, more: &[&str]) -> Self {
        let provider = provider.to_str().expect("scratch paths are UTF-8");
        let mut command = router(&["serve", "--provider", provider]);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(more);
        Self::start(command)
    }

    /// Starts a command line that serves.
    pub(crate) fn start(command: Command) -> Self {
        Self::started(Process::start("rcs-router", command))
    }

    /// Starts a router that serves.
    pub(crate) fn started(process: Process) -> Self {
        let ready = process.read_until("ready ", PATIENCE);
        let address = |word: &str| word.strip_prefix("https://").unwrap_or(word).parse().ok();
        let word = |key| ready.split(' ').find_map(|word| address(word.strip_prefix(key)?));
        let (listen, admin) = (word("listen="), word("admin="));
        Self {
            listen: listen.unwrap_or_else(|| panic!("no listen=ADDR in {ready:?}")),
            admin: admin.unwrap_or_else(|| panic!("no admin=ADDR in {ready:?}")),
            process,
            ready,
        }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        http_get(self.admin, path)
    }

    pub(crate) fn await_ready(&self) {
        wait_until("the router is ready", PATIENCE, || self.get("/readyz").0 == 200);
    }

    /// Waits until the routing loop answers within its own deadline of a second, which it may miss on a busy machine.
    pub(crate) fn await_alive(&self) {
        wait_until("the router is alive", AT_ONCE, || self.get("/livez").0 == 200);
    }

    pub(crate) fn await_log(&self, part: &str) {
        wait_until(&format!("the log says {part:?}\n{}", self.process), PATIENCE, || {
            self.process.said_on_stderr(part)
        });
    }

    pub(crate) fn idm(&self, group: &str) -> FakeIdm {
        FakeIdm::connect(self.listen, &format!("/openicf/{group}"), 1)
    }
}

/// A folder for one test's files.
pub(crate) fn scratch() -> TempDir {
    rcs_rig::workspace::scratch()
}

/// A polite member.
pub(crate) fn member(name: &str) -> FakeMember {
    FakeMember::listen(name, Manners::Polite)
}

/// Writes a document with these members in the group `g`.
pub(crate) fn provider(folder: &TempDir, members: &[(&str, &FakeMember)]) -> PathBuf {
    let mut provider = Provider::new();
    for (name, member) in members {
        provider = provider.server(name, member.port(), 1);
    }
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    provider.group("g", "roundrobin", &names).write(folder.path())
}

/// Writes a file, and returns its path.
pub(crate) fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    path.to_str().expect("scratch paths are UTF-8").to_owned()
}

/// DER as PEM under this label.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
