//! Reads the entries of the file of credentials. No fault has a value of the file.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use rcs_core::agreed::At;
use rcs_proto::manifest::Shown;
use toml::Spanned;
use toml::de::DeValue;
use toml_datetime::{Datetime, Offset};

use crate::clock::days_since_1970;
use crate::config::time;

/// The keys of one entry.
pub(super) struct Fields<'a, 'b>(BTreeMap<&'b str, &'b DeValue<'a>>);

impl<'a, 'b> Fields<'a, 'b> {
    /// Takes the keys out of an entry, which may have these keys and no others.
    ///
    /// # Errors
    /// A sentence that goes on after the name of the entry.
    pub(super) fn of(entry: &'b DeValue<'a>, names: &[&str]) -> Result<Self, String> {
        let DeValue::Table(table) = entry else {
            return Err(format!("is not a table: write {} into it", names.join(", ")));
        };
        let mut fields = BTreeMap::new();
        for (name, value) in table {
            fields.insert(&**name.get_ref(), value.get_ref());
        }
        let unknown = fields.keys().copied().find(|name| !names.contains(name));
        match unknown {
            Some(other) => {
                Err(format!("has {}, which is unknown here: use {}", Shown::new(other), names.join(", ")))
            }
            None => Ok(Self(fields)),
        }
    }

    /// Whether the entry has the key.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A list of 1 to `most` texts.
    ///
    /// # Errors
    /// A sentence that goes on after the name of the entry; also if the key is missing.
    pub(super) fn texts(&self, name: &str, most: usize) -> Result<Vec<&'b str>, String> {
        let wrong = || format!("needs {name} = [\"...\"], a list of 1 to {most} texts");
        let Some(DeValue::Array(list)) = self.0.get(name).copied() else { return Err(wrong()) };
        let text = |value: &'b Spanned<DeValue<'a>>| match value.get_ref() {
            DeValue::String(text) => Some(&**text),
            _ => None,
        };
        let found: Option<Vec<&str>> = list.iter().map(text).collect();
        found.filter(|found| (1..=most).contains(&found.len())).ok_or_else(wrong)
    }

    /// A text that is not empty, if the key is there.
    ///
    /// # Errors
    /// A sentence that goes on after the name of the entry.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'b str>, String> {
        match self.0.get(name).copied() {
            None => Ok(None),
            Some(DeValue::String(text)) if !text.is_empty() => Ok(Some(&**text)),
            Some(_) => Err(format!("needs a text in {name}, in quotes")),
        }
    }

    /// A time within a range, if the key is there.
    ///
    /// # Errors
    /// A sentence that goes on after the name of the entry.
    pub(super) fn time(
        &self,
        name: &str,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Duration>, String> {
        let Some(value) = self.0.get(name).copied() else { return Ok(None) };
        let time = match value {
            DeValue::String(text) => time::parse(text),
            _ => None,
        };
        match time.filter(|time| range.contains(time)) {
            Some(time) => Ok(Some(time)),
            None => Err(format!(
                "needs a time from {} to {} in {name}: {}",
                time::shown(*range.start()),
                time::shown(*range.end()),
                time::FORM
            )),
        }
    }

    /// A moment, if the key is there.
    ///
    /// # Errors
    /// A sentence that goes on after the name of the entry.
    pub(super) fn moment(&self, name: &str) -> Result<Option<At>, String> {
        let wrong = || {
            format!(
                "needs a date or a moment with its offset in {name}: 2027-01-31, or 2027-01-31T18:00:00Z, without quotes"
            )
        };
        match self.0.get(name).copied() {
            None => Ok(None),
            Some(DeValue::Datetime(at)) => moment(at).map(Some).ok_or_else(wrong),
            Some(_) => Err(wrong()),
        }
    }
}

/// The moment of a TOML date (its beginning, UTC), or of a date and time with its offset. A time without an offset is no moment.
fn moment(at: &Datetime) -> Option<At> {
    let date = at.date?;
    let days = days_since_1970(date.year.into(), date.month.into(), date.day.into());
    let of_day = match (at.time, at.offset) {
        (None, _) => 0,
        (Some(_), None) => return None,
        (Some(time), Some(offset)) => {
            let minutes_east = match offset {
                Offset::Z => 0,
                Offset::Custom { minutes } => i64::from(minutes),
            };
            // Parts of a second do not matter.
            let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - minutes_east;
            minutes * 60 + i64::from(time.second.unwrap_or(0))
        }
    };
    // What expired before 1970 is expired as well.
    Some(At(u64::try_from(days * 86_400 + of_day).unwrap_or_default() * 1000))
}
