//! The engine's rooms: the rules of ARCHITECTURE.md that the compiler does not hold, each with its number. A file is taken as its
//! path below `router/core/src/engine` and its text without comments, so that each rule is shown a breach of it as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{files, read};
use rcs_rig::workspace::root;

/// Folders of tables, and the clock; none of them knows another.
const TABLES: [&str; 6] = ["groups", "calls", "callers", "members", "sockets", "clock"];

/// Rooms whose methods may know several tables.
const ROOMS: [&str; 5] = ["way", "upkeep", "settle", "steps", "reports"];

/// What a table may know of another: the opaque ends of a call.
const HANDLES: [&str; 2] = ["callers::CallerEnd", "members::Route"];

/// Floors from above; nothing imports from a floor above its own, and rooms of one floor do not know each other.
const FLOORS: [&[&str]; 5] = [
    &["way", "upkeep", "settle", "reports"],
    &["steps"],
    &["tables"],
    &["groups", "calls", "callers", "members", "sockets", "clock"],
    &[
        "agenda", "allowed", "asked", "event", "facade", "frame", "identity", "io", "keys", "list", "moved",
        "note", "out", "peer", "selector",
    ],
];

/// A source file of the engine.
struct Source {
    /// Below the engine's folder, such as `way/greet.rs`.
    path: String,
    /// Without comments and tests.
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let before_tests = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = before_tests.lines().map(|line| line.split("//").next().unwrap_or_default());
        Self { path: path.to_owned(), text: lines.collect::<Vec<_>>().join("\n") }
    }

    /// The folder or file directly below the engine's.
    fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn is_of_table(&self) -> bool {
        TABLES.contains(&self.room())
    }

    /// The modules of the engine that it imports, each with what follows it.
    fn imports(&self) -> Vec<String> {
        let depth = self.path.matches('/').count() + usize::from(!self.path.ends_with("mod.rs"));
        let up = ["", "super::", "super::super::"][depth.min(2)];
        let uses = self.text.split("use ").skip(1).filter_map(|rest| rest.split(';').next());
        let paths = uses.filter_map(|path| {
            let inside = path.strip_prefix("crate::engine::");
            inside.or_else(|| if up.is_empty() { None } else { path.strip_prefix(up) })
        });
        paths.filter(|path| !path.starts_with("super::")).map(|path| path.replace('\n', " ")).collect()
    }

    /// Names of the functions that it defines on the tables' whole.
    fn methods(&self) -> BTreeSet<&str> {
        self.owner().split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next()).collect()
    }

    /// Names of methods of the whole that it calls.
    fn calls(&self) -> BTreeSet<&str> {
        let called = self.owner().split("self.").skip(1).filter_map(|rest| {
            let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
            rest[name.len()..].starts_with(['(', ':']).then_some(name)
        });
        called.collect()
    }

    /// The text from its `impl Tables` or `impl Engine` on.
    fn owner(&self) -> &str {
        let at = ["impl Tables {", "impl Engine {"].iter().filter_map(|start| self.text.find(start)).min();
        at.map_or("", |at| &self.text[at..])
    }
}

fn engine() -> Vec<Source> {
    let folder = root().join("router/core/src/engine");
    let inside =
        |file: &Path| file.strip_prefix(&folder).ok().map(|path| path.to_string_lossy().into_owned());
    let all = files("rs").into_iter().filter_map(|file| Some((inside(&file)?, file)));
    let sources = all.filter(|(path, _)| !path.contains("tests"));
    sources.map(|(path, file)| Source::new(&path, &read(&file))).collect()
}

/// Rule 1: a table's fields are its own, and it knows no other table, not the whole of them, and no event.
fn rule_1(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.is_of_table()) {
        for import in source.imports() {
            let (module, _) = import.split_once("::").unwrap_or((&import, ""));
            let is_handle = HANDLES.iter().any(|handle| import == *handle);
            let is_forbidden = [&TABLES[..], &ROOMS[..], &["tables", "event"]].concat().contains(&module);
            if is_forbidden && module != source.room() && !is_handle {
                found.push(format!("rule 1: {} imports {import}", source.path));
            }
        }
        for table in ["Groups", "Calls", "Callers", "Members", "Sockets", "Clock"] {
            let body = source.text.split(&format!("struct {table} {{")).nth(1);
            if body.and_then(|rest| rest.split('}').next()).is_some_and(|fields| fields.contains("pub")) {
                found.push(format!("rule 1: {} shows a field of {table}", source.path));
            }
        }
    }
    found
}

