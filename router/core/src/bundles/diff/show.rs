//! Differences as text: a line for each item, or one line for the log.

use std::fmt;

use super::{Change, Difference, Item, Parts, Side, Subject};
use crate::bundles::digest::Short;
use crate::bundles::printable::Printable;

/// A line for each item, without a line break behind the last one.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.items.iter().enumerate() {
            let before = if at == 0 { "" } else { "\n" };
            write!(f, "{before}{item}")?;
        }
        if self.more > 0 {
            write!(f, "\n... and {} more", self.more)?;
        }
        Ok(())
    }
}

/// Items of a difference in one line of the log.
const IN_LINE: usize = 3;

/// A difference in one line: its first items, and how many more there are.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a Difference);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.items.iter().take(IN_LINE);
        for (at, item) in shown.enumerate() {
            let before = if at == 0 { "" } else { "; " };
            write!(f, "{before}{item}")?;
        }
        match self.0.len().saturating_sub(IN_LINE) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.change.label(), self.subject)?;
        match &self.change {
            Change::Missing(side) | Change::Added(side) => {
                if let Some(version) = &side.version {
                    write!(f, " {}", Printable(version))?;
                }
                write!(f, " ({})", Content(side))
            }
            Change::Changed { old, new, parts } => changed(f, old, new, parts),
        }
    }
}

fn changed(f: &mut fmt::Formatter<'_>, old: &Side, new: &Side, parts: &Parts) -> fmt::Result {
    if let Some(path) = &new.path {
        write!(f, " -> {}", Printable(path))?;
    }
    match (&old.version, &new.version) {
        (Some(old), Some(new)) if old != new => write!(f, " {} -> {}", Printable(old), Printable(new))?,
        (Some(version), _) | (None, Some(version)) => write!(f, " {}", Printable(version))?,
        (None, None) => {}
    }
    write!(f, " ({} -> {})", Content(old), Content(new))?;
    write!(f, "{parts}")
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connector { bundle, connector } => {
                write!(f, "connector {}/{}", Printable(bundle), Printable(connector))
            }
            Self::File { root, path } => write!(f, "file {root}/{}", Printable(path)),
        }
    }
}

/// What stands there.
struct Content<'a>(&'a Side);

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.digest, self.0.oddity) {
            (Some(digest), _) => write!(f, "{}", Short(digest)),
            (None, Some(oddity)) => f.write_str(oddity),
            (None, None) => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, names) in [("missing", &self.missing), ("added", &self.added), ("changed", &self.changed)]
        {
            for name in names {
                write!(f, ", {word} property {}", Printable(name))?;
            }
        }
        if self.more > 0 {
            write!(f, " and {} more properties", self.more)?;
        }
        if self.traits { f.write_str(", other operations, pooling or display name") } else { Ok(()) }
    }
}
