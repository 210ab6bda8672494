//! The shell in which a document's commands run: one bash for the whole document, so that variables, background jobs and the
//! working folder stay as a reader would have them. It dies with its value, and everything it started with it.
//!
//! What is put in the place of what the document says, and nothing else:
//! - the ports 8759 to 8763: free ports of this machine, in commands, in files, and in what is expected to be printed;
//! - the addresses that a command has by default (8759, 8760): the same, added to the command line by a wrapper on the `PATH`;
//! - `cargo run --release -p rcs-router --`, and the binaries: those of this test run;
//! - the folder for temporary files: one that is removed with the test.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::rig::{Process, TempDir, binary, scratch};

/// The ports of the documents: the router's two, and those of three members.
const PORTS: [&str; 5] = ["8759", "8760", "8761", "8762", "8763"];
/// Where free ports are looked for: below those that systems give to whoever connects, so that no other test takes one between
/// two steps of a document.
const FREE_PORTS: std::ops::Range<u16> = 12_000..30_000;
/// How README starts a release build.
const BY_CARGO: &str = "cargo run --release -p rcs-router --";
/// The most time that one command may take, on a slow and busy machine.
const COMMAND_BOUND: Duration = Duration::from_secs(180);

/// A running shell.
pub(super) struct Shell {
    bash: Process,
    ports: [String; PORTS.len()],
    _folder: TempDir,
}

impl Shell {
    /// Starts one in an empty folder.
    pub(super) fn start() -> Self {
        let folder = scratch();
        let ports = free_ports();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("the scratch folder takes a folder");
        let [listen, admin, ..] = &ports;
        let serve = format!("--listen 127.0.0.1:{listen} --admin 127.0.0.1:{admin}");
        let ask = format!("--server http://127.0.0.1:{admin}");
        wrapper(
            &bin,
            "rcs-router",
            &[
                ("serve", "--listen", &serve),
                (
                    "member|bundles|call|status|quarantine|group|apply|diff|export|audit|cluster",
                    "--server",
                    &ask,
                ),
            ],
        );
        wrapper(&bin, "rcs-node", &[]);
        wrapper(&bin, "rcs-bench", &[]);
        let path = env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder.path());
        command.env("PATH", format!("{}:{path}", bin.display())).env("TMPDIR", folder.path());
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("RCS_")) {
            command.env_remove(name);
        }
        let mut bash = Process::start("bash", command);
        bash.write_line("exec 2>&1");
        Self { bash, ports, _folder: folder }
    }

    /// Runs a command: what it printed, and its exit code.
    pub(super) fn run(&mut self, command: &str, place: &str) -> (Vec<String>, i32) {
        const END: &str = "-- end of the command: ";
        let command = self.here(command).replace(BY_CARGO, "rcs-router");
        self.bash.write_line(&format!("{{ {command}\n}} </dev/null\nprintf '\\n%s%s\\n' '{END}' \"$?\""));
        let mut printed = Vec::new();
        loop {
            let line = self.bash.read_line(&format!("{place}: the end of `{command}`"), COMMAND_BOUND);
            if let Some(code) = line.strip_prefix(END) {
                // The blank line is ours.
                if printed.last().is_some_and(String::is_empty) {
                    printed.pop();
                }
                return (printed, code.parse().expect("bash tells exit codes as numbers"));
            }
            if !is_notice(&line) {
                printed.push(line);
            }
        }
    }

    /// Writes a file where the commands run.
    pub(super) fn write(&mut self, name: &str, text: &str, place: &str) {
        let text = self.here(text);
        let (printed, code) = self.run(&format!("cat > {name} <<'END-OF-FILE'\n{text}END-OF-FILE"), place);
        assert_eq!(code, 0, "{place}: {name} cannot be written: {printed:?}");
    }

    /// A text of a document with the ports of this machine.
    pub(super) fn here(&self, text: &str) -> String {
        let here = |number: &str| PORTS.iter().position(|port| *port == number).map(|at| &*self.ports[at]);
        let mut done = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, after) = rest.split_at(start);
            let (number, after) =
                after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
            done.extend([before, here(number).unwrap_or(number)]);
            rest = after;
        }
        done + rest
    }
}

/// Whether bash tells that a background job was killed, which it does at any time later.
fn is_notice(line: &str) -> bool {
    line.starts_with("bash: line ") && [" Killed ", " Terminated "].iter().any(|end| line.contains(end))
}

/// Ports that nobody listens on, all different.
fn free_ports() -> [String; PORTS.len()] {
    // All are held until the last one is found.
    let held = PORTS.map(|_| {
        loop {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", fastrand::u16(FREE_PORTS))) {
                break listener;
            }
        }
    });
    held.map(|listener| listener.local_addr().expect("a bound socket has an address").port().to_string())
}

/// A program in `bin` that runs the binary of this name. A command that one of the patterns names gets the additional arguments,
/// unless it has the option already.
fn wrapper(bin: &Path, name: &str, additions: &[(&str, &str, &str)]) {
    let real = binary(name);
    let mut text = String::from("#!/bin/sh\ncase \"$1 $*\" in\n*--help*) ;;\n");
    for (_, option, _) in additions {
        text += &format!("*' {option} '*) ;;\n");
    }
    for (commands, _, arguments) in additions {
        for command in commands.split('|') {
            text += &format!("'{command} '*) set -- \"$@\" {arguments} ;;\n");
        }
    }
    text += &format!("esac\nexec '{}' \"$@\"\n", real.display());
    let file = bin.join(name);
    fs::write(&file, text).expect("the wrapper can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("the wrapper can be made a program");
}
