//! What the compiler does not see: documents that name what is there, files that stay readable, nothing unfinished.
#![allow(clippy::panic, reason = "a file that cannot be read fails the test on the spot")]

mod citations;
mod rooms;

use std::fs;
use std::path::{Path, PathBuf};

use rcs_rig::workspace::root;

/// A file longer than this is about more than one thing.
const LINES_MAX: usize = 600;

/// Top-level folders: a word in a document that begins with one of them is a path.
const FOLDERS: [&str; 11] =
    ["cli", "proto", "oauth", "router", "node", "bench", "tests", "fuzz", "deploy", "docs", ".ci"];

#[test]
fn every_path_that_the_architecture_names_exists() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let paths: Vec<&str> = text.split(|c: char| !is_of_path(c)).filter(|word| is_path(word)).collect();
    assert!(paths.len() > 30, "only {} paths found: is the document still drawn with them?", paths.len());
    let missing: Vec<_> = paths.into_iter().filter(|path| !root().join(path).exists()).collect();
    assert_eq!(missing, Vec::<&str>::new(), "ARCHITECTURE.md names what is not there");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for document in files("md") {
        let folder = document.parent().expect("a file lies in a folder");
        for target in read(&document).split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let lines = |file: &PathBuf| read(file).lines().count();
    let long: Vec<_> = files("rs").into_iter().filter(|file| lines(file) > LINES_MAX).collect();
    assert_eq!(long, Vec::<PathBuf>::new(), "split them by what they are about");
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    // In halves, or this file would find itself.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("#[igno", "re"), ("todo", "!("), ("unimplemented", "!(")];
    let marks = marks.map(|(a, b)| [a, b].concat());
    let mut found = Vec::new();
    for file in files("rs") {
        for (number, line) in read(&file).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn suites_wait_for_states_and_never_for_time() {
    let sleep = ["sle", "ep("].concat();
    let is_suite =
        |file: &Path| file.parent().is_some_and(|folder| folder.components().any(|c| c.as_os_str() == "it"));
    let mut found = Vec::new();
    for file in files("rs") {
        let inside = file.strip_prefix(root()).unwrap_or(&file);
        // In a simulation time is virtual: nobody waits for it.
        let is_virtual = inside.components().any(|c| c.as_os_str() == "sim" || c.as_os_str() == "turmoil");
        if is_suite(inside) && !is_virtual && read(&file).contains(&sleep) {
            found.push(inside.to_owned());
        }
    }
    assert_eq!(found, Vec::<PathBuf>::new(), "wait for a state, with a bound and a reason");
}

#[test]
fn the_checks_run_what_the_readme_promises() {
    let (readme, checks) = (read(&root().join("README.md")), read(&root().join(".ci/run")));
    for command in ["cargo run --release -p rcs-router -- demo", "cargo test --workspace"] {
        assert!(readme.contains(command) && checks.contains(command), "{command}");
    }
}

/// In the tables of docs/threats.md, each path in the last column is there, and a word behind a path is the start of the name of a test in it.
#[test]
fn each_threat_and_attack_names_a_test_that_exists() {
    let text = read(&root().join("docs/threats.md"));
    let (mut named, mut missing) = (0, Vec::new());
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let mut file: Option<String> = None;
        for word in cell.split('`').skip(1).step_by(2) {
            if is_path(word) {
                file = fs::read_to_string(root().join(word)).ok();
                missing.extend(file.is_none().then(|| word.to_owned()));
            } else if let Some(file) = file.as_ref().filter(|_| !word.contains('-')) {
                // Drills have names with hyphens.
                named += 1;
                missing.extend((!file.contains(&format!("fn {word}"))).then(|| word.to_owned()));
            }
        }
    }
    assert!(named >= 25, "only {named} tests are named: is the table still written like this?");
    assert_eq!(missing, Vec::<String>::new(), "docs/threats.md names what is not there");
}

fn is_of_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-".contains(c)
}

fn is_path(word: &str) -> bool {
    word.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first))
}

/// All files with that extension which belong to the project.
fn files(extension: &str) -> Vec<PathBuf> {
    let found = files_that(|path| path.extension().is_some_and(|found| found == extension));
    assert!(!found.is_empty(), "no .{extension} file in {}", root().display());
    found
}

/// All files of the project that are wanted: not what is built, and not the version control's.
fn files_that(is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" && (!name.starts_with('.') || name == ".ci") {
                folders.push(path);
            } else if is_wanted(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display()))
}
