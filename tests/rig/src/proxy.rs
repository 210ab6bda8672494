//! Real HTTP proxies, tinyproxy and squid, as processes.

use std::env;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::Process;
use crate::wait::{PATIENCE, wait_until};

/// A user of a proxy that asks for one.
pub const USER: &str = "somebody";
/// The user's password.
pub const PASSWORD: &str = "pass-at-the-proxy";
/// The password's MD5 sum, as squid's file of users has it.
const PASSWORD_MD5: &str = "d3b281329daadbe6c1268d17f9e68e8e";
/// Where Debian has squid's program that checks users.
const CHECKER: &str = "/usr/lib/squid/basic_ncsa_auth";

/// A program that is a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// <https://tinyproxy.github.io>
    Tinyproxy,
    /// <http://www.squid-cache.org>
    Squid,
}

/// Who may use a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Everybody.
    Everybody,
    /// [`USER`] with [`PASSWORD`].
    One,
}

/// A running proxy on the loopback.
pub struct RealProxy {
    program: PathBuf,
    kind: Kind,
    folder: TempDir,
    port: u16,
    process: Process,
}

impl Kind {
    /// Both programs.
    pub const ALL: [Self; 2] = [Self::Tinyproxy, Self::Squid];

    /// The program's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tinyproxy => "tinyproxy",
            Self::Squid => "squid",
        }
    }

    /// The program, or `None` where it is missing: the test named `test` then says so and goes on without it. With `RCS_REQUIRE_ALL=1` in the
    /// environment a missing program fails the test instead.
    fn program(self, test: &str) -> Option<PathBuf> {
        // Debian has squid in a folder that only the PATH of root names.
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let found = folders.map(|folder| folder.join(self.name())).find(|program| program.is_file());
        let found = found.filter(|_| self == Self::Tinyproxy || Path::new(CHECKER).is_file());
        if found.is_none() {
            use std::io::Write as _;
            assert!(env::var_os("RCS_REQUIRE_ALL").is_none(), "{test} needs {}", self.name());
            // Past the test runner's capture, or nobody would see what was not tested.
            let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: no {}", self.name());
        }
        found
    }
}

impl RealProxy {
    /// A proxy that leads to these ports alone; to all ports if there are none. `None` if the program is missing on this machine.
    pub fn start(kind: Kind, users: Users, ports: &[u16], test: &str) -> Option<Self> {
        let program = kind.program(test)?;
        let folder = tempfile::tempdir().expect("a folder for the proxy's files");
        // Squid gives up its rights, and reads its file of users without them.
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), readable).expect("the folder is ours");
        fs::write(folder.path().join("users"), format!("{USER}:{PASSWORD_MD5}\n"))
            .expect("the folder is there");
        let port = free_port();
        let text = match kind {
            Kind::Tinyproxy => tinyproxy(port, users, ports),
            Kind::Squid => squid(port, users, ports, folder.path()),
        };
        fs::write(folder.path().join("proxy.conf"), text).expect("the folder is there");
        let process = launch(&program, kind, folder.path(), port);
        Some(Self { program, kind, folder, port, process })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL: every connection through the proxy ends.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the proxy again at the same port, after [`RealProxy::kill`].
    pub fn restart(&mut self) {
        self.process = launch(&self.program, self.kind, self.folder.path(), self.port);
    }

    /// The process, for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn launch(program: &Path, kind: Kind, folder: &Path, port: u16) -> Process {
    let mut command = Command::new(program);
    match kind {
        Kind::Tinyproxy => command.args(["-d", "-c"]),
        Kind::Squid => command.args(["-N", "-d", "1", "-f"]),
    };
    command.arg(folder.join("proxy.conf")).current_dir(folder);
    let mut process = Process::start(kind.name(), command);
    wait_until("the proxy listens", PATIENCE, || {
        assert!(process.is_running(), "the proxy does not start\n{process}");
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    process
}

fn tinyproxy(port: u16, users: Users, ports: &[u16]) -> String {
    let mut text = format!("Listen 127.0.0.1\nPort {port}\nTimeout 600\nLogLevel Info\nMaxClients 100\n");
    if users == Users::One {
        text.push_str(&format!("BasicAuth {USER} {PASSWORD}\n"));
    }
    ports.iter().for_each(|port| text.push_str(&format!("ConnectPort {port}\n")));
    text
}

fn squid(port: u16, users: Users, ports: &[u16], folder: &Path) -> String {
    let mut text = format!(
        "http_port 127.0.0.1:{port}\npid_filename none\naccess_log none\ncache_log /dev/null\ncache deny all\ncache_mem 8 MB\n\
         memory_pools off\nnetdb_filename none\ncoredump_dir none\npinger_enable off\nvisible_hostname localhost\n\
         shutdown_lifetime 0 seconds\n"
    );
    if !ports.is_empty() {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        text.push_str(&format!("acl led port {}\nhttp_access deny !led\n", ports.join(" ")));
    }
    text.push_str(&match users {
        Users::Everybody => "http_access allow all\n".to_owned(),
        Users::One => format!(
            "auth_param basic program {CHECKER} {}\nauth_param basic children 1\nauth_param basic realm proxy\n\
             acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n",
            folder.join("users").display()
        ),
    });
    text
}
