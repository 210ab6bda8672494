//! Reads typed values out of a document and collects findings with their paths.

use std::collections::HashSet;

use super::json::Tree;
use super::problem::{Finding, Problem};
use super::{Keys, Properties, Severity};
use crate::limits::PROVIDER_FINDINGS_MAX;
use crate::slip::is_slip;

/// An object of the document and where it is.
pub(super) struct Object<'a> {
    path: String,
    fields: &'a [(String, Tree)],
}

/// A value that may be missing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field<T> {
    /// Not there, or null.
    Absent,
    /// There and wrong; it was reported.
    Bad,
    /// There and right.
    Given(T),
}

/// Collects findings while typed values are read.
pub(super) struct Reader<'p> {
    properties: &'p Properties,
    keys: &'p Keys,
    findings: Vec<Finding>,
    /// Findings that found no room.
    dropped: usize,
}

/// A value without its wrapping, placeholders replaced.
enum Scalar {
    Flag(bool),
    Number(serde_json::Number),
    Text(String),
}

impl<'a> Object<'a> {
    pub(super) fn new(path: String, tree: &'a Tree) -> Option<Self> {
        match tree {
            Tree::Object(fields) => Some(Self { path, fields }),
            _ => None,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path of one of its fields.
    pub(super) fn child(&self, key: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '-');
        match (self.path.as_str(), !key.is_empty() && key.chars().all(plain)) {
            ("", true) => key.to_owned(),
            (path, true) => format!("{path}.{key}"),
            (path, false) => format!("{path}[{key:?}]"),
        }
    }

    /// The field, unless it is missing or null; of repeated ones the last, as in IDM.
    pub(super) fn get(&self, key: &str) -> Option<&'a Tree> {
        self.fields.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v).filter(|v| **v != Tree::Null)
    }
}

impl<T> Field<T> {
    pub(super) fn or(self, default: T) -> T {
        match self {
            Self::Given(value) => value,
            Self::Absent | Self::Bad => default,
        }
    }

    pub(super) fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }
}

impl<'p> Reader<'p> {
    pub(super) fn new(properties: &'p Properties, keys: &'p Keys) -> Self {
        Self { properties, keys, findings: Vec::new(), dropped: 0 }
    }

