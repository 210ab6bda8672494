//! The fenced blocks of a Markdown document, and the marks that say what is done with each.
//!
//! | the fence begins with | the block is |
//! |---|---|
//! | `sh` | commands, run one after the other; each must end with 0 |
//! | `sh eventually` | the same for commands that may be repeated: until they end with 0, within a bound |
//! | `console` | lines `$ COMMAND`, each followed by what it prints: run, and compared (see `compare`) |
//! | `console eventually` | the same for commands that only look: repeated until they print that, within a bound |
//! | `console numbers` | the same, where any number may stand for a number |
//! | `console exit=N` | the same for commands that end with N |
//! | `LANGUAGE file=NAME` | a file, written into the folder in which the commands run |
//! | `LANGUAGE not-run: REASON` | shown only, for that reason |
//!
//! Nothing else is allowed, so no command gets into a document without a decision about it.

use std::path::{Path, PathBuf};

/// A block, with the line of its first line.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) document: PathBuf,
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// What is done with a block.
#[derive(Debug)]
pub(super) enum Kind {
    /// Run.
    Run(Vec<Step>),
    /// Written into a file.
    File { name: String, text: String },
    /// Shown only.
    Shown { text: String, reason: String },
}

/// One command of a block.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) command: String,
    /// The exit code that is expected.
    pub(super) exit: i32,
    /// Whether the command is repeated until it ends and prints as expected.
    pub(super) eventually: bool,
    /// What it prints, if that is compared.
    pub(super) prints: Option<Prints>,
}

/// What a command is to print.
#[derive(Debug)]
pub(super) struct Prints {
    pub(super) lines: Vec<String>,
    /// Whether any number may stand for a number.
    pub(super) any_number: bool,
}

/// All blocks of a document in their order.
pub(super) fn blocks(document: &Path, text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let here = || format!("{}:{}", document.display(), at + 1);
        let Some(info) = lines[at].trim_start().strip_prefix("```") else {
            let is_indented = lines[at].starts_with("    ") && !lines[at].trim().is_empty();
            assert!(!is_indented, "{}: indented text is not checked: put it between fences", here());
            at += 1;
            continue;
        };
        let rest = &lines[at + 1..];
        let length = rest.iter().position(|line| line.trim() == "```");
        let length = length.unwrap_or_else(|| panic!("{}: the block does not end", here()));
        let kind = kind(info, &rest[..length], at + 2).unwrap_or_else(|why| panic!("{}: {why}", here()));
        found.push(Block { document: document.to_owned(), line: at + 1, kind });
        at += length + 2;
    }
    found
}

/// The document without its blocks.
pub(super) fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

fn kind(info: &str, lines: &[&str], line: usize) -> Result<Kind, String> {
    let (language, marks) = info.split_once(' ').unwrap_or((info, ""));
    let text = || lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    if let Some(reason) = marks.strip_prefix("not-run:") {
        let reason = reason.trim().to_owned();
        let shown = Kind::Shown { text: text(), reason };
        return if info.split_whitespace().count() > 3 {
            Ok(shown)
        } else {
            Err("say why in words".to_owned())
        };
    }
    if let Some(name) = marks.strip_prefix("file=") {
        return Ok(Kind::File { name: name.to_owned(), text: text() });
    }
    match language {
        "sh" if ["", "eventually"].contains(&marks) => {
            let eventually = !marks.is_empty();
            let step = |(at, command)| Step { line: line + at, command, exit: 0, eventually, prints: None };
            Ok(Kind::Run(commands(lines).into_iter().map(step).collect()))
        }
        "console" => console(marks, lines, line).map(Kind::Run),
        _ => Err(format!("`{info}` is no mark; the known ones are in tests/it/docs/blocks.rs")),
    }
}

