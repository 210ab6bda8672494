//! Our node against the published CSV connector: a real IDM asks both the same, and the answers are the same but for the rows of
//! a table, each with its reason.

use std::fs;
use std::path::Path;

use rcs_rig::idm::Idm;
use rcs_rig::java::Java;
use rcs_rig::node::Node;
use rcs_rig::provider::Provider;
use rcs_rig::rcs::Rcs;
use rcs_rig::router::Router;
use rcs_rig::{hr, transcript, workspace};

/// What is expected of our answer to a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    /// The published connector's line. Of an error only the class counts: it is what IDM looks at, and our sentences repeat no
    /// attribute values (P9).
    Same,
    /// Another line, for this reason: a row of the table in node/CSV.md.
    Differs(&'static str),
}
use Ours::{Differs, Same};

const UNSORTED: &str = "25: the published connector ignores sort keys";
const ROW_LOST: &str = "1: the published connector fails with a ClassCastException, and the row is lost";

/// Every operation of the CSV connector, and its errors, on hr.csv with a password column.
const COMMANDS: &[(&str, Ours)] = &[
    ("validate", Same),
    ("test", Same),
    ("schema", Same),
    ("search rows", Same),
    ("search uid=scarter rows", Same),
    ("search uid=nobody", Same),
    ("search name=scarter", Same),
    ("search lastName^=J rows", Same),
    ("search lastName$=s", Same),
    ("search lastName~=e", Same),
    ("search lastName>J", Same),
    ("search lastName<=J", Same),
    ("search lastName=jensen", Same),
    ("search nosuch=x", Same),
    ("search any department=Sales uid=scarter", Same),
    ("search department=Sales lastName=Valles", Same),
    ("search !lastName=Jensen", Same),
    ("search attrs=lastName rows", Same),
    ("search sort=lastName", Differs(UNSORTED)),
    ("search sort=-lastName", Differs(UNSORTED)),
    ("search page=2", Same),
    ("search page=2 cookie={cookie}", Same),
    ("search page=2 cookie=nonsense", Same),
    ("search page=1 offset=1", Same),
    ("search stop=1", Same),
    ("get bjensen", Same),
    ("get nobody", Same),
    ("resolve bjensen", Same),
    ("resolve nobody", Same),
    ("auth bjensen Passw0rd", Same),
    ("auth bjensen wrong", Same),
    ("auth nobody Passw0rd", Same),
    ("token", Same),
    ("sync 0", Same),
    ("create name=new firstName=N lastName=Q password=secret", Same),
    ("get new", Same),
    ("auth new secret", Same),
    ("create name=new lastName=R", Same),
    ("create name=other uid=other lastName=R", Same),
    ("update new lastName=Renamed title=A,%20%22quoted%22%20one", Same),
    ("get new", Same),
    ("update new firstName=", Same),
    ("get new", Same),
    ("update nobody lastName=x", Same),
    ("add new department=X", Same),
    ("get new", Same),
    ("add new department=Y", Same),
    ("get new", Same),
    ("remove new department=X", Same),
    ("get new", Differs("8: removing a value that is not there empties the cell in the published connector")),
    ("add nobody department=X", Same),
    ("remove nobody department=X", Same),
    ("delete new", Same),
    ("get new", Same),
    ("delete new", Same),
    ("sync 0", Same),
    ("search rows", Same),
    ("script x", Same),
    ("class group", Same),
    ("search", Same),
    ("create name=x", Same),
    ("class __ACCOUNT__", Same),
    ("test", Same),
    ("update jvalles password=changed", Differs(ROW_LOST)),
    ("auth jvalles changed", Differs(ROW_LOST)),
    ("search", Differs(ROW_LOST)),
];

const HR_WITH_PASSWORDS: &str = r#""uid","firstName","lastName","department","title","password"
"bjensen","Barbara","Jensen","Product Development","Engineer, senior","Passw0rd"
"scarter","Steven","Carter","Human Resources","Head of ""people""","Passw0rd"
"jvalles","Johanna","Valles","Sales","Account manager","Passw0rd"
"#;