    /// The keys that were given outside the document.
    pub(super) fn keys(&self) -> &'p Keys {
        self.keys
    }

    /// Adds a finding. An error always finds room, in place of something milder if need be, so that a bad
    /// document never passes for a good one.
    pub(super) fn report(&mut self, path: &str, problem: Problem) {
        let finding = Finding { path: path.to_owned(), problem };
        if self.findings.len() < PROVIDER_FINDINGS_MAX {
            self.findings.push(finding);
            return;
        }
        self.dropped += 1;
        let milder = |f: &Finding| f.problem.severity() != Severity::Error;
        if finding.problem.severity() == Severity::Error
            && let Some(last) = self.findings.iter_mut().rev().find(|f| milder(f))
        {
            *last = finding;
        }
    }

    pub(super) fn finish(mut self) -> Vec<Finding> {
        if self.dropped > 0 {
            let more = Finding { path: String::new(), problem: Problem::MoreFindings(self.dropped) };
            self.findings.push(more);
        }
        self.findings
    }

    /// Reports fields that mean nothing here, and those given twice.
    pub(super) fn check_fields(&mut self, object: &Object<'_>, known: &[&'static str]) {
        let mut seen = HashSet::new();
        for (key, _) in object.fields {
            let is_known = known.contains(&key.as_str());
            let meant = || known.iter().copied().find(|known| is_slip(key, known));
            if let Some(meant) = (!is_known).then(meant).flatten() {
                self.report(
                    &object.child(&shortened(key)),
                    Problem::Misspelled { found: shortened(key), meant },
                );
            } else if !is_known {
                self.report(&object.child(&shortened(key)), Problem::UnknownField);
            } else if !seen.insert(key) {
                self.report(&object.child(key), Problem::FieldTwice);
            }
        }
    }

    /// The items of an array with their paths; none if it is missing or no array.
    pub(super) fn array<'a>(&mut self, object: &Object<'a>, key: &str) -> Vec<(String, &'a Tree)> {
        let path = object.child(key);
        match object.get(key) {
            Some(Tree::Array(items)) => {
                items.iter().enumerate().map(|(i, item)| (format!("{path}[{i}]"), item)).collect()
            }
            Some(other) => {
                self.report(&path, Problem::WrongType { expected: "an array", found: found(other) });
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// A text; surrounding white space is kept.
    pub(super) fn text(&mut self, object: &Object<'_>, key: &str) -> Field<String> {
        self.typed(object, key, |scalar| match scalar {
            Scalar::Text(text) => Ok(text),
            Scalar::Number(number) => Ok(number.to_string()),
            Scalar::Flag(flag) => Err(("a text", flag)),
        })
    }

    /// A text that says something, or `None` if it is missing or empty.
    pub(super) fn filled(&mut self, object: &Object<'_>, key: &str) -> Field<String> {
        match self.text(object, key) {
            Field::Given(text) if text.is_empty() => Field::Absent,
            other => other,
        }
    }

    /// A text that must be there and say something.
    pub(super) fn required(&mut self, object: &Object<'_>, key: &'static str) -> Option<String> {
        match self.filled(object, key) {
            Field::Given(text) => Some(text),
            Field::Bad => None,
            Field::Absent => {
                self.report(&object.child(key), Problem::Missing(key));
                None
            }
        }
    }

    /// A whole number in a range, as a number or as text of one. An empty text is as good as nothing (W08).
    pub(super) fn number(&mut self, object: &Object<'_>, key: &str, min: u64, max: u64) -> Field<u64> {
        let text = self.typed(object, key, |scalar| match scalar {
            Scalar::Number(number) => Ok(number.to_string()),
            Scalar::Text(text) => Ok(text.trim().to_owned()),
            Scalar::Flag(flag) => Err(("a number", flag)),
        });
        match text {
            Field::Absent => Field::Absent,
            Field::Bad => Field::Bad,
            Field::Given(text) if text.is_empty() => Field::Absent,
            Field::Given(text) => match text.parse::<u64>() {
                Ok(n) if (min..=max).contains(&n) => Field::Given(n),
                _ => {
                    self.report(
                        &object.child(key),
                        Problem::NotInRange { found: shortened(&text), min, max },
                    );
                    Field::Bad
                }
            },
        }
    }

    /// A boolean, as such or as text of one.
    pub(super) fn flag(&mut self, object: &Object<'_>, key: &str) -> Field<bool> {
        let flag = self.typed(object, key, |scalar| match scalar {
            Scalar::Flag(flag) => Ok(Ok(flag)),
            Scalar::Text(text) => Ok(match text.trim() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(text),
            }),
            Scalar::Number(number) => Ok(Err(number.to_string())),
        });
        match flag {
            Field::Given(Ok(flag)) => Field::Given(flag),
            Field::Given(Err(text)) => {
                self.report(&object.child(key), Problem::NotFlag(shortened(&text)));
                Field::Bad
            }
            Field::Absent => Field::Absent,
            Field::Bad => Field::Bad,
        }
    }

    fn typed<T>(
        &mut self,
        object: &Object<'_>,
        key: &str,
        convert: impl FnOnce(Scalar) -> Result<T, (&'static str, bool)>,
    ) -> Field<T> {
        let Some(tree) = object.get(key) else { return Field::Absent };
        let path = object.child(key);
        let Some(scalar) = self.scalar(&path, tree) else { return Field::Bad };
        match convert(scalar) {
            Ok(value) => Field::Given(value),
            Err((expected, flag)) => {
                self.report(&path, Problem::WrongType { expected, found: found(&Tree::Flag(flag)) });
                Field::Bad
            }
        }
    }

    /// Takes off IDM's wrapping (`{"$int": "8759"}`) and replaces placeholders (C15).
    fn scalar(&mut self, path: &str, tree: &Tree) -> Option<Scalar> {
        match tree {
            Tree::Flag(flag) => Some(Scalar::Flag(*flag)),
            Tree::Number(number) => Some(Scalar::Number(number.clone())),
            Tree::Text(text) => self.substituted(path, text).map(Scalar::Text),
            Tree::Object(fields) => match fields.as_slice() {
                [(wrap, Tree::Object(_))] if wrap == "$crypto" => {
                    self.report(path, Problem::Encrypted);
                    None
                }
                [(wrap, inner)] if WRAPPERS.contains(&wrap.as_str()) && !matches!(inner, Tree::Object(_)) => {
                    self.scalar(path, inner)
                }
                [(wrap, _)] if wrap.starts_with('$') => {
                    self.report(path, Problem::UnknownWrapper(shortened(wrap)));
                    None
                }
                _ => self.not_scalar(path, tree),
            },
            Tree::Null | Tree::Array(_) => self.not_scalar(path, tree),
        }
    }

    fn not_scalar(&mut self, path: &str, tree: &Tree) -> Option<Scalar> {
        self.report(path, Problem::WrongType { expected: "a single value", found: found(tree) });
        None
    }

    /// Replaces each `&{NAME}` and `&{NAME|default}`.
    fn substituted(&mut self, path: &str, text: &str) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("&{") {
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let Some((placeholder, after)) = from.get(2..).and_then(|f| f.split_once('}')) else {
                self.report(path, Problem::OpenPlaceholder);
                return None;
            };
            let (name, default) = match placeholder.split_once('|') {
                Some((name, default)) => (name, Some(default)),
                None => (placeholder, None),
            };
            match self.property(name).or(default) {
                Some(value) => out.push_str(value),
                None => {
                    self.report(path, Problem::Unresolved(shortened(name)));
                    return None;
                }
            }
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }

    fn property(&self, name: &str) -> Option<&str> {
        let as_variable = || name.to_uppercase().replace(['.', '-'], "_");
        let value = self.properties.get(name).or_else(|| self.properties.get(&as_variable()));
        value.map(String::as_str)
    }
}

/// IDM's coercions that make sense for one value.
const WRAPPERS: [&str; 7] = ["$int", "$integer", "$long", "$number", "$bool", "$boolean", "$string"];

/// What a value is, in words. Texts are not quoted: a text in a wrong place may be a key or a password.
pub(super) fn found(tree: &Tree) -> String {
    match tree {
        Tree::Null => "null".to_owned(),
        Tree::Flag(flag) => format!("the boolean {flag}"),
        Tree::Number(number) => format!("the number {}", shortened(&number.to_string())),
        Tree::Text(_) => "a text".to_owned(),
        Tree::Array(_) => "an array".to_owned(),
        Tree::Object(_) => "an object".to_owned(),
    }
}

/// As much of a value as fits a sentence.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
