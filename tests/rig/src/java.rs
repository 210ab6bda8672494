//! The Java module of `tests/java`: found, built once per state of its sources, and started.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::bundles::RIG_VERSION;
use crate::workspace;

/// Options of every peer: small and quick to start, since several share few processors.
const JVM_OPTIONS: [&str; 4] =
    ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"];

/// A published version of the framework that peers run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// 1.8.0, which stock installations have.
    Stock,
    /// 2.0.1, the newest one that Maven Central has.
    Newer,
}

impl Framework {
    /// Both, the older one first.
    pub const ALL: [Self; 2] = [Self::Stock, Self::Newer];

    /// The version as Maven knows it.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Stock => "1.8.0",
            Self::Newer => "2.0.1",
        }
    }

    /// The folder below the built module's own.
    const fn folder(self) -> &'static str {
        match self {
            Self::Stock => "",
            Self::Newer => "newer",
        }
    }
}

/// A built Java module. Holding it also means that no other Java test runs: peers are heavy, and verdicts about time would blur.
pub struct Java {
    built: &'static Path,
    framework: Framework,
    alone: Rc<MutexGuard<'static, ()>>,
}

impl Java {
    /// The Java module with the stock framework, or `None` where Java or Maven is missing: the test named `test` then says so and returns. With
    /// `RCS_REQUIRE_ALL=1` in the environment a missing Java fails the test instead.
    pub fn or_skip(test: &str) -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
        let alone = Rc::new(ALONE.lock().unwrap_or_else(PoisonError::into_inner));
        let built = BUILT
            .get_or_init(|| present().then(|| workspace::locked("interop-java", || build(Framework::Stock))));
        if built.is_none() {
            assert!(env::var_os("RCS_REQUIRE_ALL").is_none(), "{test} needs Java 11 or later and Maven");
            // Past the test runner's capture, or nobody would see what was not tested.
            let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: no Java or no Maven");
        }
        built.as_deref().map(|built| Self { built, framework: Framework::Stock, alone })
    }

    /// The same with peers on another version of the framework. Their bundles stay the same.
    pub fn on(&self, framework: Framework) -> Self {
        static NEWER: OnceLock<PathBuf> = OnceLock::new();
        if framework == Framework::Newer {
            NEWER.get_or_init(|| workspace::locked("interop-java", || build(framework)));
        }
        Self { built: self.built, framework, alone: Rc::clone(&self.alone) }
    }

    /// The framework of the peers.
    pub fn framework(&self) -> Framework {
        self.framework
    }

    /// `java ... interop.Peer ROLE`, with the member name that the rig connector reports.
    pub fn peer(&self, role: &str, member: &str) -> Command {
        let mut command = Command::new("java");
        let peers = self.built.join(self.framework.folder()).join("peers");
        let class_path = format!("{0}/interop-peers.jar:{0}/lib/*", peers.display());
        command.args(JVM_OPTIONS).arg(format!("-Drig.member={member}")).arg("-cp").arg(class_path);
        command.arg("interop.Peer").arg(role);
        command
    }

    /// The bundle folders: the rig connector, and the published CSV connector.
    pub fn bundles(&self) -> String {
        format!("{0}/connector,{0}/peers/bundles", self.built.display())
    }

    /// The JAR of the rig connector in this version. It is made of the one that Maven built, by another version in its manifest:
    /// once for all that ask, so it is the same file byte for byte.
    pub fn rig(&self, version: &str) -> PathBuf {
        let built = self.built.join("connector").join(format!("rig-connector-{RIG_VERSION}.jar"));
        if version == RIG_VERSION {
            return built;
        }
        let folder = self.built.join("versions");
        let jar = folder.join(format!("rig-connector-{version}.jar"));
        workspace::locked("interop-java", || {
            if !jar.is_file() {
                let made =
                    fs::create_dir_all(&folder).and_then(|()| another_version(&built, version, &folder));
                let made = made.unwrap_or_else(|e| panic!("no rig connector {version}: {e}"));
                // Whole or not at all, whenever this process ends.
                fs::rename(made, &jar).unwrap_or_else(|e| panic!("no {}: {e}", jar.display()));
            }
        });
        jar
    }
}

/// A copy of a bundle's JAR in a folder, with another version in its manifest.
fn another_version(built: &Path, version: &str, folder: &Path) -> io::Result<PathBuf> {
    let (copy, entries) = (folder.join("new.jar"), folder.join("manifest"));
    fs::copy(built, &copy)?;
    fs::write(&entries, format!("ConnectorBundle-Version: {version}\n"))?;
    let mut jar = Command::new("jar");
    jar.arg("--update").arg("--file").arg(&copy).arg("--manifest").arg(&entries);
    let output = jar.output()?;
    let said = || io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned());
    output.status.success().then_some(copy).ok_or_else(said)
}

fn present() -> bool {
    ["java", "mvn"].iter().all(|tool| {
        Command::new(tool)
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    })
}

/// Builds the module into a folder named after its sources, unless that was done before.
fn build(framework: Framework) -> PathBuf {
    let sources = workspace::root().join("tests/java");
    let out = workspace::target_dir().join("interop-java").join(workspace::digest(&sources));
    let out = out.join(framework.folder());
    let done = out.join("built");
    if done.is_file() {
        return out;
    }
    let profile: &[&str] = match framework {
        Framework::Stock => &[],
        Framework::Newer => &["-P", "newer"],
    };
    // First with what is on this machine: it is quicker, and works without a network.
    let built = maven(&sources, &out, &[profile, &["-o"]].concat()).is_ok() || {
        let online = maven(&sources, &out, profile);
        online.as_ref().map_err(|said| panic!("tests/java does not build:\n{said}")).is_ok()
    };
    assert!(built && fs::write(&done, "").is_ok(), "cannot write {}", done.display());
    out
}

fn maven(sources: &Path, out: &Path, more: &[&str]) -> Result<(), String> {
    let mut mvn = Command::new("mvn");
    mvn.current_dir(sources).args(["-B", "-q", "package"]).args(more).arg(format!("-Dout={}", out.display()));
    let output = mvn.output().map_err(|e| e.to_string())?;
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
