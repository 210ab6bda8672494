//! What the documents name in their sentences and tables exists: commands and their options, metrics and their labels, the
//! routes of the API.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::blocks::{Kind, prose};
use super::rig::{binary, root};
use super::{all_documents, blocks_of, read};

const BINARIES: [&str; 3] = ["rcs-router", "rcs-node", "rcs-bench"];

#[test]
fn every_command_and_option_that_is_named_exists() {
    let mut helps = Helps::default();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for document in all_documents() {
        let text = read(document);
        let shown = blocks_of(document).into_iter().filter_map(|block| match block.kind {
            Kind::Shown { text, .. } => Some(text),
            _ => None,
        });
        let lines: Vec<String> =
            shown.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let prose = prose(&text);
        for command in prose.split('`').skip(1).step_by(2).chain(lines.iter().map(String::as_str)) {
            let words: Vec<&str> = command.split_whitespace().collect();
            if words.first().is_some_and(|first| BINARIES.contains(first)) {
                seen += 1;
                wrong.extend(helps.judge(&words).err().map(|why| format!("{document}: `{command}`: {why}")));
            }
        }
    }
    assert!(seen > 20, "only {seen} commands found: are documents still written with them?");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_manual_has_every_metric_with_its_labels_and_no_other() {
    let source = read("router/src/metrics/names.rs");
    let in_source: BTreeMap<_, _> =
        source.lines().filter_map(|line| metric(line.strip_prefix("/// ")?)).collect();
    let manual = read("docs/metrics.md");
    let in_manual: BTreeMap<_, _> =
        manual.lines().filter_map(|line| metric(line.strip_prefix("| ")?)).collect();
    assert!(in_source.len() > 10, "{in_source:?}");
    assert_eq!(in_manual, in_source, "the tables of docs/metrics.md, and router/src/metrics/names.rs");
}

/// Whether the manual has every metric that a router shows, with the labels that it has there.
pub(super) fn compare_samples(scrape: &[String]) {
    let manual = read("docs/metrics.md");
    let known: BTreeMap<_, _> = manual.lines().filter_map(|line| metric(line.strip_prefix("| ")?)).collect();
    let mut seen = 0;
    for sample in scrape.iter().filter(|line| line.starts_with("rcs_")) {
        let (name, rest) = sample.split_at(sample.find(['{', ' ']).unwrap_or(sample.len()));
        let labels =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        let labels: BTreeSet<&str> =
            labels.split("\",").filter_map(|label| label.split('=').next()).collect();
        let labels: BTreeSet<&str> = labels.into_iter().filter(|label| !["", "le"].contains(label)).collect();
        let documented = known.get(base(name)).unwrap_or_else(|| panic!("docs/metrics.md has no {name}"));
        assert_eq!(documented.iter().map(String::as_str).collect::<BTreeSet<_>>(), labels, "{sample}");
        seen += 1;
    }
    assert!(seen > 10, "only {seen} samples");
}

#[test]
fn queries_and_alerts_use_metrics_and_labels_that_exist() {
    let source = read("router/src/metrics/names.rs");
    let known: BTreeMap<String, Vec<String>> =
        source.lines().filter_map(|line| metric(line.strip_prefix("/// ")?)).collect();
    let labels: BTreeSet<&str> = known.values().flatten().map(String::as_str).chain(["le"]).collect();
    let mut wrong = Vec::new();
    let mut unused: BTreeSet<&str> = known.keys().map(String::as_str).collect();
    for document in all_documents() {
        for word in words(&read(document)).filter(|word| word.starts_with("rcs_")) {
            if !known.contains_key(base(word)) {
                wrong.push(format!("{document}: there is no metric {word}"));
            }
        }
    }
    let manual = read("docs/metrics.md");
    let queries: Vec<&str> = manual.lines().filter(|line| line.trim_start().starts_with("expr: ")).collect();
    for query in &queries {
        for word in words(query).filter(|word| word.starts_with("rcs_")) {
            unused.remove(base(word));
        }
        let matchers = query.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let named = matchers.flat_map(|all| all.split(',')).filter_map(|one| one.split(['=', '!']).next());
        let grouped = query
            .split("by (")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .flat_map(|all| all.split(','));
        for label in named.chain(grouped).map(str::trim).filter(|label| !labels.contains(label)) {
            wrong.push(format!("no metric has the label {label}: {query}"));
        }
        let count = |c: char| query.matches(c).count();
        if count('(') != count(')') || count('{') != count('}') || count('"') % 2 != 0 {
            wrong.push(format!("brackets do not match: {query}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(unused, BTreeSet::new(), "metrics without an alert in docs/metrics.md");
}

#[test]
fn the_manual_has_every_route_and_no_other() {
    let mut in_source = BTreeSet::new();
    for folder in ["router/src/admin", "router/src/admin/agents"] {
        for entry in fs::read_dir(root().join(folder)).expect("the admin address has a folder").flatten() {
            let Ok(text) = fs::read_to_string(entry.path()) else { continue };
            for route in text.split(".route(\"").skip(1) {
                let (path, rest) = route.split_once('"').expect("a path ends");
                let is = |word: &&str| rest.starts_with(&format!(", {word}("));
                let method = ["post", "put", "delete"].into_iter().find(is).unwrap_or("get").to_uppercase();
                in_source.insert(format!("{method} {}", path.to_uppercase().replace(['{', '}'], "")));
            }
        }
    }
    let manual = read("docs/api.md");
    let heads = manual.lines().filter_map(|line| line.strip_prefix("### `")?.split('`').next());
    let in_manual: BTreeSet<String> = heads.map(str::to_uppercase).collect();
    assert!(in_source.len() > 10, "{in_source:?}");
    assert_eq!(in_manual, in_source, "the headings of docs/api.md, and the routes of router/src/admin");
}

#[test]
fn every_link_to_a_heading_leads_to_one() {
    let mut links = 0;
    let mut broken = Vec::new();
    for document in all_documents() {
        let text = read(document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for (file, heading) in targets.filter_map(|target| target.split_once('#')) {
            links += 1;
            let folder = Path::new(document).parent().unwrap_or(Path::new(""));
            let file = if file.is_empty() { PathBuf::from(document) } else { folder.join(file) };
            let found = read(&file.to_string_lossy());
            if !found.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading) {
                broken.push(format!("{document}: {}#{heading}", file.display()));
            }
        }
    }
    assert!(links > 10, "only {links} links found");
    assert_eq!(broken, Vec::<String>::new());
}

/// The name that Markdown gives a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

/// The words that operators meet in outputs, and the pages that say what each means.
const WORDS: [(&str, &str); 10] = [
    ("router/core/src/engine/out.rs", "docs/operating.md"),
    ("router/core/src/health.rs", "docs/operating.md"),
    ("router/core/src/engine/reports/state.rs", "docs/operating.md"),
    ("router/core/src/agreed/marks.rs", "docs/api.md"),
    ("router/core/src/verdict/error.rs", "docs/operating.md docs/metrics.md"),
    ("router/core/src/verdict.rs", "docs/metrics.md"),
    ("router/core/src/bundles/group/member.rs", "docs/bundles.md docs/api.md"),
    ("router/core/src/bundles/group/mod.rs", "docs/bundles.md"),
    ("router/core/src/bundles/group/set.rs", "docs/bundles.md"),
    ("router/core/src/engine/callers/caller.rs", "docs/api.md"),
];

#[test]
fn every_word_of_a_state_or_reason_is_explained() {
    let mut missing = Vec::new();
    let mut words = 0;
    for (source, pages) in WORDS {
        let source = read(source);
        let pages: String = pages.split(' ').map(read).collect();
        // From each `fn label` to the end of the function.
        let labels = source.split("fn label(").skip(1).filter_map(|rest| rest.split("\n    }\n").next());
        let found: Vec<&str> = labels
            .flat_map(|body| body.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()))
            .collect();
        words += found.len();
        missing.extend(
            found.iter().filter(|word| !pages.contains(&format!("`{word}`"))).map(|word| (*word).to_owned()),
        );
    }
    assert!(words > 60, "only {words} words found: has `fn label` another form now?");
    assert_eq!(missing, Vec::<String>::new(), "say in the manual what they mean");
}

#[test]
fn the_manual_has_every_drill_and_no_other() {
    let output = Command::new(binary("rcs-bench")).args(["drill", "none-of-them"]).output();
    let told =
        String::from_utf8(output.expect("rcs-bench can be started").stderr).expect("rcs-bench tells text");
    let (_, names) = told.split_once(" all, ").unwrap_or_else(|| panic!("it tells no drills: {told}"));
    let names = names.lines().next().unwrap_or_default();
    let known: BTreeSet<&str> = names.split(", ").collect();
    let manual = read("docs/bench.md");
    let rows = manual.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<BTreeSet<_>>(), known, "the table of docs/bench.md, and rcs-bench drill");
}

/// `` `rcs_x_total{group,member}`... `` as its name and its labels.
fn metric(text: &str) -> Option<(String, Vec<String>)> {
    let text = text.strip_prefix("`rcs_")?.split('`').next()?;
    let (name, labels) = text.split_once('{').unwrap_or((text, ""));
    let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
    Some((format!("rcs_{name}"), labels.map(str::to_owned).collect()))
}

/// The name of a metric without what a histogram adds to it.
fn base(name: &str) -> &str {
    ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// What `--help` says of each command, asked once.
#[derive(Default)]
struct Helps(BTreeMap<String, String>);

impl Helps {
    /// Whether a command line is one that the binary would understand, as far as its commands and options go. `a|b` stands for
    /// either, brackets for what may be left out, capitals for a value.
    fn judge(&mut self, words: &[&str]) -> Result<(), String> {
        let mut path = vec![words[0].to_owned()];
        let mut rest = words[1..].iter().map(|word| word.trim_matches(['[', ']', '(', ')', '…', ',']));
        let mut options = Vec::new();
        let mut is_command = true;
        for word in rest.by_ref().take_while(|word| !["|", "&", "#", ">", "2>&1"].contains(word)) {
            let names = self.commands(&path);
            if word.starts_with('-') {
                options.extend(
                    word.split('|').map(|option| option.split('=').next().unwrap_or(option).to_owned()),
                );
                is_command = false;
            } else if is_command && !names.is_empty() {
                let all: Vec<&str> = word.split('|').map(|name| name.trim_end_matches('\\')).collect();
                if let Some(unknown) = all.iter().find(|name| !names.contains(**name)) {
                    return Err(format!("{} has no command {unknown}", path.join(" ")));
                }
                path.push(all[0].to_owned());
            }
        }
        let help = self.of(&path);
        let known: BTreeSet<&str> = help.split(|c: char| c.is_whitespace() || ",=[<".contains(c)).collect();
        match options.iter().find(|option| !known.contains(option.trim_matches(['[', ']', '(', ')', ',']))) {
            Some(option) => Err(format!("{} has no option {option}", path.join(" "))),
            None => Ok(()),
        }
    }

    /// The names of the commands below a command.
    fn commands(&mut self, path: &[String]) -> BTreeSet<String> {
        let help = self.of(path);
        let list =
            help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
        let of_two = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
        list.lines()
            .filter(of_two)
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect()
    }

    fn of(&mut self, path: &[String]) -> String {
        let ask = || {
            let output = Command::new(binary(&path[0])).args(&path[1..]).arg("--help").output();
            let output = output.unwrap_or_else(|e| panic!("{path:?}: {e}"));
            assert!(output.status.success(), "{path:?} --help ended with {}", output.status);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        self.0.entry(path.join(" ")).or_insert_with(ask).clone()
    }
}
