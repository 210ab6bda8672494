//! What a comment or a document cites can be looked up in the repository: sections of the protocol notes (`docs/protocol`), promises
//! and requirements (`docs/promises.md`), pages of `docs`. What only some of the authors could look up is not cited.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use rcs_rig::workspace::root;

use super::{files_that, is_of_path, is_path, read};

const PROMISES: &str = "docs/promises.md";
const WIRE: &str = "docs/protocol/wire.md";
const LEGACY: &str = "docs/protocol/legacy.md";
/// Kinds of files that cite. All of `.ci` does too, and scripts that have no extension.
const EXTENSIONS: [&str; 5] = ["rs", "md", "proto", "toml", "sh"];
/// The files outside `docs` held 750 citations when this was written. Far fewer would mean that they are not found.
const CITATIONS_MIN: usize = 600;
/// The last promise: `P1` to `P16`. All other ids have two digits.
const LAST_PROMISE: u32 = 16;

#[test]
fn every_citation_can_be_looked_up() {
    let known = Known::load();
    let (mut count, mut faults) = (0, Vec::new());
    for file in files_that(cites) {
        let inside = file.strip_prefix(root()).expect("a file of the project lies in its folder");
        let found = check(&read(&file), inside, &known);
        if !inside.starts_with("docs") {
            count += found.count;
        }
        faults
            .extend(found.faults.iter().map(|(line, fault)| format!("{}:{line}: {fault}", inside.display())));
    }
    println!("{count} citations outside docs checked, {} unresolved", faults.len());
    assert_eq!(faults, Vec::<String>::new(), "cite what is in docs/, or say it in a sentence");
    assert!(count >= CITATIONS_MIN, "only {count} citations found: are they still written like this?");
}

