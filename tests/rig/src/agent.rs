//! The agent beside one RCS, Java's or ours: `rcs-node agent` as a process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;
use crate::workspace;

/// The files beside a server that only an agent sees, and the agent. It is stopped with the value.
pub struct Agent {
    lib: PathBuf,
    _process: Process,
}

impl Agent {
    /// Starts the agent of a member: it reports `bundles`, and a fresh folder beside it with these files as `lib`, to the router
    /// with this admin address.
    pub fn start(member: &str, bundles: &Path, lib: &[(&str, &str)], router: SocketAddr) -> Self {
        let folder = bundles.with_extension("files");
        let files = folder.join("lib");
        // What an agent before this one looked at.
        let _ = fs::remove_dir_all(&folder);
        must(&files, fs::create_dir_all(&files));
        for (name, text) in lib {
            write(&files, name, text);
        }
        let properties = folder.join("ConnectorServer.properties");
        let text = format!(
            "connectorserver.bundleDir={}\nconnectorserver.libDir={}\nconnectorserver.key=lmA6bMfENJGlIDbfrVtklXFK32s\\=\n",
            bundles.display(),
            files.display()
        );
        must(&properties, fs::write(&properties, text));
        let mut command = Command::new(workspace::binary("rcs-node"));
        command.arg("agent").arg("--properties").arg(&properties).args(["--member", member]);
        command.args(["--report", &format!("http://{router}"), "--interval", "1s"]);
        Self { lib: files, _process: Process::start(&format!("agent of {member}"), command) }
    }

    /// Writes a file below `lib`.
    pub fn put(&self, name: &str, text: &str) {
        write(&self.lib, name, text);
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    must(&path, path.parent().map_or(Ok(()), fs::create_dir_all));
    must(&path, fs::write(&path, text));
}

fn must(path: &Path, done: std::io::Result<()>) {
    done.unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
}