/// Rule 3: only rooms know several tables; `way`, `upkeep` and `settle` do not call each other, and nobody below calls them.
fn rule_3(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        if source.text.contains("impl Tables") && !ROOMS.contains(&source.room()) {
            found.push(format!("rule 3: {} has a method of all tables", source.path));
        }
    }
    for room in ["way", "upkeep", "settle"] {
        let of_room = || sources.iter().filter(move |source| source.room() == room);
        let others = || sources.iter().filter(move |source| source.room() != room && source.room() != "mod");
        let elsewhere: BTreeSet<&str> = others().flat_map(Source::methods).collect();
        let methods: BTreeSet<&str> = of_room().flat_map(Source::methods).collect();
        for source in others() {
            for name in source.calls().into_iter().filter(|name| methods.contains(name)) {
                if !elsewhere.contains(name) {
                    found.push(format!("rule 3: {} calls {name} of {room}", source.path));
                }
            }
        }
    }
    found
}

/// Rule 4: only `settle` asks the verdict.
fn rule_4(sources: &[Source]) -> Vec<String> {
    let asks = |source: &&Source| source.text.contains(" decide(") && source.room() != "settle";
    sources.iter().filter(asks).map(|source| format!("rule 4: {} asks the verdict", source.path)).collect()
}

/// Rule 5: `reports` only reads, and nobody else makes a report.
fn rule_5(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        if source.room() == "reports" && source.text.contains("&mut self") {
            found.push(format!("rule 5: {} changes something", source.path));
        }
        let makes = source.text.match_indices("Report {").any(|(at, _)| {
            let before = source.text[..at].trim_end_matches(|c: char| c.is_ascii_alphanumeric()).trim_end();
            !before.ends_with("struct") && !before.ends_with("impl") && !before.ends_with("->")
        });
        if source.room() != "reports" && makes {
            found.push(format!("rule 5: {} makes a report", source.path));
        }
    }
    found
}

/// Rule 8: no import upwards.
fn rule_8(sources: &[Source]) -> Vec<String> {
    let floor = |room: &str| FLOORS.iter().position(|floor| floor.contains(&room));
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.room() != "mod") {
        let Some(own) = floor(source.room()) else {
            found.push(format!("rule 8: {} has no floor", source.path));
            continue;
        };
        for import in source.imports() {
            let (module, _) = import.split_once("::").unwrap_or((&import, ""));
            let is_same = module == source.room();
            let is_handle = HANDLES.iter().any(|handle| import == *handle);
            let is_ground = own == FLOORS.len() - 1;
            match floor(module) {
                Some(other) if other < own => found.push(format!("rule 8: {} imports {import}", source.path)),
                Some(other) if other == own && !is_same && !is_handle && !is_ground => {
                    found.push(format!("rule 8: {} imports {import}, of its own floor", source.path));
                }
                _ => {}
            }
        }
    }
    found
}

/// The largest sets of files whose methods call each other in a circle, by the methods' names: an upper bound.
fn knots(sources: &[Source]) -> Vec<BTreeSet<&str>> {
    let mut defined: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        for name in source.methods() {
            defined.entry(name).or_default().insert(&source.path);
        }
    }
    let next = |source: &Source| -> BTreeSet<&str> {
        let called = source.calls().into_iter().filter_map(|name| defined.get(name));
        called.flatten().copied().filter(|path| *path != source.path).collect()
    };
    let edges: BTreeMap<&str, BTreeSet<&str>> =
        sources.iter().map(|source| (source.path.as_str(), next(source))).collect();
    let reached = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = edges.get(from).into_iter().flatten().copied().collect();
        while let Some(path) = open.pop() {
            if seen.insert(path) {
                open.extend(edges.get(path).into_iter().flatten());
            }
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|path| (*path, reached(path))).collect();
    let knot = |path: &str| -> BTreeSet<&str> {
        all[path].iter().copied().filter(|other| all[other].contains(path)).collect()
    };
    let found: BTreeSet<BTreeSet<&str>> =
        all.keys().map(|path| knot(path)).filter(|knot| knot.len() > 1).collect();
    found.into_iter().collect()
}

