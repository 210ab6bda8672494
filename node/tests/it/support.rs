//! What the tests share: a scratch folder, and the program run in it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) use rcs_rig::wait::PATIENCE;

/// A folder of its own for one test; gone afterwards.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, folders included, and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(&path, content).expect("a file");
        path
    }
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program, not yet started, away from the tester's environment.
pub(crate) fn rcs_node() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rcs-node"));
    command.env_remove("RCS_LOG").env_remove("RCS_NODE_MEMBER");
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str], stdin: &[u8]) -> Ran {
    let mut child = rcs_node()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rcs-node starts");
    // A program that refuses its arguments may be gone before it reads.
    let _ = child.stdin.take().expect("piped").write_all(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("rcs-node ends");
    Ran {
        code: status.code().expect("ended by itself"),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of the test's own")
}

/// The server-mode sample of P39 as bytes.
pub(crate) const SERVER_SAMPLE: &[u8] = include_bytes!("../data/server.properties");
/// The client-mode sample of P39.
pub(crate) const CLIENT_SAMPLE: &[u8] = include_bytes!("../data/client.properties");

/// A keytool, or `None` said loudly: this machine has no Java.
pub(crate) fn keytool(arguments: &[&str]) -> Option<()> {
    match Command::new("keytool").args(arguments).output() {
        Ok(output) => {
            assert!(output.status.success(), "keytool: {}", String::from_utf8_lossy(&output.stdout));
            Some(())
        }
        Err(error) => {
            eprintln!("SKIPPED: no keytool on this machine ({error}); Java key stores are not tried");
            None
        }
    }
}
