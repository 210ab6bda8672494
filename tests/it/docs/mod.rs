//! What the documents say is done: every command of README.md and of the operators' manual runs against real processes, and what
//! it prints is compared with what the document shows. The marks of blocks are in `blocks`, what is put in the place of
//! addresses in `shell`.
#![allow(
    clippy::panic,
    reason = "a document that cannot be read or run fails the test on the spot, with the reason"
)]

mod blocks;
mod compare;
mod names;
mod rig;
mod run;
mod shell;

use std::fs;
use std::path::Path;
use std::process::Command;

use blocks::{Block, Kind, blocks};
use shell::Shell;

/// The documents whose commands run, each in a shell of its own that has done README's quick start before.
const MANUAL: [&str; 6] = [
    "docs/operating.md",
    "docs/bundles.md",
    "docs/api.md",
    "docs/metrics.md",
    "docs/settings.md",
    "docs/idm.md",
];
/// The other ones. They have commands too, and none of their blocks is run without a mark either.
const OTHERS: [&str; 4] = ["docs/routing.md", "docs/cluster.md", "docs/bench.md", "deploy/README.md"];
/// Where a newcomer begins.
const README: &str = "README.md";
/// The part of README that the manual goes on from.
const QUICK_START: &str = "## Quick start";
/// README may not grow back into a manual.
const README_LINES_MAX: usize = 130;
/// Blocks of all documents that are shown and not run.
const SHOWN_MAX: usize = 17;

#[test]
fn readme_does_what_it_says() {
    if has_curl("docs::readme_does_what_it_says") {
        run::run(&mut Shell::start(), &blocks_of(README));
    }
}

#[test]
fn operating_does_what_it_says() {
    after_quick_start("docs::operating_does_what_it_says", MANUAL[0]);
}

#[test]
fn bundles_does_what_it_says() {
    after_quick_start("docs::bundles_does_what_it_says", MANUAL[1]);
}

#[test]
fn api_does_what_it_says() {
    after_quick_start("docs::api_does_what_it_says", MANUAL[2]);
}

#[test]
fn metrics_do_what_they_say() {
    if let Some(mut shell) = after_quick_start("docs::metrics_do_what_they_say", MANUAL[3]) {
        let (lines, _) = shell.run("curl -s http://127.0.0.1:8760/metrics", "all metrics");
        names::compare_samples(&lines);
    }
}

#[test]
fn settings_do_what_they_say() {
    after_quick_start("docs::settings_do_what_they_say", MANUAL[4]);
}

/// Each document of the IDM's side is read by what reads such documents.
#[test]
fn the_idms_side_does_what_it_says() {
    if let Some(mut shell) = after_quick_start("docs::the_idms_side_does_what_it_says", MANUAL[5]) {
        for block in blocks_of(MANUAL[5]) {
            let Kind::File { name, text } = block.kind else { continue };
            if !name.ends_with(".json") {
                continue;
            }
            let is_json = serde_json::from_str::<serde_json::Value>(&text);
            assert!(is_json.is_ok(), "{name}: {is_json:?}");
            // A connector's configuration is none of these documents.
            if text.contains("connectorRef") {
                continue;
            }
            let command = format!("rcs-router check --provider {name} > checked 2>&1; echo $?");
            let (lines, _) = shell.run(&command, "the router reads the document");
            assert_eq!(lines, ["0"], "{name}: {:?}", shell.run("cat checked", "what it said"));
        }
    }
}

/// A document that says what is not so fails, whatever way it is wrong.
#[test]
fn a_document_that_is_wrong_fails() {
    for (document, fails) in [
        ("```sh\nrcs-router --version\n```", false),
        ("```sh\nrcs-router explode\n```", true),
        ("```sh\nrcs-router-of-old --version\n```", true),
        ("```console\n$ rcs-router --version\nrcs-router …\n```", false),
        ("```console\n$ rcs-router --version\nrcs-router 99\n```", true),
        ("```console exit=65\n$ rcs-router --version\nrcs-router …\n```", true),
        ("```toml file=x.toml\na = 1\n```\n```console\n$ cat x.toml\na = 1\n```", false),
        ("```toml file=x.toml\na = 1\n```\n```console\n$ cat x.toml\na = 2\n```", true),
    ] {
        let run = || run::run(&mut Shell::start(), &blocks(Path::new("wrong.md"), document));
        assert_eq!(std::panic::catch_unwind(run).is_err(), fails, "{document}");
    }
}

#[test]
fn readme_is_short() {
    let lines = read(README).lines().count();
    assert!(
        lines <= README_LINES_MAX,
        "README.md has {lines} lines: move what is not for newcomers into docs/"
    );
}

#[test]
fn few_blocks_are_not_run_and_each_says_why() {
    let all = all_documents().into_iter().flat_map(blocks_of);
    let shown: Vec<String> = all
        .filter_map(|block| match block.kind {
            Kind::Shown { reason, .. } => {
                Some(format!("{}:{}: {reason}", block.document.display(), block.line))
            }
            _ => None,
        })
        .collect();
    assert!(shown.len() <= SHOWN_MAX, "{} blocks are not run, at most {SHOWN_MAX}: {shown:#?}", shown.len());
}

/// The shell after README's quick start and this document; none without `curl`.
fn after_quick_start(test: &str, document: &str) -> Option<Shell> {
    if !has_curl(test) {
        return None;
    }
    let mut shell = Shell::start();
    let readme = read(README);
    let (_, rest) = readme.split_once(QUICK_START).expect("README has a quick start");
    let part = rest.split_once("\n## ").map_or(rest, |(part, _)| part);
    run::run(&mut shell, &blocks(Path::new("README.md, quick start"), part));
    run::run(&mut shell, &blocks_of(document));
    Some(shell)
}

/// Whether there is `curl`, which the documents use. Without it a test says so and returns; with `RCS_REQUIRE_ALL=1` in the
/// environment it fails.
fn has_curl(test: &str) -> bool {
    use std::io::Write as _;
    let is_there = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        assert!(std::env::var_os("RCS_REQUIRE_ALL").is_none(), "{test} needs curl");
        // Past the test runner's capture, or nobody would see what was not tested.
        let _ = writeln!(std::io::stderr().lock(), "SKIPPED {test}: no curl");
    }
    is_there
}

fn all_documents() -> Vec<&'static str> {
    [README].into_iter().chain(MANUAL).chain(OTHERS).collect()
}

fn blocks_of(document: &str) -> Vec<Block> {
    blocks(Path::new(document), &read(document))
}

fn read(document: &str) -> String {
    let path = rig::root().join(document);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
