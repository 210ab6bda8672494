//! The options of a search that have to do with pages: all that the router itself reads of them on its way (LEGACY section 9).

use super::error::LegacyError;
use super::scan::{Blob, RawClass, RawObject, Span};
use crate::limits::LEGACY_BLOB_BYTES_MAX;

const COOKIE: &str = "PAGED_RESULTS_COOKIE";
const SIZE: &str = "PAGE_SIZE";

/// What the options of a search say of pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageOptions {
    /// The text of `PAGED_RESULTS_COOKIE`; none if there is no such entry, or a null in it.
    pub cookie: Option<String>,
    /// Whether there is an entry `PAGE_SIZE`, whatever its value.
    pub has_size: bool,
}

/// The text of `PAGED_RESULTS_COOKIE` in a blob of `OperationOptions`; `None` if the blob is empty, has no such entry, or a
/// null in it. Everything else in the blob is skipped unread, so this costs a walk over the option's names.
///
/// # Errors
/// If the way to the entry breaks the format's rules, or there are several such entries.
pub fn options_cookie(options: &[u8]) -> Result<Option<String>, LegacyError> {
    Ok(options_page(options)?.cookie)
}

/// The same, with whether the search asks for pages at all.
///
/// # Errors
/// As of [`options_cookie`].
pub fn options_page(options: &[u8]) -> Result<PageOptions, LegacyError> {
    if options.is_empty() {
        return Ok(PageOptions::default());
    }
    if options.len() > LEGACY_BLOB_BYTES_MAX {
        return Err(LegacyError::TooLarge { bytes: options.len(), limit: LEGACY_BLOB_BYTES_MAX });
    }
    let (blob, span) = Blob::open(options)?;
    Walker { blob }.page(span)
}

struct Walker<'a> {
    blob: Blob<'a>,
}

impl<'a> Walker<'a> {
    fn page(&mut self, span: Span) -> Result<PageOptions, LegacyError> {
        let mut page = PageOptions::default();
        let Some(options) = self.object(span, "OperationOptions")? else { return Ok(page) };
        let missing = LegacyError::Missing { type_name: "OperationOptions", field: "options" };
        let map = self.named(&options, "options").ok_or(missing)?;
        let map = self.object(map, "Map")?.ok_or(missing)?;
        let folding = match self.named(&map, "caseInsensitive") {
            Some(flag) => self.blob.cursor(flag).u8()? != 0,
            None => false,
        };
        let mut found = None;
        for entry in map.fields.iter().filter(|field| field.name.is_none()) {
            let (key, value) = self.entry(entry.body)?;
            let is = |name: &str| if folding { key.eq_ignore_ascii_case(name) } else { key == name };
            page.has_size |= is(SIZE);
            if !is(COOKIE) {
                continue;
            }
            if found.is_some() {
                return Err(LegacyError::Rule { type_name: "Map", rule: "has equal keys" });
            }
            found = Some(self.text(value)?.map(str::to_owned));
        }
        page.cookie = found.flatten();
        Ok(page)
    }

    /// The key of an entry, empty for null, and where its value is.
    fn entry(&mut self, entry: Span) -> Result<(&'a str, Span), LegacyError> {
        let at = entry.start as usize;
        let entry = self.object(entry, "MapEntry")?.ok_or(LegacyError::Null(at))?;
        let mut bodies = entry.fields.iter().filter(|field| field.name.is_none()).map(|field| field.body);
        let (Some(key), Some(value), None) = (bodies.next(), bodies.next(), bodies.next()) else {
            return Err(LegacyError::Members { offset: at, type_name: "MapEntry" });
        };
        Ok((self.text(key)?.unwrap_or_default(), value))
    }

    /// The text of a `String`, `None` for null.
    fn text(&mut self, span: Span) -> Result<Option<&'a str>, LegacyError> {
        let Some(string) = self.object(span, "String")? else { return Ok(None) };
        let mut bodies = string.fields.iter().filter(|field| field.name.is_none()).map(|field| field.body);
        let (Some(body), None) = (bodies.next(), bodies.next()) else {
            return Err(LegacyError::Members { offset: string.at, type_name: "String" });
        };
        self.blob.string(body).map(Some)
    }

    /// The object in that span, if it is of that type; `None` for null.
    fn object(&mut self, span: Span, expected: &'static str) -> Result<Option<RawObject>, LegacyError> {
        let raw = self.blob.object(span)?;
        match raw.class {
            RawClass { marks: 0, name: None } if raw.fields.is_empty() => Ok(None),
            RawClass { marks: 0, name: Some(name) } if self.blob.pool.name(name) == expected => Ok(Some(raw)),
            _ => Err(LegacyError::Type { expected, found: "another type" }),
        }
    }

    fn named(&self, object: &RawObject, name: &str) -> Option<Span> {
        let mut fields = object.fields.iter();
        let found =
            fields.find(|field| field.name.is_some_and(|index| self.blob.pool.name(index) == name))?;
        Some(found.body)
    }
}
