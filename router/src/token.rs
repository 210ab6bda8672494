//! The operators' token, which API requests must carry to change anything.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rcs_proto::icf::Secret;
use subtle::ConstantTimeEq;

use crate::access::read_bounded;

/// The variable that holds the token where no file is named.
pub(crate) const TOKEN_VARIABLE: &str = "RCS_ROUTER_TOKEN";

/// The token.
#[derive(Clone)]
pub(crate) struct Token(Secret<String>);

/// Why there is no usable token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file or the variable has no valid token.
    #[error(
        "{place} has no valid token: write 1 to 4,096 visible ASCII characters without spaces, on one line"
    )]
    Unusable {
        /// The file or the variable.
        place: String,
    },
}

impl Token {
    /// Reads the token from the first line of the file, or from [`TOKEN_VARIABLE`] if no file is named; none if the variable is
    /// empty or not set.
    ///
    /// # Errors
    /// [`TokenError`]
    pub(crate) fn load(file: Option<&Path>) -> Result<Option<Self>, TokenError> {
        let (place, text) = match file {
            Some(path) => {
                let text = read_bounded(path)
                    .map_err(|source| TokenError::Unreadable { path: path.to_owned(), source })?;
                (path.display().to_string(), text)
            }
            None => match std::env::var_os(TOKEN_VARIABLE).filter(|value| !value.is_empty()) {
                Some(value) => (TOKEN_VARIABLE.to_owned(), value.into_encoded_bytes()),
                None => return Ok(None),
            },
        };
        Self::parse(&text).map(Some).ok_or(TokenError::Unusable { place })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(text).ok()?.lines().next()?;
        let is_usable = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_graphic());
        is_usable.then(|| Self(Secret::new(line.to_owned())))
    }

    /// Whether `given` is this token. The comparison takes equally long for wrong and right tokens.
    pub(crate) fn is(&self, given: &str) -> bool {
        self.0.expose().as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// The value of an `Authorization` header.
    pub(crate) fn header(&self) -> Secret<String> {
        Secret::new(format!("Bearer {}", self.0.expose()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Token {
    pub(crate) fn of(text: &str) -> Self {
        Self::parse(text.as_bytes()).expect("a usable token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_of_visible_ascii() {
        for (text, usable) in [
            ("abc", true),
            ("abc\n", true),
            ("abc\r\nmore", true),
            ("", false),
            ("\nabc", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(Token::parse(text.as_bytes()).is_some(), usable, "{text:?}");
        }
        let token = Token::of("abc");
        assert!(token.is("abc") && !token.is("abd") && !token.is("abcd") && !token.is(""));
        assert!(!format!("{token:?}").contains("abc"), "P9");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(Token::load(Some(&path)), Err(TokenError::Unreadable { .. })));
        std::fs::write(&path, "two words\n").unwrap();
        let error = Token::load(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("token") && !error.contains("two words"), "{error}");
    }
}
