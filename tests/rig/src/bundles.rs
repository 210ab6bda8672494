//! The bundle folder of one Java RCS: copies of its own, which a test changes while that RCS is down. A 1.8.0 server reads its
//! bundles when it starts, in the order of their files' names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::java::Java;

/// The version in which the rig connector is built.
pub const RIG_VERSION: &str = "1.0.0.0";
/// How its JARs are called, up to the version.
const RIG: &str = "rig-connector-";

/// A folder of JARs.
pub struct Bundles {
    folder: PathBuf,
}

impl Bundles {
    /// Makes `folder`, with what every Java RCS of the rig has: the rig connector and the published CSV connector.
    pub fn new(java: &Java, folder: PathBuf) -> Self {
        must("make", &folder, fs::create_dir_all(&folder));
        let bundles = Self { folder };
        for jar in java.bundles().split(',').flat_map(|from| files(Path::new(from))) {
            bundles.take(&jar);
        }
        bundles
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts the rig connector of this version in the place of the one, or all, that there are.
    pub fn replace_rig(&self, java: &Java, version: &str) {
        for jar in self.jars().into_iter().filter(|jar| name_of(jar).contains(RIG)) {
            must("remove", &jar, fs::remove_file(&jar));
        }
        self.add_rig(java, version);
    }

    /// Puts the rig connector of this version beside what there is.
    pub fn add_rig(&self, java: &Java, version: &str) {
        self.take(&java.rig(version));
    }

    /// Names the JARs so that they are loaded in an order of which each seed has one: the same in any folder with the same JARs.
    pub fn shuffle(&self, seed: u64) {
        let mut jars = self.jars();
        jars.sort_by_key(|jar| proper_name(jar));
        fastrand::Rng::with_seed(seed).shuffle(&mut jars);
        for (place, jar) in jars.iter().enumerate() {
            // The name of a JAR is its own behind the place, so no two of them meet.
            let to = self.folder.join(format!("{place:02}_{}", proper_name(jar)));
            must("rename", jar, fs::rename(jar, to));
        }
    }

    /// The JARs in the order in which they are loaded.
    pub fn jars(&self) -> Vec<PathBuf> {
        let mut jars = files(&self.folder);
        jars.sort();
        jars
    }

    /// Copies a JAR, in the place of the one of its name: a server does not start with one bundle twice.
    fn take(&self, jar: &Path) {
        for old in self.jars().into_iter().filter(|old| proper_name(old) == name_of(jar)) {
            must("remove", &old, fs::remove_file(&old));
        }
        let to = self.folder.join(name_of(jar));
        must("copy", jar, fs::copy(jar, to).map(drop));
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("cannot read {}: {e}", folder.display()));
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "jar"))
        .collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A JAR's name without the place that [`Bundles::shuffle`] gave it.
fn proper_name(jar: &Path) -> String {
    let name = name_of(jar);
    name.split_once('_').map_or(name.clone(), |(_, proper)| proper.to_owned())
}

fn must<T>(what: &str, path: &Path, done: std::io::Result<T>) -> T {
    done.unwrap_or_else(|e| panic!("cannot {what} {}: {e}", path.display()))
}
