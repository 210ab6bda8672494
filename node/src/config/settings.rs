//! The file and the command line as one set of settings, with the notices about keys (P32, P38, P40).

use std::str::FromStr;

use rcs_proto::icf::Secret;

use super::keys::{Key, PREFIX, Scope, Secrecy};
use super::{Origin, Problem};
use crate::properties::Document;

/// A `-D connectorserver.NAME=VALUE` of the command line.
#[derive(Clone, Debug)]
pub struct Override {
    key: String,
    value: Secret<String>,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) =
            text.split_once('=').ok_or("expected NAME=VALUE, e.g. connectorserver.port=0".to_owned())?;
        Ok(Self { key: key.trim().to_owned(), value: Secret::new(value.to_owned()) })
    }
}

/// The most characters of a value that a message shows.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// One value with its origin. Problems that are built from this value show the value, unless the property holds a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub(super) key: &'static str,
    value: &'a Secret<String>,
    pub(super) origin: Origin,
}

impl<'a> Setting<'a> {
    /// The value as it stands, blanks at its ends included: they may belong to a password.
    pub(super) fn raw(&self) -> &'a str {
        self.value.expose()
    }

    /// The value without blanks at its ends.
    pub(super) fn trimmed(&self) -> &'a str {
        self.value.expose().trim()
    }

    pub(super) fn problem(&self, what: impl Into<String>) -> Problem {
        let is_open = Key::find(self.key).is_some_and(|key| key.secrecy == Secrecy::Open);
        let value = is_open.then(|| {
            let mut shown: String = self.trimmed().chars().take(SHOWN_CHARACTERS_MAX).collect();
            if shown.len() < self.trimmed().len() {
                shown.push('…');
            }
            shown
        });
        Problem { origin: self.origin, key: self.key, value, what: what.into() }
    }

    pub(super) fn notice(&self, what: &str) -> String {
        format!("{}: {PREFIX}{} {what}", self.origin, self.key)
    }
}

/// All settings in force.
pub(super) struct Settings<'a> {
    settings: Vec<Setting<'a>>,
    notices: Vec<String>,
    problems: Vec<Problem>,
}

impl<'a> Settings<'a> {
    pub(super) fn of(document: &'a Document, overrides: &'a [Override]) -> Self {
        let mut all = Self { settings: Vec::new(), notices: Vec::new(), problems: Vec::new() };
        all.notices.extend(document.notices().iter().map(ToString::to_string));
        for entry in document.entries() {
            all.add(&entry.key, &entry.value, Origin::Line(entry.line));
        }
        for one in overrides {
            all.add(&one.key, &one.value, Origin::CommandLine);
        }
        all
    }

    /// The value in force; an empty one counts as absent (P04, W08).
    pub(super) fn get(&self, name: &'static str) -> Option<Setting<'a>> {
        let last = self.settings.iter().rev().find(|setting| setting.key == name);
        last.filter(|setting| !setting.trimmed().is_empty()).copied()
    }

    /// Names the properties that mean nothing in this mode (P33, P38, W04).
    pub(super) fn name_misplaced(&mut self, mode: Scope) {
        let (here, there) = match mode {
            Scope::Client => ("client", "server"),
            _ => ("server", "client"),
        };
        let misplaced = self.settings.iter().filter(|setting| {
            let scope = Key::find(setting.key).map_or(Scope::Both, |key| key.scope);
            scope != Scope::Both && scope != mode && !setting.trimmed().is_empty()
        });
        let notices: Vec<String> = misplaced
            .map(|setting| {
                let why = if mode == Scope::Client && setting.key.eq_ignore_ascii_case("useSSL") {
                    "; ws or wss in the url decides"
                } else {
                    ""
                };
                setting.notice(&format!("is a property of {there} mode and is ignored in {here} mode{why}"))
            })
            .collect();
        self.notices.extend(notices);
    }

    /// Problems of the names alone.
    pub(super) fn take_problems(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.problems)
    }

    pub(super) fn notice(&mut self, notice: String) {
        self.notices.push(notice);
    }

    pub(super) fn into_notices(self) -> Vec<String> {
        self.notices
    }

    fn add(&mut self, name: &str, value: &'a Secret<String>, origin: Origin) {
        // A name without the prefix may be anything, half of a secret included, so it is not shown.
        let Some(bare) = name.strip_prefix(PREFIX) else {
            self.notices.push(format!("{origin}: the name does not begin with `{PREFIX}`, so the line is ignored; write `{PREFIX}` before the name, or remove the line"));
            return;
        };
        match (Key::find(bare), Key::similar(bare)) {
            (Some(key), _) => self.settings.push(Setting { key: key.name, value, origin }),
            // If the property were ignored, a listener that was meant to have TLS would be without TLS.
            (None, Some(key)) if key.name.eq_ignore_ascii_case("useSSL") => self.problems.push(Problem {
                origin,
                key: key.name,
                value: None,
                what: format!(
                    "is misspelt as {PREFIX}{}, so no server would turn TLS on; write {PREFIX}{}",
                    shown(bare),
                    key.name
                ),
            }),
            (None, Some(key)) => self.notices.push(format!(
                "{origin}: {PREFIX}{} is unknown and is ignored; did you mean {PREFIX}{}? Case counts",
                shown(bare),
                key.name
            )),
            (None, None) => self.notices.push(format!(
                "{origin}: {PREFIX}{} is unknown and is ignored; check its spelling",
                shown(bare)
            )),
        }
    }
}

/// A name for a message, without control characters.
fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARACTERS_MAX).flat_map(char::escape_debug).collect()
}
