//! What callers were told, and what the journals say happened.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::sums::{SUSPECTED, Sums};
use super::times::Times;

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ask {
    Get,
    Search,
    Login,
    Create,
    Update,
}

impl Ask {
    /// The word for reports.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Search => "search",
            Self::Login => "authenticate",
            Self::Create => "create",
            Self::Update => "update",
        }
    }

    fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::Search)
    }
}

/// How a call ended for its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// With the right answer.
    Ok,
    /// With an error that says that nobody knows what happened.
    Unknown,
    /// With the loss of the caller's own connection.
    Disconnected,
    /// With an error, after parts of the answer had come.
    CutStream(String),
    /// With another error: its class and text.
    Failed(String),
    /// As if well, and wrong: too few rows, the wrong order, another object.
    Wrong(String),
    /// Not at all within its deadline and some more.
    Hung,
}

/// The sums over all calls of a drill.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) figures: Figures,
    /// The changes and logins, by their tokens.
    changes: HashMap<String, (Ask, Told)>,
    /// When the calls began whose caller lost its connection.
    pub(crate) disconnects: Vec<Instant>,
    /// Latencies of calls that were answered well, by what they asked for.
    pub(crate) latencies: Vec<(Ask, Duration)>,
    /// What a Java IDM counted that called beside them.
    pub(crate) idm: Option<Sums>,
}

/// The figures of the calls. Those that a verdict wants at 0 say so by their names.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) calls: u64,
    pub(crate) ok: u64,
    /// Errors by operation and class.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Calls whose outcome nobody knows; honest, and counted apart.
    pub(crate) unknown: u64,
    /// Calls whose caller lost its connection to the router.
    pub(crate) disconnected: u64,
    /// Searches that broke off after objects had been delivered, with an error that says so.
    pub(crate) streams_cut: u64,
    /// Reads that failed, other than those.
    pub(crate) reads_failed: u64,
    /// Reads that were at two members when these were lost: the router takes such a call for poison.
    pub(crate) suspected: u64,
    /// Changes and logins that failed with another error than "unknown".
    pub(crate) changes_failed: u64,
    /// Answers that look well and are not.
    pub(crate) wrong: u64,
    /// Calls without an end.
    pub(crate) hung: u64,
    /// Changes and logins that ran more than once.
    pub(crate) doubled: u64,
    /// Changes that were answered well and did not run.
    pub(crate) lost: u64,
    /// Changes that ran though their callers were told that they did not.
    pub(crate) denied: u64,
    /// Changes and logins in the journals.
    pub(crate) executed: u64,
    /// A few errors as they were told.
    pub(crate) examples: Vec<String>,
}

const EXAMPLES_MAX: usize = 8;

impl Tally {
    /// Counts a call. `token` tells a change or login from all others.
    pub(crate) fn add(&mut self, ask: Ask, token: Option<String>, told: Told, began: Instant) {
        let took = began.elapsed();
        let figures = &mut self.figures;
        figures.calls += 1;
        match &told {
            Told::Ok => {
                figures.ok += 1;
                self.latencies.push((ask, took));
            }
            Told::Unknown => figures.unknown += 1,
            Told::CutStream(_) => figures.streams_cut += 1,
            Told::Disconnected => {
                figures.disconnected += 1;
                self.disconnects.push(began);
            }
            Told::Failed(text) if ask.is_read() && text.contains(SUSPECTED) => figures.suspected += 1,
            Told::Failed(_) if ask.is_read() => figures.reads_failed += 1,
            Told::Failed(_) => figures.changes_failed += 1,
            Told::Wrong(_) => figures.wrong += 1,
            Told::Hung => figures.hung += 1,
        }
        if let Some((class, example)) = told.error() {
            let seen = figures.errors.entry(format!("{} {class}", ask.label())).or_default();
            *seen += 1;
            if *seen == 1 && figures.examples.len() < EXAMPLES_MAX {
                figures.examples.push(format!("{}: {example}", ask.label()));
            }
        }
        if let Some(token) = token {
            self.changes.insert(token, (ask, told));
        }
    }

    /// The 99th percentile of the calls that were answered well, ms.
    pub(crate) fn p99_ms(&self) -> Option<f64> {
        let times: Vec<Duration> = self.latencies.iter().map(|(_, took)| *took).collect();
        Times::of(&times).p99_ms
    }

    /// Takes the reads out of the verdict that were at two members when these were lost, the Java IDM's too; returns their number. A
    /// drill with a poisonous call counts such reads apart: the router cannot tell them from that call.
    pub(crate) fn take_suspected(&mut self) -> u64 {
        let of_idm = self.idm.as_mut().map_or(0, |idm| std::mem::take(&mut idm.suspected));
        std::mem::take(&mut self.figures.suspected) + of_idm
    }

    /// Takes calls of the Java IDM without an end out of the verdict, as many as `at_most`; returns their number. Only for a router that
    /// ends: what a thread sends while its process handles the router's close is answered by nobody (decision 027).
    pub(crate) fn take_crossed(&mut self, at_most: u64) -> u64 {
        self.idm.as_mut().map_or(0, |idm| idm.take_hung(at_most))
    }

