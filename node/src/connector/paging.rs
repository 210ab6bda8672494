//! Pages and attributes-to-get: what a connector that holds all its objects needs to answer the search options.
//!
//! A cookie is the number of objects already delivered, in decimal, base64: the same text as the published CSV
//! connector's (`Mg==` after two), so that it means the same on any member that reads the same data.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcs_proto::icf::{ConnectorObject, NAME, OperationOptions, SearchResult, UID};

use crate::error::{ErrorClass, IcfError};

/// The part of a search's objects that the caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Objects to leave out at the beginning.
    pub start: usize,
    /// Most objects to deliver; `None` is all.
    pub size: Option<usize>,
}

impl Page {
    /// The page of these options. A cookie goes before `PAGED_RESULTS_OFFSET`; an empty cookie is the first page; a
    /// page size below one is no page size.
    ///
    /// # Errors
    /// `ConnectorException` for a cookie that is none of ours, as the published connector answers.
    pub fn read(options: &OperationOptions) -> Result<Self, IcfError> {
        let size = options.page_size().and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
        let start = match options.paged_results_cookie() {
            Some(cookie) if !cookie.is_empty() => decode_cookie(cookie)?,
            _ => options.paged_results_offset().and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0),
        };
        Ok(Self { start, size })
    }

    /// The indexes of `total` objects that belong to this page.
    pub fn range(&self, total: usize) -> std::ops::Range<usize> {
        let start = self.start.min(total);
        let end = self.size.map_or(total, |size| start.saturating_add(size).min(total));
        start..end
    }

    /// How the search ended: `total` objects match in all. A page that came out full has a cookie, also when it was the
    /// last; a search without pages has the cookie of the beginning, as the published connector's has.
    pub fn result(&self, total: usize) -> SearchResult {
        let range = self.range(total);
        let (cookie, remaining) = match self.size {
            None => (Some(encode_cookie(0)), total),
            Some(size) if range.len() == size => (Some(encode_cookie(range.end)), total - range.end),
            Some(_) => (None, 0),
        };
        SearchResult {
            paged_results_cookie: cookie,
            total_paged_results: clamp(total),
            remaining_paged_results: clamp(remaining),
        }
    }
}

/// Cuts objects down to the attributes that the caller asked for. `__NAME__` and `__UID__` always stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributesToGet(Option<Vec<String>>);

impl AttributesToGet {
    /// Everything an object has.
    pub const ALL: Self = Self(None);

    /// The wish of these options.
    pub fn read(options: &OperationOptions) -> Self {
        Self(options.attributes_to_get().map(|names| names.into_iter().map(str::to_owned).collect()))
    }

    /// Whether the caller wants this attribute. Names fold.
    pub fn wants(&self, name: &str) -> bool {
        let wanted = |names: &Vec<String>| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        name == NAME || name == UID || self.0.as_ref().is_none_or(wanted)
    }

    /// The object with the wanted attributes only.
    pub fn cut(&self, mut object: ConnectorObject) -> ConnectorObject {
        if self.0.is_some() {
            object.attributes.retain(|attribute| self.wants(&attribute.name));
        }
        object
    }
}

fn encode_cookie(delivered: usize) -> String {
    STANDARD.encode(delivered.to_string())
}

fn decode_cookie(cookie: &str) -> Result<usize, IcfError> {
    let text = STANDARD.decode(cookie).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        IcfError::new(
            ErrorClass::Connector,
            "the paged results cookie is not from this connector; begin the search again without a cookie",
        )
    })
}

fn clamp(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use rcs_proto::icf::{Attribute, ClassName, ConnectorObject, ObjectClass, OperationOptions, Value};

    use super::{AttributesToGet, Page};
    use crate::error::ErrorClass;

    fn options(entries: &[(&str, Value)]) -> OperationOptions {
        OperationOptions {
            case_insensitive: false,
            entries: entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        }
    }

    /// Page size, cookie, offset; objects delivered, next cookie, objects remaining.
    type PageCase = (Option<i32>, Option<&'static str>, Option<i32>, usize, Option<&'static str>, i32);

    /// Observed on the published connector with three rows.
    #[test]
    fn pages_and_cookies_are_the_published_connectors() {
        let cases: [PageCase; 13] = [
            (None, None, None, 3, Some("MA=="), 3),
            (Some(1), None, None, 1, Some("MQ=="), 2),
            (Some(2), None, None, 2, Some("Mg=="), 1),
            (Some(2), Some("Mg=="), None, 1, None, 0),
            (Some(2), Some("MQ=="), None, 2, Some("Mw=="), 0),
            (Some(2), Some("Mw=="), None, 0, None, 0),
            (None, Some("Mg=="), None, 1, Some("MA=="), 3),
            (Some(2), None, Some(1), 2, Some("Mw=="), 0),
            (Some(2), None, Some(5), 0, None, 0),
            (Some(2), Some("Mg=="), Some(1), 1, None, 0),
            (Some(0), None, None, 3, Some("MA=="), 3),
            (Some(100), None, None, 3, None, 0),
            (Some(2), Some(""), None, 2, Some("Mg=="), 1),
        ];
        for (size, cookie, offset, delivered, next, remaining) in cases {
            let mut entries = Vec::new();
            entries.extend(size.map(|size| ("PAGE_SIZE", Value::Integer(size))));
            entries.extend(cookie.map(|cookie| ("PAGED_RESULTS_COOKIE", Value::String(cookie.into()))));
            entries.extend(offset.map(|offset| ("PAGED_RESULTS_OFFSET", Value::Integer(offset))));
            let page = Page::read(&options(&entries)).unwrap();
            let result = page.result(3);
            let context = format!("{size:?} {cookie:?} {offset:?}");
            assert_eq!(page.range(3).len(), delivered, "{context}");
            assert_eq!(result.paged_results_cookie.as_deref(), next, "{context}");
            assert_eq!(
                (result.total_paged_results, result.remaining_paged_results),
                (3, remaining),
                "{context}"
            );
        }
    }

    #[test]
    fn a_foreign_cookie_is_a_connector_exception() {
        for cookie in ["zzzz", "!!", "LTE=", "n1:5"] {
            let error =
                Page::read(&options(&[("PAGED_RESULTS_COOKIE", Value::String(cookie.into()))])).unwrap_err();
            assert_eq!(error.class, ErrorClass::Connector, "{cookie}");
        }
    }

    #[test]
    fn name_and_uid_stay_whatever_is_asked_for() {
        let object = ConnectorObject {
            object_class: ObjectClass(ObjectClass::ACCOUNT.to_owned()),
            attributes: ["__NAME__", "__UID__", "email", "uid"]
                .map(|name| Attribute::text(name, "x"))
                .to_vec(),
        };
        let asked = |names: &[&str]| {
            let names = names.iter().map(|name| Value::String((*name).into())).collect();
            let wish = AttributesToGet::read(&options(&[(
                "ATTRS_TO_GET",
                Value::Array(ClassName { name: "String".into(), dimensions: 1 }, names),
            )]));
            wish.cut(object.clone()).attributes.into_iter().map(|found| found.name).collect::<Vec<_>>()
        };
        assert_eq!(asked(&["EMAIL", "nosuch"]), ["__NAME__", "__UID__", "email"]);
        assert_eq!(asked(&[]), ["__NAME__", "__UID__"]);
        assert_eq!(AttributesToGet::ALL.cut(object.clone()).attributes.len(), 4);
    }
}
