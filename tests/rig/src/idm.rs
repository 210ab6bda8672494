//! A real Java IDM that takes commands (tests/java/README.md lists them).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::java::Java;
use crate::process::Process;
use crate::wait::{PATIENCE, hold};

/// Time for an IDM to learn the connectors of an RCS directly; if the list was lost, it never comes.
const LIST_SECONDS: u32 = 20;
/// IDMs started until one has met its RCS without an accident.
const ATTEMPTS: usize = 5;

/// A Java IDM that dials one or more addresses.
pub struct Idm {
    process: Process,
}

impl Idm {
    /// Starts an IDM with the default principal and key; `urls` is one address, or several with commas for the framework's own
    /// balancer.
    pub fn start(java: &Java, urls: &str) -> Self {
        Self::start_with(java, urls, &[])
    }

    /// [`Idm::start`] with more options of the role, `--name value` pairs.
    pub fn start_with(java: &Java, urls: &str, options: &[&str]) -> Self {
        let mut command = java.peer("idm-client", "idm");
        command.args(["--url", urls]).args(options);
        Self { process: Process::start("Java IDM", command) }
    }

    /// Starts an IDM that listens on a free port, for connector servers in client mode. It lets the principal `anonymous` in, with the default key.
    /// Returns the IDM and its port.
    pub fn listen(java: &Java) -> (Self, u16) {
        Self::listen_with(java, &[])
    }

    /// [`Idm::listen`] with more options of the role, `--name value` pairs.
    pub fn listen_with(java: &Java, options: &[&str]) -> (Self, u16) {
        let mut command = java.peer("idm-server", "idm");
        command.args(["--port", "0"]).args(options);
        let process = Process::start("Java IDM that listens", command);
        let ready = process.read_until("ready ", PATIENCE);
        let port = ready.trim_start_matches("ready ").parse();
        (Self { process }, port.unwrap_or_else(|error| panic!("no port in `{ready}`: {error}")))
    }

    /// Starts an IDM that talks to a real RCS directly and knows `connectors` connectors of it. Two 1.8.0 peers lose the connector list now
    /// and then when they meet, and refuse what comes too soon after (WIRE 7.1); a fresh IDM is the only way out. Behind a
    /// router one fresh session must be enough: [`Idm::start_through`].
    pub fn start_directly(java: &Java, url: &str, connectors: usize) -> Self {
        for _ in 0..ATTEMPTS {
            let mut idm = Self::start(java, url);
            if idm.ask(&format!("connectors {connectors} {LIST_SECONDS}")).starts_with("ok ") {
                hold("both sockets have shaken hands", Duration::from_millis(300), || true);
                return idm;
            }
        }
        panic!("{ATTEMPTS} IDMs in a row did not learn the connectors of {url}");
    }

