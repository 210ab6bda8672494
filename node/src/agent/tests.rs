use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rcs_proto::manifest::{Digest, Oddity};

use super::jar::tests::bundle_jar;
use super::*;

/// An installation in a folder of its own.
struct Install {
    folder: tempfile::TempDir,
}

impl Install {
    fn new() -> Self {
        let install = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(install.path("connectors")).unwrap();
        fs::create_dir_all(install.path("lib")).unwrap();
        install
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn link(&self, name: &str, target: impl AsRef<Path>) {
        symlink(target, self.path(name)).unwrap();
    }

    fn roots(&self) -> Roots {
        Roots { bundles: self.path("connectors"), lib: self.path("lib") }
    }

    fn scan(&self) -> Scan {
        Scanner::new(self.roots()).scan(Depth::Everything)
    }

    /// Each file as one line: place, content, link.
    fn lines(&self) -> Vec<String> {
        let manifest = self.scan().outcome.expect("all files can be told");
        let line = |file: &FileEntry| {
            let content = match file.content {
                Content::File { sha256, .. } => {
                    let known = ["a", "b"].into_iter().find(|text| Digest::of(text.as_bytes()) == sha256);
                    known.unwrap_or("?").to_owned()
                }
                Content::Odd(oddity) => oddity.name().to_uppercase(),
            };
            let link = file.link.as_ref().map(|link| format!(" -> {link}")).unwrap_or_default();
            format!("{file} {content}{link}")
        };
        manifest.files().iter().map(line).collect()
    }

    fn troubles(&self) -> Vec<String> {
        let troubles = self.scan().outcome.expect_err("something cannot be told");
        troubles.iter().map(ToString::to_string).collect()
    }
}

/// P27, P28, W06, B06: everything in both folders counts, scripts and nested folders included.
#[test]
fn every_file_of_both_folders_is_listed() {
    let install = Install::new();
    install.file("connectors/csv.jar", bundle_jar("org.example.csv", "1.5.20.30"));
    install.file("connectors/readme.txt", "a");
    install.file("lib/driver.jar", "a");
    install.file("lib/scripts/deep/er/.hidden.groovy", "b");
    install.file("lib/empty", "");
    fs::create_dir_all(install.path("lib/nothing/in/it")).unwrap();
    let manifest = install.scan().outcome.unwrap();
    let names: Vec<String> = manifest.files().iter().map(ToString::to_string).collect();
    let expected = [
        "bundles/csv.jar",
        "bundles/readme.txt",
        "lib/driver.jar",
        "lib/empty",
        "lib/scripts/deep/er/.hidden.groovy",
    ];
    assert_eq!(names, expected);
    let bundle = manifest.get(Root::Bundles, "csv.jar").unwrap().bundle.clone().unwrap();
    assert_eq!((bundle.name.as_str(), bundle.version.as_str()), ("org.example.csv", "1.5.20.30"));
    assert_eq!(manifest.get(Root::Lib, "driver.jar").unwrap().bundle, None);
    assert_eq!(
        manifest.get(Root::Lib, "empty").unwrap().content,
        Content::File { sha256: Digest::of(b""), bytes: 0 }
    );
}

#[test]
fn links_are_what_they_lead_to_or_said_to_be_odd() {
    let install = Install::new();
    install.file("elsewhere/folder/a", "a");
    install.file("elsewhere/a", "a");
    install.file("lib/real/b", "b");
    let _listener = std::os::unix::net::UnixListener::bind(install.path("lib/socket")).unwrap();
    for (name, target) in [
        ("lib/file", "real/b"),
        ("lib/twice", "file"),
        ("lib/folder", "real"),
        ("connectors/across", "../lib/real"),
        ("lib/out", "../elsewhere/a"),
        ("lib/outfolder", "../elsewhere/folder"),
        ("lib/gone", "nowhere"),
        ("lib/through", "real/b/c"),
        ("lib/self", "self"),
        ("lib/ping", "pong"),
        ("lib/pong", "ping"),
        ("lib/real/up", ".."),
        ("lib/real/here", "."),
        ("lib/top", "../.."),
        ("lib/device", "/dev/null"),
    ] {
        install.link(name, target);
    }
    let expected = [
        "bundles/across/b b -> ../lib/real/b",
        "bundles/across/here LOOP -> .",
        "bundles/across/up LOOP -> ..",
        "lib/device SPECIAL -> /dev/null",
        "lib/file b -> real/b",
        "lib/folder/b b -> real/b",
        "lib/folder/here LOOP -> .",
        "lib/folder/up LOOP -> ..",
        "lib/gone DANGLING -> nowhere",
        "lib/out a -> ../elsewhere/a",
        "lib/outfolder OUTSIDE -> ../elsewhere/folder",
        "lib/ping LOOP -> pong",
        "lib/pong LOOP -> ping",
        "lib/real/b b",
        "lib/real/here LOOP -> .",
        "lib/real/up LOOP -> ..",
        "lib/self LOOP -> self",
        "lib/socket SPECIAL",
        "lib/through DANGLING -> real/b/c",
        "lib/top LOOP -> ../..",
        "lib/twice b -> file",
    ];
    assert_eq!(install.lines(), expected);
    assert!(
        install.scan().watch.contains(&Watched::Target(install.path("elsewhere/a").canonicalize().unwrap()))
    );
    assert_eq!(Oddity::ALL.len(), 4, "all of them are above");
}

/// A folder of a volume of Kubernetes: the folder named by the time differs from pod to pod, and is not a file of the set.
#[test]
fn the_machinery_of_a_volume_is_left_out() {
    let pods = ["..2026_11_21_22_00_00.1", "..2026_11_21_23_59_59.2"].map(|time| {
        let install = Install::new();
        install.file(&format!("lib/{time}/a"), "a");
        install.file(&format!("lib/{time}/scripts/b"), "b");
        install.link("lib/..data", time);
        install.link("lib/a", "..data/a");
        install.link("lib/scripts", "..data/scripts");
        install
    });
    assert_eq!(pods[0].lines(), ["lib/a a -> ..data/a", "lib/scripts/b b -> ..data/scripts/b"]);
    let digests = pods.map(|pod| pod.scan().outcome.unwrap().digest());
    assert_eq!(digests[0], digests[1]);
    let plain = Install::new();
    plain.file("lib/..a", "a");
    assert_eq!(plain.lines(), ["lib/..a a"], "two dots alone are no reason");
}

#[test]
fn a_root_may_be_missing_or_a_link() {
    let install = Install::new();
    fs::remove_dir(install.path("connectors")).unwrap();
    install.file("lib/a", "a");
    let scan = install.scan();
    assert_eq!((scan.missing.as_slice(), scan.outcome.unwrap().files().len()), (&[Root::Bundles][..], 1));
    install.file("v2/b", "b");
    install.link("connectors", "v2");
    assert_eq!(install.lines(), ["bundles/b b", "lib/a a"]);
}

/// What is said of an installation, and what makes it so.
type Case = (&'static str, fn(&Install));

/// What cannot be told whole is not told: two members with an unreadable file each would look alike.
#[test]
fn what_cannot_be_told_is_no_manifest() {
    let cases: [Case; 5] = [
        ("lib/unreadable cannot be read", |install| install.link("lib/unreadable", "/proc/self/mem")),
        ("has a name that is not UTF-8", |install| {
            fs::write(install.path("lib").join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "").unwrap();
        }),
        ("lib/a\\nb has control characters", |install| install.file("lib/a\nb", "")),
        ("more than 512 bytes", |install| install.file(&format!("lib/{0}/{0}/{0}", "d".repeat(200)), "")),
        ("bundles is not a folder", |install| {
            fs::remove_dir(install.path("connectors")).unwrap();
            install.file("connectors", "");
        }),
    ];
    for (expected, make) in cases {
        let install = Install::new();
        make(&install);
        let troubles = install.troubles();
        assert!(troubles.len() == 1 && troubles[0].contains(expected), "{expected}: {troubles:?}");
    }
}

#[test]
fn too_many_files_and_too_deep_folders_are_told() {
    let install = Install::new();
    for n in 0..10_001 {
        install.file(&format!("lib/{n}"), "");
    }
    assert!(install.troubles()[0].contains("more than 10000 files"), "{:?}", install.troubles());
    let install = Install::new();
    install.file(&format!("lib/{}a", "d/".repeat(64)), "");
    assert!(install.troubles()[0].contains("is deeper than 64 folders"), "{:?}", install.troubles());
}

/// A file is read once while the file system says that it rests; a thorough scan reads it all the same.
#[test]
fn what_did_not_change_is_not_read_again() {
    let install = Install::new();
    let start = Instant::now();
    install.file("lib/a", "a");
    install.file("connectors/b", "b");
    let mut scanner = Scanner::new(install.roots());
    let first = scanner.scan(Depth::Changed);
    assert_eq!((first.files_read, first.bytes_read), (2, 2));
    while scanner.scan(Depth::Changed).files_read > 0 {
        assert!(start.elapsed() < Duration::from_secs(180), "files that rest are still read");
        std::thread::yield_now();
    }
    assert!(
        start.elapsed() > Duration::from_secs(1),
        "what was written a moment ago may still change unseen"
    );
    assert_eq!(scanner.scan(Depth::Everything).files_read, 2);
    install.file("lib/a", "A");
    let changed = scanner.scan(Depth::Changed);
    assert_eq!(changed.files_read, 1);
    let (before, after) = (first.outcome.unwrap(), changed.outcome.unwrap());
    assert_eq!(changes(&before, &after), [Change::Changed(after.get(Root::Lib, "a").unwrap())]);
    fs::remove_file(install.path("lib/a")).unwrap();
    install.file("lib/c", "c");
    let last = scanner.scan(Depth::Changed).outcome.unwrap();
    let told: Vec<String> = changes(&after, &last).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["removed: lib/a", "added: lib/c"]);
}

/// Heartbeats must not say for ever what nobody can see any more.
#[tokio::test]
async fn work_that_takes_too_long_is_told_and_waited_for() {
    let (end, ended) = tokio::sync::oneshot::channel();
    let mut end = Some(end);
    let stalled = || end.take().expect("told once").send(7).expect("it is waited for");
    assert_eq!(patiently(ended, Duration::from_millis(1), stalled).await, Ok(7));
    assert_eq!(patiently(async { 8 }, Duration::from_secs(60), || panic!("it was in time")).await, 8);
}