fn breaches(sources: &[Source]) -> Vec<String> {
    let mut found = [rule_1, rule_3, rule_4, rule_5, rule_8].map(|rule| rule(sources)).concat();
    for knot in knots(sources) {
        if knot.iter().any(|path| !path.starts_with("settle/")) {
            found.push(format!("knot: {knot:?} call each other in a circle"));
        }
    }
    found
}

#[test]
fn the_engine_keeps_its_rooms() {
    let sources = engine();
    let methods: usize = sources.iter().map(|source| source.methods().len()).sum();
    let imports: usize = sources.iter().map(|source| source.imports().len()).sum();
    println!(
        "{} files, {methods} methods of all tables, {imports} imports, knots: {:?}",
        sources.len(),
        knots(&sources)
    );
    assert!(sources.len() > 50 && methods > 120 && imports > 150, "too little was found to say anything");
    assert_eq!(breaches(&sources), Vec::<String>::new(), "see the rules in ARCHITECTURE.md");
}

#[test]
fn a_breach_of_each_rule_is_caught() {
    for (path, text, said) in [
        ("calls/odd.rs", "use crate::engine::groups::Groups;", "rule 1: calls/odd.rs imports groups::Groups"),
        (
            "members/odd.rs",
            "use crate::engine::tables::Tables;",
            "rule 1: members/odd.rs imports tables::Tables",
        ),
        ("sockets/odd.rs", "use crate::engine::event::Event;", "rule 1: sockets/odd.rs imports event::Event"),
        (
            "calls/odd.rs",
            "struct Calls {\n    pub(super) entries: u8,\n}",
            "rule 1: calls/odd.rs shows a field of Calls",
        ),
        ("keys.rs", "impl Tables {\n}", "rule 3: keys.rs has a method of all tables"),
        (
            "way/odd.rs",
            "impl Tables {\n fn f(&self) {\n self.follow_view(now, io);\n }\n}",
            "rule 3: way/odd.rs calls follow_view of upkeep",
        ),
        (
            "upkeep/odd.rs",
            "impl Tables {\n fn f(&self) {\n self.on_answer(key);\n }\n}",
            "rule 3: upkeep/odd.rs calls on_answer of way",
        ),
        (
            "steps/odd.rs",
            "impl Tables {\n fn f(&self) {\n self.rebuild_pickers();\n }\n}",
            "rule 3: steps/odd.rs calls rebuild_pickers of settle",
        ),
        ("way/odd.rs", "let verdict = decide(class);", "rule 4: way/odd.rs asks the verdict"),
        (
            "reports/odd.rs",
            "impl Tables {\n fn f(&mut self) {}\n}",
            "rule 5: reports/odd.rs changes something",
        ),
        ("way/odd.rs", "let row = MemberReport { name };", "rule 5: way/odd.rs makes a report"),
        (
            "steps/odd.rs",
            "use crate::engine::settle::Nothing;",
            "rule 8: steps/odd.rs imports settle::Nothing",
        ),
        ("keys.rs", "use super::members::Member;", "rule 8: keys.rs imports members::Member"),
        ("attic/odd.rs", "", "rule 8: attic/odd.rs has no floor"),
        (
            "steps/end.rs",
            "impl Tables {\n fn end(&self) {\n self.send_to(key);\n }\n fn back(&self) {}\n}",
            "call each other in a circle",
        ),
    ] {
        let mut sources = engine();
        sources.push(Source::new(path, text));
        if said.contains("circle") {
            sources.push(Source::new(
                "steps/send2.rs",
                "impl Tables {\n fn send_to(&self) {\n self.back();\n }\n}",
            ));
        }
        let found = breaches(&sources);
        assert!(found.iter().any(|breach| breach.contains(said)), "{said}: {found:?}");
    }
}