    /// Starts an IDM behind a router and waits until it holds `connectors` connectors. Now and then, a published client holds no
    /// connectors although it asked for the list and was sent all of it (a race of its own: 1 of 14 sessions directly at a server, 1 of 56
    /// behind the router). Then one fresh session is tried, and the transcript of the test says so. A second failure fails the test.
    #[track_caller]
    #[expect(
        clippy::print_stdout,
        reason = "the transcript of a test says that a second session was started"
    )]
    pub fn start_through(java: &Java, url: &str, connectors: usize) -> Self {
        let asked = format!("connectors {connectors} {LIST_SECONDS}");
        let mut idm = Self::start(java, url);
        let first = idm.ask(&asked);
        if first.starts_with("ok ") {
            return idm;
        }
        println!(
            "RETRIED: a published client at {url} holds no connectors ({first}): a fresh session is tried once"
        );
        let mut fresh = Self::start(java, url);
        let second = fresh.ask(&asked);
        assert!(second.starts_with("ok "), "two sessions in a row at {url}: {first}, then {second}");
        fresh
    }

    /// Runs one command and returns its answer line, whichever it is.
    pub fn ask(&mut self, command: &str) -> String {
        self.begin(command);
        self.answer(command, PATIENCE)
    }

    /// Runs a command that must succeed; returns what follows `ok `.
    #[track_caller]
    pub fn ok(&mut self, command: &str) -> String {
        let answer = self.ask(command);
        match answer.strip_prefix("ok ") {
            Some(rest) => rest.to_owned(),
            None => panic!("`{command}` answered `{answer}`"),
        }
    }

    /// Sends a command whose answer is fetched later with [`Idm::answer`].
    pub fn begin(&mut self, command: &str) {
        self.process.write_line(command);
    }

    /// The answer to the command sent last.
    pub fn answer(&mut self, command: &str, bound: Duration) -> String {
        self.process.read_line(&format!("the answer to `{command}`"), bound)
    }

    /// Runs `load OP CONC SECONDS [U]` to its end.
    pub fn load(&mut self, arguments: &str) -> Load {
        self.begin(&format!("load {arguments}"));
        self.load_answer()
    }

    /// The result of a `load` begun earlier.
    pub fn load_answer(&mut self) -> Load {
        self.load_answer_within(PATIENCE)
    }

    /// The result of a `load` begun earlier that goes on for longer.
    pub fn load_answer_within(&mut self, bound: Duration) -> Load {
        let answer = self.answer("load", bound);
        let json = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("load answered `{answer}`"));
        Load::parse(json)
    }

    /// The sockets this IDM has open to `port`, as (local port, inode): the same set before and after an event means that its
    /// connections were not touched.
    pub fn sockets_to(&self, port: u16) -> BTreeSet<(u16, u64)> {
        sockets_of(self.process.pid(), port)
    }

    /// The process, to freeze and thaw it.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// What `load` measured.
#[derive(Debug)]
pub struct Load {
    /// Calls that succeeded.
    pub ok: u64,
    /// Calls that failed, with an answer.
    pub err: u64,
    /// Calls that never returned.
    pub hung_threads: u64,
    /// Slowest call, ms.
    pub worst_ms: f64,
    /// Calls that succeeded, by operation.
    pub done: BTreeMap<String, u64>,
    /// Successful gets by the member that served them.
    pub served: BTreeMap<String, u64>,
    /// Failures by `CLASS: MESSAGE`.
    pub errors: BTreeMap<String, u64>,
}

impl Load {
    fn parse(json: &str) -> Self {
        let v: Value =
            serde_json::from_str(json).unwrap_or_else(|e| panic!("load answered no JSON ({e}): {json}"));
        let number = |key: &str| v[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {json}"));
        let counts = |key: &str| {
            let entries = v[key].as_object().unwrap_or_else(|| panic!("no object {key} in {json}"));
            entries.iter().map(|(name, n)| (name.clone(), n.as_u64().unwrap_or(0))).collect()
        };
        Self {
            ok: number("ok"),
            err: number("err"),
            hung_threads: number("hung_threads"),
            worst_ms: v["worst_ms"].as_f64().unwrap_or(f64::NAN),
            done: counts("done"),
            served: counts("served"),
            errors: counts("errors"),
        }
    }

    /// Difference between the busiest and the idlest of `members`.
    pub fn spread(&self, members: &[&str]) -> u64 {
        let counts: Vec<u64> = members.iter().map(|m| self.served.get(*m).copied().unwrap_or(0)).collect();
        counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
    }
}

/// The established connections of a process to `port`, as (local port, inode).
pub fn sockets_of(pid: u32, port: u16) -> BTreeSet<(u16, u64)> {
    let mine = socket_inodes(pid);
    let mut found = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        found.extend(
            text.lines().skip(1).filter_map(|line| established(line, port)).filter(|(_, i)| mine.contains(i)),
        );
    }
    found
}

fn socket_inodes(pid: u32) -> BTreeSet<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
    entries
        .flatten()
        .filter_map(|e| fs::read_link(e.path()).ok())
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// (local port, inode) of a /proc/net/tcp line that is an established connection to `remote_port`.
fn established(line: &str, remote_port: u16) -> Option<(u16, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = |at: usize| u16::from_str_radix(fields.get(at)?.rsplit(':').next()?, 16).ok();
    let inode = fields.get(9)?.parse().ok()?;
    (port(2)? == remote_port && *fields.get(3)? == "01").then_some((port(1)?, inode))
}