fn console(marks: &str, lines: &[&str], line: usize) -> Result<Vec<Step>, String> {
    let (mut exit, mut any_number, mut eventually) = (0, false, false);
    for mark in marks.split_whitespace() {
        match (mark, mark.strip_prefix("exit=")) {
            (_, Some(code)) => exit = code.parse().map_err(|_| format!("`{mark}` is no exit code"))?,
            ("numbers", _) => any_number = true,
            ("eventually", _) => eventually = true,
            _ => return Err(format!("`{mark}` is no mark of a console block")),
        }
    }
    let mut steps: Vec<Step> = Vec::new();
    for (at, text) in lines.iter().enumerate() {
        if let Some(command) = text.strip_prefix("$ ") {
            let prints = Prints { lines: Vec::new(), any_number };
            let command = command.to_owned();
            steps.push(Step { line: line + at, command, exit, eventually, prints: Some(prints) });
            continue;
        }
        let last = steps.last_mut().ok_or("it begins with no `$ COMMAND`")?;
        match &mut last.prints {
            // A command goes on in the next line, as in any shell.
            Some(prints) if prints.lines.is_empty() && last.command.ends_with('\\') => {
                last.command = format!("{}\n{text}", last.command);
            }
            Some(prints) => prints.lines.push((*text).to_owned()),
            None => {}
        }
    }
    if steps.is_empty() { Err("it has no `$ COMMAND`".to_owned()) } else { Ok(steps) }
}

/// The commands of a script: one a line, but for lines that go on and for here-documents.
fn commands(lines: &[&str]) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut until: Option<String> = None;
    let mut goes_on = false;
    for (at, line) in lines.iter().enumerate() {
        match found.last_mut() {
            Some((_, command)) if until.is_some() || goes_on => {
                *command = format!("{command}\n{line}");
                if until.as_deref() == Some(*line) {
                    until = None;
                }
            }
            _ if line.trim().is_empty() || line.starts_with('#') => continue,
            _ => found.push((at, (*line).to_owned())),
        }
        goes_on = until.is_none() && line.ends_with('\\');
        if let (None, Some((_, word))) = (&until, line.split_once("<<'")) {
            until = word.split_once('\'').map(|(word, _)| word.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<Block> {
        blocks(Path::new("x.md"), text)
    }

    #[test]
    fn a_script_is_its_commands() {
        let text = "a\n```sh\n# why\none\ntwo \\\n  more\ncat > f <<'END'\n{\n\n# kept\nEND\n\nlast\n```\n";
        let [Block { kind: Kind::Run(steps), line: 2, .. }] = &parsed(text)[..] else { panic!("one block") };
        let commands: Vec<_> = steps.iter().map(|step| (step.line, &*step.command)).collect();
        let cat = "cat > f <<'END'\n{\n\n# kept\nEND";
        assert_eq!(commands, [(4, "one"), (5, "two \\\n  more"), (7, cat), (13, "last")]);
    }

    #[test]
    fn a_console_has_commands_and_what_they_print() {
        let text = "```console exit=65 numbers\n$ a \\\n  b\nx\n\ny\n$ c\n```\n";
        let [Block { kind: Kind::Run(steps), .. }] = &parsed(text)[..] else { panic!("one block") };
        let shown: Vec<_> = steps
            .iter()
            .map(|step| {
                (&*step.command, step.exit, step.prints.as_ref().map(|p| (p.lines.len(), p.any_number)))
            })
            .collect();
        assert_eq!(shown, [("a \\\n  b", 65, Some((3, true))), ("c", 65, Some((0, true)))]);
    }

    #[test]
    fn what_is_not_run_says_why() {
        let [Block { kind: Kind::Shown { reason, .. }, .. }] =
            &parsed("```sh not-run: takes ten minutes\nmake\n```\n")[..]
        else {
            panic!("one block")
        };
        assert_eq!(reason, "takes ten minutes");
        for bad in
            ["```\na\n```", "```sh not-run:\na\n```", "```text\na\n```", "```sh quick\na\n```", "    rm x"]
        {
            assert!(std::panic::catch_unwind(|| parsed(bad)).is_err(), "{bad}");
        }
    }
}
