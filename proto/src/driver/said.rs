//! What a request for a WebSocket says beside its path: headers and query parameters in which a peer may name itself.

use std::fmt;

use super::http;

/// Headers that hold secrets. They are never kept here.
const SECRET_HEADERS: [&str; 3] = ["Authorization", "Proxy-Authorization", "Cookie"];

/// The headers of a request, without those that hold secrets, and the request's query. `Debug` shows neither: proxies may add secrets of
/// their own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Said {
    headers: Vec<(String, Vec<u8>)>,
    query: String,
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said").field("headers", &self.headers.len()).finish_non_exhaustive()
    }
}

impl Said {
    /// What a request to this target says, with a query behind `?`.
    pub fn new<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>, target: &str) -> Self {
        let is_kept = |name: &str| !is_secret(name);
        let headers = headers.into_iter().filter(|(name, _)| is_kept(name));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        let query = target.split('#').next().and_then(|target| target.split_once('?'));
        Self { headers, query: query.map_or_else(String::new, |(_, query)| query.to_owned()) }
    }

    pub(super) fn of(headers: &[httparse::Header<'_>], target: &str) -> Self {
        Self::new(headers.iter().map(|header| (header.name, header.value)), target)
    }

    /// The values of the headers of this name; `None` for a value that is no UTF-8 text.
    pub fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = Option<String>> + 'a {
        let name = name.to_owned();
        let of_name = self.headers.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(&name));
        of_name.map(|(_, value)| std::str::from_utf8(value).ok().map(|text| text.trim().to_owned()))
    }

    /// The values of the query parameters of this name, their escapes resolved; `None` for a value that is no UTF-8 text.
    pub fn parameter<'a>(&'a self, name: &str) -> impl Iterator<Item = Option<String>> + 'a {
        let name = name.to_owned();
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let of_name = pairs.filter(move |(other, _)| form_text(other).as_deref() == Some(&name));
        of_name.map(|(_, value)| form_text(value))
    }
}

/// Whether the values of the headers of this name are secrets.
pub fn is_secret(header: &str) -> bool {
    SECRET_HEADERS.iter().any(|secret| secret.eq_ignore_ascii_case(header))
}

/// The text of a name or value of a query: `+` is a blank, `%41` is an `A`.
fn form_text(text: &str) -> Option<String> {
    String::from_utf8(http::unescaped(&text.replace('+', " "))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_headers_and_parameters_and_secrets_are_not_kept() {
        let headers: [(&str, &[u8]); 4] = [
            ("X-Name", b" onprem "),
            ("x-name", b"\xFF"),
            ("authorization", b"Basic s3cr3t"),
            ("Cookie", b"s3cr3t"),
        ];
        let said = Said::new(headers, "/openicf?a=1&name=on%20prem&name=b+c&na%6De=%FF&name#name=no");
        let all = |values: &mut dyn Iterator<Item = Option<String>>| values.collect::<Vec<_>>();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(all(&mut said.header("X-NAME")), [some("onprem"), None]);
        assert_eq!(all(&mut said.header("Authorization")), []);
        assert_eq!(all(&mut said.parameter("name")), [some("on prem"), some("b c"), None, some("")]);
        assert_eq!(all(&mut said.parameter("other")), []);
        assert!(!format!("{said:?}").contains("onprem"));
        let empty = Said::new([], "/openicf");
        assert_eq!(all(&mut empty.parameter("name")), []);
        assert_eq!(all(&mut Said::new([], "/openicf?%zz=1&name=%4").parameter("name")), [None]);
    }
}
