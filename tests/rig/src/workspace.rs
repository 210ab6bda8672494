//! Where things are: the workspace, its target folder, and the project's own binaries.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha1::{Digest, Sha1};

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("tests/rig lies in the workspace")
}

/// `target/<profile>`, found from the running binary: a test's (`target/<profile>/deps/it-*`), or a program's beside it.
fn profile_dir() -> PathBuf {
    let exe = env::current_exe().expect("a running process has an executable");
    let folder = exe.parent().expect("an executable lies in a folder");
    match folder.ends_with("deps") {
        true => folder.parent().expect("cargo keeps test binaries in target/<profile>/deps").to_path_buf(),
        false => folder.to_path_buf(),
    }
}

/// The workspace's target folder, wherever cargo was told to have it.
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("a profile folder lies in target/").to_path_buf()
}

/// Runs `work` while no other test process does anything under the same name.
pub fn locked<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let path = target_dir().join(format!("{name}.lock"));
    let file = File::create(&path).unwrap_or_else(|e| panic!("cannot create {}: {e}", path.display()));
    file.lock().unwrap_or_else(|e| panic!("cannot lock {}: {e}", path.display()));
    work()
}

/// The path of one of the project's binaries, in the profile of this test run. They are brought up to date once per test process:
/// cargo does not build the binaries of other packages for a test.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<bool> = OnceLock::new();
    assert!(*BUILT.get_or_init(|| locked("interop-binaries", build)), "the binaries under test do not build");
    let path = profile_dir().join(name);
    assert!(path.is_file(), "no binary {}", path.display());
    path
}

/// A name for what is in a folder now; folders named `target` are left out.
pub(crate) fn digest(folder: &Path) -> String {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    let mut hash = Sha1::new();
    for file in files {
        hash.update(file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().as_bytes());
        hash.update(fs::read(&file).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display())));
    }
    hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
}

fn build() -> bool {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args([
        "build",
        "--quiet",
        "--bins",
        "-p",
        "rcs-router",
        "-p",
        "rcs-node",
        "-p",
        "rcs-bench",
    ]);
    if profile_dir().ends_with("release") {
        cargo.arg("--release");
    }
    cargo.arg("--target-dir").arg(target_dir());
    cargo.status().expect("cargo, which runs this test, can be started").success()
}

/// A fresh folder for one test's files, removed with the value.
pub fn scratch() -> tempfile::TempDir {
    let base = target_dir().join("interop-scratch");
    fs::create_dir_all(&base).unwrap_or_else(|e| panic!("cannot create {}: {e}", base.display()));
    tempfile::tempdir_in(base).expect("the scratch folder takes a folder")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("cannot read {}: {e}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        match path.is_dir() {
            true if entry.file_name() == "target" => {}
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