#[test]
fn every_path_that_the_notes_name_exists() {
    let mut missing = Vec::new();
    for page in [PROMISES, WIRE, LEGACY] {
        for path in
            read(&root().join(page)).split(|c: char| !is_of_path(c)).map(|path| path.trim_end_matches('.'))
        {
            if is_path(path) && !path.contains("NAME") && !root().join(path).exists() {
                missing.push(format!("{page}: {path}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// Whether people write citations into that file.
fn cites(path: &Path) -> bool {
    let is_named = |path: &Path, wanted: &str| path.file_name().is_some_and(|name| name == wanted);
    let is_script = path.extension().is_none() && is_named(path, "run");
    let is_in_ci = path.parent().is_some_and(|folder| is_named(folder, ".ci"));
    is_script
        || is_in_ci
        || path.extension().is_some_and(|found| EXTENSIONS.iter().any(|kind| found == *kind))
}

/// What can be cited.
#[derive(Default)]
struct Known {
    /// Numbers of the headings of the two notes: `4`, `4.2`.
    wire: BTreeSet<String>,
    legacy: BTreeSet<String>,
    /// Numbers of what follows from section 7 of the first.
    consequences: BTreeSet<String>,
    /// Ids of promises and requirements, with the table that each stands in.
    ids: BTreeMap<String, String>,
}

impl Known {
    fn load() -> Self {
        let mut known = Self::default();
        known.add_headings(&read(&root().join(WIRE)), |known| &mut known.wire);
        known.add_headings(&read(&root().join(LEGACY)), |known| &mut known.legacy);
        known.add_ids(&read(&root().join(PROMISES)));
        known
    }

    fn add_headings(&mut self, page: &str, of: fn(&mut Self) -> &mut BTreeSet<String>) {
        for heading in page.lines().filter(|line| line.starts_with('#')) {
            let mut words = heading.trim_start_matches('#').split_whitespace();
            let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let number = |word: &str| word.trim_end_matches(['.', ':']).to_owned();
            let is_new = match (first, is_number(&number(first))) {
                ("Consequence", _) => self.consequences.insert(number(second)),
                (_, true) => of(self).insert(number(first)),
                _ => true,
            };
            assert!(is_new, "two headings have one number: {heading}");
        }
    }

    fn add_ids(&mut self, page: &str) {
        let mut table = String::new();
        for line in page.lines() {
            if line.starts_with('#') {
                line.clone_into(&mut table);
            }
            let cell = line.strip_prefix("| ").and_then(|rest| rest.split(" |").next()).unwrap_or_default();
            if Id::read(cell).is_some() {
                let before = self.ids.insert(cell.to_owned(), table.clone());
                assert_eq!(before, None, "{cell} has two lines in {PROMISES}");
            }
        }
    }
}

/// What one file cites.
#[derive(Default)]
struct Found {
    count: usize,
    /// With the numbers of their lines.
    faults: Vec<(usize, String)>,
}

impl Found {
    fn note(&mut self, line: usize, fault: Option<String>) {
        self.count += 1;
        self.faults.extend(fault.map(|fault| (line, fault)));
    }
}

/// A name, a number, or a single character of another kind.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    line: usize,
}

/// The words of a text. A citation may go on in the next line, so what begins a line of a comment is left out.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start_matches(|c: char| c.is_whitespace() || "/!#>*|".contains(c));
        while let Some(first) = rest.chars().next() {
            let length = if is_of_word(first) { word_length(rest) } else { first.len_utf8() };
            let (text, behind) = rest.split_at(length);
            found.push(Word { text, line: number + 1 });
            rest = behind.trim_start();
        }
    }
    found
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Bytes of the word at the beginning. `4.2` is one word; the full stop behind a number is none of it.
fn word_length(text: &str) -> usize {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut before = None;
    for (at, c) in text.char_indices() {
        let is_point = c == '.' && is_digit(before) && is_digit(text[at + 1..].chars().next());
        if !is_of_word(c) && !is_point {
            return at;
        }
        before = Some(c);
    }
    text.len()
}

/// `4` or `4.2`.
fn is_number(word: &str) -> bool {
    let is_whole = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once('.').map_or_else(|| is_whole(word), |(whole, part)| is_whole(whole) && is_whole(part))
}

/// Looks up all that the text of that file cites.
fn check(text: &str, file: &Path, known: &Known) -> Found {
    let words = words(text);
    let mut found = Found::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let rest = &words[at + 1..];
        let within = |page: &str| word.text.starts_with("section") && file == Path::new(page);
        let taken = if word.text == "WIRE" || within(WIRE) {
            sections(rest, &known.wire, Some(&known.consequences), WIRE, &mut found)
        } else if word.text == "LEGACY" || within(LEGACY) {
            sections(rest, &known.legacy, None, LEGACY, &mut found)
        } else if let Some(id) = Id::read(word.text) {
            ids(*word, id, rest, &known.ids, &mut found)
        } else {
            outside(*word, rest, &mut found);
            0
        };
        at += 1 + taken;
    }
    for (number, line) in text.lines().enumerate() {
        for path in line.split(|c: char| !is_of_path(c)).map(|path| path.trim_end_matches('.')) {
            if path.starts_with("docs/") && path.ends_with(".md") {
                found.note(number + 1, (!root().join(path).exists()).then(|| format!("there is no {path}")));
            }
        }
    }
    found
}

/// Numbers of sections, in a list: `4.2, 7.5`, `3 to 5 and 12`, `7, consequence 2`. How many words they take.
fn sections(
    words: &[Word<'_>],
    headings: &BTreeSet<String>,
    consequences: Option<&BTreeSet<String>>,
    page: &str,
    found: &mut Found,
) -> usize {
    let mut taken = 0;
    let mut last: Option<&str> = None;
    loop {
        let joint =
            if last.is_some() { joint(&words[taken..]) } else { Some(Joint { words: 0, is_range: false }) };
        let Some(joint) = joint else { return taken };
        let mut next = taken + joint.words;
        let text = |at: usize| words.get(at).map_or("", |word| word.text);
        let is_consequence =
            consequences.is_some() && last.is_some() && text(next).starts_with("consequence");
        if is_consequence || text(next) == "section" || text(next) == "sections" {
            next += 1;
        }
        let Some(word) = words.get(next).filter(|word| is_number(word.text)) else { return taken };
        if is_consequence {
            let is_there = consequences.is_some_and(|known| known.contains(word.text));
            found.note(word.line, (!is_there).then(|| format!("{page} has no consequence {}", word.text)));
        } else {
            let from = last.filter(|_| joint.is_range);
            found.note(word.line, missing_section(from, word.text, headings, page));
            last = Some(word.text);
        }
        taken = next + 1;
    }
}

fn missing_section(from: Option<&str>, to: &str, headings: &BTreeSet<String>, page: &str) -> Option<String> {
    let split = |number: &str| -> Option<(String, u32)> {
        let (before, last) = number.rsplit_once('.').map_or(("", number), |(whole, part)| (whole, part));
        Some((before.to_owned(), last.parse().ok()?))
    };
    let wanted: Vec<String> = match from.map(|from| (split(from), split(to))) {
        None => vec![to.to_owned()],
        Some((Some((a, first)), Some((b, last)))) if a == b && first < last => {
            let dot = if a.is_empty() { "" } else { "." };
            (first..=last).map(|number| format!("{a}{dot}{number}")).collect()
        }
        Some(_) => return Some(format!("no range of sections: {} to {to}", from.unwrap_or_default())),
    };
    let missing = wanted.into_iter().find(|number| !headings.contains(number))?;
    Some(format!("{page} has no section {missing}"))
}

/// What stands between two items of a list.
struct Joint {
    words: usize,
    is_range: bool,
}

fn joint(words: &[Word<'_>]) -> Option<Joint> {
    let text = |at: usize| words.get(at).map_or("", |word| word.text);
    match (text(0), text(1)) {
        (",", "and" | "or") => Some(Joint { words: 2, is_range: false }),
        ("," | "and" | "or", _) => Some(Joint { words: 1, is_range: false }),
        ("to" | "-" | "–", _) => Some(Joint { words: 1, is_range: true }),
        _ => None,
    }
}

/// The id of a promise or a requirement.
#[derive(Clone, Copy, PartialEq)]
struct Id {
    letter: char,
    number: u32,
    is_promise: bool,
}

impl Id {
    fn read(word: &str) -> Option<Self> {
        let letter = word.chars().next().filter(char::is_ascii_uppercase)?;
        let digits = &word[1..];
        let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let is_promise = letter == 'P' && (1..=LAST_PROMISE).contains(&number) && !digits.starts_with('0');
        (is_promise || digits.len() == 2).then_some(Self { letter, number, is_promise })
    }

    fn name(self, number: u32) -> String {
        if self.is_promise {
            format!("{}{number}", self.letter)
        } else {
            format!("{}{number:02}", self.letter)
        }
    }
}

/// One id, or a range of them. How many words the range takes behind the first.
fn ids(
    word: Word<'_>,
    id: Id,
    rest: &[Word<'_>],
    known: &BTreeMap<String, String>,
    found: &mut Found,
) -> usize {
    let last = joint(rest)
        .filter(|joint| joint.is_range)
        .and_then(|joint| rest.get(joint.words))
        .and_then(|word| Id::read(word.text).map(|id| (word.text, id)));
    let Some((to, last)) = last else {
        found.note(
            word.line,
            (!known.contains_key(word.text)).then(|| format!("{PROMISES} has no {}", word.text)),
        );
        return 0;
    };
    let fault = if last.letter != id.letter || last.is_promise != id.is_promise || last.number <= id.number {
        Some(format!("no range of ids: {} to {to}", word.text))
    } else {
        let table = known.get(word.text);
        let is_missing = |name: &String| table.is_none() || known.get(name) != table;
        let missing = (id.number..=last.number).map(|number| id.name(number)).find(is_missing);
        missing.map(|missing| {
            format!("{PROMISES} has no {missing} in the table of {}, which {to} ends", word.text)
        })
    };
    found.note(word.line, fault);
    2
}

/// What is nowhere in the repository: the design that the project began with, the numbers of its tasks, and their demands.
fn outside(word: Word<'_>, rest: &[Word<'_>], found: &mut Found) {
    let text = |at: usize| rest.get(at).map_or("", |word| word.text);
    let is_design = word.text == ["DES", "IGN"].concat()
        && (is_number(text(0)) || text(0).starts_with("section") || (text(0) == "." && text(1) == "md"));
    let is_task = ["issue", "issues"].contains(&word.text.to_lowercase().as_str())
        && (is_number(text(0)) || (text(0) == "#" && is_number(text(1))));
    let is_demand = word.text.eq_ignore_ascii_case("must") && text(0) == "-" && text(1) == "show";
    if is_design || is_task || is_demand {
        let mut fault = String::new();
        write!(fault, "nobody can look up \"{} {}\"", word.text, text(0)).expect("a String takes any text");
        found.note(word.line, Some(fault));
    }
}

/// Samples spell the names of the notes and the ids in halves, or this file would cite what is nowhere.
mod tests {
    use super::*;

    fn known() -> Known {
        let mut known = Known::default();
        let wire = "# T\n## 4. A\n### 4.1 B\n### 4.2 C\n### 4.3 D\n## 7. E\n### 7.5 F\n#### Consequence 2: G\n## 8. H\n";
        known.add_headings(wire, |known| &mut known.wire);
        known.add_headings("## 3. A\n## 4. B\n## 5. C\n", |known| &mut known.legacy);
        known.add_ids(&sample(
            "## Promises\n| P~1 | a |\n| P~2 | b |\n| P~12 | c |\n### B\n| B~03 | d |\n| B~04 | e |\n| B~05 | f |\n\
             ### P\n| P~09 | g |\n| P~17 | h |\n| P~18 | i |\n",
        ));
        known
    }

    /// Takes out what keeps this file's own samples from being citations.
    fn sample(text: &str) -> String {
        text.replace('~', "")
    }

    /// How many citations a text has, and what is wrong with them.
    fn judge(text: &str) -> (usize, Vec<(usize, String)>) {
        let found = check(&sample(text), Path::new("some.rs"), &known());
        (found.count, found.faults)
    }

    #[test]
    fn lists_and_ranges_resolve() {
        for (text, count) in [
            ("/// As it is (WI~RE 4.2).", 1),
            ("// WI~RE section 8: so", 1),
            ("(WI~RE 4.2, 7.5, 4)", 3),
            ("WI~RE 4.1 to 4.3 and section 8", 3),
            ("WI~RE 7, consequence 2", 2),
            ("WI~RE 7.5 and consequence 2", 2),
            ("WI~RE 4.1, points 1 and 99", 1),
            ("(LEG~ACY sections 3 to 5)", 2),
            ("LEG~ACY 3 and 5. 77 of them", 2),
            ("    /// it goes on (WI~RE\n    /// 4.2, B~03 to B~05).", 2),
            ("(B~03-B~05, P~1, P~12; P~17-P~18)", 4),
            ("P~09 is no promise, P~2 is", 2),
            ("WI~RE gives them; const LEG~ACY: u8 = 4; an is~sue, is~sues", 0),
            ("%C3%A9 N0 V4 i64 P-521 SHA-256 x86", 0),
        ] {
            assert_eq!(judge(text), (count, Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_looked_up_is_found_with_its_line() {
        for (text, line, fault) in [
            ("a\n/// (WI~RE 4.9)", 2, "has no section 4.9"),
            ("WI~RE 4.2, 6.1", 1, "has no section 6.1"),
            ("WI~RE\n/// 99", 2, "has no section 99"),
            ("WI~RE 4.1 to 4.4", 1, "has no section 4.4"),
            ("WI~RE 4.3 to 8", 1, "no range of sections"),
            ("WI~RE 7, consequence 3", 1, "has no consequence 3"),
            ("LEG~ACY sections 3 to 5 and 12", 1, "has no section 12"),
            ("\n\n(P~77)", 3, "has no P~77"),
            ("B~03, B~06", 1, "has no B~06"),
            ("B~03-B~06", 1, "has no B~06"),
            ("P~1 to P~12", 1, "has no P~3"),
            ("P~09-P~18", 1, "has no P~10"),
            ("P~12-P~18", 1, "no range of ids"),
            ("B~05 to B~03", 1, "no range of ids"),
            ("(DES~IGN section 4)", 1, "nobody can look up"),
            ("(DES~IGN 9)", 1, "nobody can look up"),
            ("the tests of is~sue 4, item 9", 1, "nobody can look up"),
            ("Is~sue #12", 1, "nobody can look up"),
            ("/// Must~-show d.", 1, "nobody can look up"),
            ("see docs~/nothing-here.md.", 1, "there is no docs~/nothing-here.md"),
        ] {
            let (_, faults) = judge(text);
            let [(at, said)] = &faults[..] else { panic!("{text}: {faults:?}") };
            assert!(*at == line && said.contains(&sample(fault)), "{text}: line {at}: {said}");
        }
    }
}