    /// Adds the calls of another load, before either is compared with the journals.
    pub(crate) fn merge(&mut self, other: Self) {
        let (into, from) = (&mut self.figures, other.figures);
        into.calls += from.calls;
        into.ok += from.ok;
        into.unknown += from.unknown;
        into.disconnected += from.disconnected;
        into.streams_cut += from.streams_cut;
        into.reads_failed += from.reads_failed;
        into.suspected += from.suspected;
        into.changes_failed += from.changes_failed;
        into.wrong += from.wrong;
        into.hung += from.hung;
        for (error, count) in from.errors {
            *into.errors.entry(error).or_default() += count;
        }
        into.examples.extend(from.examples);
        into.examples.truncate(EXAMPLES_MAX);
        self.changes.extend(other.changes);
        self.disconnects.extend(other.disconnects);
        self.latencies.extend(other.latencies);
        if let Some(idm) = other.idm {
            self.idm.get_or_insert_default().merge(idm);
        }
    }

    /// Holds what callers were told against the journals of all members.
    pub(crate) fn compare(&mut self, journals: &[impl AsRef<Path>]) {
        let ran = executed(journals);
        if let Some(idm) = &mut self.idm {
            idm.compare(&ran);
        }
        let figures = &mut self.figures;
        for (token, (ask, told)) in &self.changes {
            let times = ran.get(token).copied().unwrap_or(0);
            figures.executed += times.min(1);
            figures.doubled += times.saturating_sub(1);
            match told {
                Told::Ok if times == 0 => figures.lost += 1,
                Told::Failed(error) if times > 0 => {
                    figures.denied += 1;
                    let example = format!("ran all the same: {}: {error}", ask.label());
                    if figures.examples.len() < EXAMPLES_MAX {
                        figures.examples.push(example);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Told {
    /// An error's class, and how it was told.
    fn error(&self) -> Option<(String, String)> {
        let class = |text: &str| {
            let class = text.split(": ").next().unwrap_or(text);
            class.rsplit('.').next().unwrap_or(class).to_owned()
        };
        Some(match self {
            Self::Ok => return None,
            Self::Unknown => ("outcome unknown".to_owned(), "outcome unknown".to_owned()),
            Self::Disconnected => {
                ("disconnected".to_owned(), "the connection to the router broke".to_owned())
            }
            Self::CutStream(text) => (format!("cut: {}", class(text)), text.clone()),
            Self::Failed(text) => (class(text), text.clone()),
            Self::Wrong(text) => ("wrong".to_owned(), text.clone()),
            Self::Hung => ("hung".to_owned(), "no answer".to_owned()),
        })
    }
}

/// How often each token is in the journals: those of the drills' connector (`OPERATION token member`), and those of the Java rig
/// (`number OPERATION uid NAME=VALUE...`).
fn executed(journals: &[impl AsRef<Path>]) -> HashMap<String, u64> {
    let mut times = HashMap::new();
    for journal in journals {
        for line in fs::read_to_string(journal).unwrap_or_default().lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let token = match fields.as_slice() {
                ["CREATE" | "UPDATE" | "DELETE" | "LOGIN", token, ..] => Some(*token),
                [_, "UPDATE", _, fields @ ..] => fields.iter().find_map(|field| field.strip_prefix("mark=")),
                [_, "CREATE" | "DELETE", token, ..] => Some(*token),
                _ => None,
            };
            if let Some(token) = token {
                *times.entry(token.to_owned()).or_default() += 1;
            }
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_held_against_what_happened() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, java) = (folder.path().join("ours"), folder.path().join("java"));
        fs::write(&ours, "CREATE\ta\tn1\nCREATE\tb\tn1\nLOGIN\tb\tn2\nUPDATE\td\tn1\n").unwrap();
        fs::write(&java, "1\tUPDATE\tu0\tmark=e\tby=n1\n2\tCREATE\tf\tby=n1\n").unwrap();
        let mut tally = Tally::default();
        for (token, told) in [
            ("a", Told::Ok),
            ("b", Told::Ok),
            ("c", Told::Ok),
            ("d", Told::Failed("x.Refused: no".to_owned())),
            ("e", Told::Unknown),
            ("f", Told::Hung),
            ("g", Told::Unknown),
        ] {
            tally.add(Ask::Create, Some(token.to_owned()), told, Instant::now());
        }
        tally.compare(&[ours, java]);
        let figures = tally.figures;
        assert_eq!((figures.doubled, figures.lost, figures.denied, figures.executed), (1, 1, 1, 5));
        assert_eq!((figures.ok, figures.unknown, figures.hung, figures.changes_failed), (3, 2, 1, 1));
        assert_eq!(figures.errors["create Refused"], 1);
    }

    #[test]
    fn of_calls_that_crossed_the_close_only_so_many_are_excused() {
        for (hung, crossed, left) in [(0, 0, 0), (1, 1, 0), (3, 2, 1)] {
            let mut tally = Tally { idm: Some(Sums { hung, ..Sums::default() }), ..Tally::default() };
            assert_eq!(tally.take_crossed(2), crossed);
            assert_eq!(tally.idm.map(|idm| idm.hung), Some(left));
        }
        assert_eq!(Tally::default().take_crossed(2), 0, "a drill without a Java IDM");
    }
}