#[test]
fn our_csv_connector_answers_as_the_published_one() {
    let Some(java) = Java::or_skip("node_direct::our_csv_connector_answers_as_the_published_one") else {
        return;
    };
    let scratch = workspace::scratch();
    let rcs = Rcs::start(&java, "n1");
    let node = Node::start(scratch.path());
    let theirs = answers(&mut Idm::start_directly(&java, &rcs.url(), 2), &scratch.path().join("theirs.csv"));
    let ours = answers(&mut Idm::start(&java, &node.url()), &scratch.path().join("ours.csv"));
    let mut wrong = Vec::new();
    for (((command, expected), theirs), ours) in COMMANDS.iter().zip(theirs).zip(ours) {
        let lines = lines(command, &theirs, &ours);
        if let Differs(reason) = expected {
            println!("{lines}\n  because   {reason}");
        }
        if (comparable(&theirs) == comparable(&ours)) != (*expected == Same) {
            wrong.push(lines);
        }
    }
    assert!(wrong.is_empty(), "{} answers differ, or no longer do:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn our_node_reads_hr_csv_as_the_published_connector() {
    let Some(java) = Java::or_skip("node_direct::our_node_reads_hr_csv_as_the_published_connector") else {
        return;
    };
    let scratch = workspace::scratch();
    let node = Node::start(scratch.path());
    let csv = hr::write(scratch.path());
    let mut idm = Idm::start(&java, &node.url());
    idm.ok(&hr::use_command(&csv));
    let steps: Vec<_> =
        transcript::CSV.iter().copied().filter(|(_, answer)| answer.starts_with("ok")).collect();
    assert_eq!(transcript::differences(&mut idm, &steps, &[]), [""; 0]);
}

/// Files that are not as they should be: name, text (none: no file), more properties, and whether we treat it as the published
/// connector does. The numbers are rows of the table in node/CSV.md.
const ODD: &[(&str, Option<&str>, &str, Ours)] = &[
    ("no file", None, "", Same),
    ("empty file", Some(""), "", Differs("20: the error says what to do")),
    ("header only", Some("\"uid\",\"a\"\n"), "", Same),
    (
        "no uid column",
        Some("\"id\",\"a\"\n\"1\",\"x\"\n"),
        "",
        Differs("5, 24: no row without an identifier is written"),
    ),
    ("no password column", Some("\"uid\",\"a\"\n\"1\",\"x\"\n"), " headerPassword=secret", Same),
    ("row too short", Some("\"uid\",\"a\"\n\"1\"\n\"2\",\"y\"\n"), "", Differs(BROKEN_ROW)),
    ("row too long", Some("\"uid\",\"a\"\n\"1\",\"x\",\"z\"\n\"2\",\"y\"\n"), "", Differs(BROKEN_ROW)),
    (
        "one uid twice",
        Some("\"uid\",\"a\"\n\"1\",\"x\"\n\"1\",\"y\"\n"),
        "",
        Differs("7: which of the two is meant?"),
    ),
    (
        "one column twice",
        Some("\"uid\",\"a\",\"a\"\n\"1\",\"x\",\"y\"\n"),
        "",
        Differs("23: classes that IDM knows"),
    ),
    ("row without uid", Some("\"uid\",\"a\"\n\"\",\"x\"\n\"2\",\"y\"\n"), "", Differs(BROKEN_ROW)),
    ("blank line", Some("\"uid\",\"a\"\n\n\"2\",\"y\"\n"), "", Same),
    (
        "byte order mark",
        Some("\u{feff}\"uid\",\"a\"\n\"1\",\"x\"\n"),
        "",
        Differs("5: the mark is understood"),
    ),
    ("carriage returns", Some("\"uid\",\"a\"\r\n\"1\",\"x\"\r\n"), "", Same),
    ("open quote", Some("\"uid\",\"a\"\n\"1\",\"x\n"), "", Differs(BROKEN_ROW)),
    ("no quotes", Some("uid,a\n1,x\n"), "", Same),
    ("semicolons", Some("uid;a\n1;x\n"), " fieldDelimiter=;", Same),
    ("other quotes", Some("'uid','a'\n'1','it''s'\n"), " quoteCharacter='", Same),
];
const BROKEN_ROW: &str = "23, 24: a class that IDM knows, and test sees what the next call will";

/// What is asked of each odd file.
const ODD_COMMANDS: &[&str] =
    &["validate", "test", "schema", "search rows", "create name=9 a=n", "search rows"];

#[test]
fn odd_files_are_treated_as_by_the_published_one_or_better() {
    let Some(java) = Java::or_skip("node_direct::odd_files_are_treated_as_by_the_published_one_or_better")
    else {
        return;
    };
    let scratch = workspace::scratch();
    let rcs = Rcs::start(&java, "n1");
    let node = Node::start(scratch.path());
    let mut published = Idm::start_directly(&java, &rcs.url(), 2);
    let mut own = Idm::start(&java, &node.url());
    let mut wrong = Vec::new();
    for (at, (name, text, more, expected)) in ODD.iter().enumerate() {
        let csv = ["theirs", "ours"].map(|whose| scratch.path().join(format!("{whose}-{at}.csv")));
        let ask = |idm: &mut Idm, csv: &Path| {
            if let Some(text) = text {
                fs::write(csv, text).expect("the scratch folder takes a file");
            }
            idm.ok(&format!("use CSV csvFile={} headerUid=uid{more}", csv.display()));
            transcript::answers(idm, ODD_COMMANDS.iter().copied())
        };
        let (theirs, ours) = (ask(&mut published, &csv[0]), ask(&mut own, &csv[1]));
        let differences = differences(&theirs, &ours).join("\n");
        if let Differs(reason) = expected {
            println!("{name} ({reason}):\n{differences}");
        }
        if differences.is_empty() != (*expected == Same) {
            wrong.push(format!("{name}:\n{differences}"));
        }
        let wrote = ours.iter().any(|answer| answer == "ok 9");
        if text.is_some_and(|text| !wrote && fs::read(&csv[1]).ok().as_deref() != Some(text.as_bytes())) {
            wrong.push(format!("{name}: our node changed the file though it answered an error"));
        }
    }
    assert!(wrong.is_empty(), "{} files are treated otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

/// The commands on an odd file that both sides answered differently, and how.
fn differences(theirs: &[String], ours: &[String]) -> Vec<String> {
    let answers = ODD_COMMANDS.iter().zip(theirs.iter().zip(ours));
    let differ = answers.filter(|(_, (theirs, ours))| comparable(theirs) != comparable(ours));
    differ.map(|(command, (theirs, ours))| lines(command, theirs, ours)).collect()
}

fn lines(command: &str, theirs: &str, ours: &str) -> String {
    format!("`{command}`\n  published `{theirs}`\n  ours      `{ours}`")
}

/// The same IDM, through a router and two nodes of ours: the rows of hr.csv, before and after one node is killed.
#[test]
fn hr_csv_reads_the_same_through_a_router_and_our_nodes() {
    let Some(java) = Java::or_skip("node_direct::hr_csv_reads_the_same_through_a_router_and_our_nodes")
    else {
        return;
    };
    let folders = [workspace::scratch(), workspace::scratch()];
    let mut nodes = folders.each_ref().map(|folder| Node::start(folder.path()));
    let provider = Provider::new().server("n1", nodes[0].port(), 2).server("n2", nodes[1].port(), 2);
    let router = Router::start(&provider.group("g", "roundrobin", &["n1", "n2"]).write(folders[0].path()));
    router.await_up("g", &["n1", "n2"]);
    let mut idm = Idm::start_through(&java, &router.url(None), 1);
    idm.ok(&hr::use_command(&hr::write(folders[0].path())));
    let steps: Vec<_> =
        transcript::CSV.iter().copied().filter(|(_, answer)| answer.starts_with("ok")).collect();
    assert_eq!(transcript::differences(&mut idm, &steps, &[]), [""; 0]);
    nodes[1].process().kill();
    assert_eq!(transcript::differences(&mut idm, &steps, &[]), [""; 0]);
}

/// OpenIDM's own configuration names the CSV connector by the open bundle. Our node has the connector under that name and version too, so the
/// same reference finds it behind a router: by the exact version, and by a range.
#[test]
fn the_open_bundles_reference_finds_our_csv_connector_through_a_router() {
    let name = "node_direct::the_open_bundles_reference_finds_our_csv_connector_through_a_router";
    let Some(java) = Java::or_skip(name) else { return };
    let scratch = workspace::scratch();
    let node = Node::start(scratch.path());
    let provider = Provider::new().server("n1", node.port(), 2).group("g", "failover", &["n1"]);
    let router = Router::start(&provider.write(scratch.path()));
    router.await_up("g", &["n1"]);
    let mut idm = Idm::start_through(&java, &router.url(Some("g")), 2);
    let reference = "org.openidentityplatform.openicf.connectors.csvfile-connector/1.8.0/\
                     org.forgerock.openicf.csvfile.CSVFileConnector";
    let listed = idm.ok("connectors 2");
    assert!(listed.contains(reference), "{listed}");
    let hr = hr::use_command(&hr::write(scratch.path()));
    let steps: Vec<_> =
        transcript::CSV.iter().copied().filter(|(_, answer)| answer.starts_with("ok")).collect();
    for named in [reference.to_owned(), format!("{reference}@[1.8.0,2.0.0)")] {
        idm.ok(&hr.replacen("use CSV", &format!("use {named}"), 1));
        assert_eq!(transcript::differences(&mut idm, &steps, &[]), [""; 0], "{named}");
    }
}

fn answers(idm: &mut Idm, csv: &Path) -> Vec<String> {
    fs::write(csv, HR_WITH_PASSWORDS).expect("the scratch folder takes a file");
    idm.ok(&format!("use CSV csvFile={} headerUid=uid headerPassword=password", csv.display()));
    transcript::answers(idm, COMMANDS.iter().map(|(command, _)| *command))
}

/// The line without what may differ at any time: sync tokens are times, and an error's text is for people.
fn comparable(answer: &str) -> String {
    let is_time = |word: &&str| word.len() >= 13 && word.bytes().all(|b| b.is_ascii_digit());
    let line = match answer.split_once(": ") {
        Some((class, _)) if class.starts_with("err ") => class,
        _ => answer,
    };
    line.split(' ').map(|word| if is_time(&word) { "TIME" } else { word }).collect::<Vec<_>>().join(" ")
}
