//! The operators' token, which API requests must carry to change anything.

use std::path::{Path, PathBuf};

use rcs_proto::icf::Secret;

use crate::secrets::{self, Accepted, Followed, SecretsError};

/// The variable that holds the token where no file is named.
pub(crate) const TOKEN_VARIABLE: &str = "RCS_ROUTER_TOKEN";

/// The token, or two while one replaces the other. Each clone sees changes of the token's file.
#[derive(Clone, Debug)]
pub(crate) struct Token(Accepted);

/// Why there is no usable token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file is not usable.
    #[error("the token file {path} {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do; never contains the token.
        source: SecretsError,
    },
    /// The variable has no valid token.
    #[error("{TOKEN_VARIABLE} has no valid token: it {0}")]
    Variable(&'static str),
}

impl Token {
    /// Reads the token from the first line of the file, or from [`TOKEN_VARIABLE`] if no file is named; none if the variable is
    /// empty or not set. With the file comes what follows its changes.
    ///
    /// # Errors
    /// [`TokenError`]
    pub(crate) fn open(file: Option<&Path>) -> Result<Option<(Self, Option<Followed>)>, TokenError> {
        if let Some(path) = file {
            let opened = secrets::open(path, judge);
            let (accepted, file) =
                opened.map_err(|source| TokenError::File { path: path.to_owned(), source })?;
            return Ok(Some((Self(accepted), Some(file))));
        }
        let Some(value) = std::env::var_os(TOKEN_VARIABLE).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let text = value.into_string().map_err(|_| TokenError::Variable(FORM))?;
        let line = text.lines().next().unwrap_or_default();
        judge(line).map_err(TokenError::Variable)?;
        Ok(Some((Self(Accepted::fixed(line.to_owned())), None)))
    }

    /// The token for a request to a router.
    ///
    /// # Errors
    /// [`TokenError`]
    pub(crate) fn load(file: Option<&Path>) -> Result<Option<Self>, TokenError> {
        Ok(Self::open(file)?.map(|(token, _)| token))
    }

    /// Whether `given` is this token. The comparison takes equally long for wrong and right tokens.
    pub(crate) fn is(&self, given: &str) -> bool {
        self.0.has(given)
    }

    /// The value of an `Authorization` header.
    pub(crate) fn header(&self) -> Secret<String> {
        Secret::new(format!("Bearer {}", self.0.first().expose()))
    }
}

const FORM: &str = "must be 1 to 4,096 visible ASCII characters without spaces";

fn judge(line: &str) -> Result<(), &'static str> {
    let is_usable = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_graphic());
    if is_usable { Ok(()) } else { Err(FORM) }
}

#[cfg(test)]
impl Token {
    pub(crate) fn of(text: &str) -> Self {
        Self(Accepted::fixed(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_of_visible_ascii() {
        for (text, usable) in [("abc", true), ("", false), ("a b", false), ("\u{e4}", false)] {
            assert_eq!(judge(text).is_ok(), usable, "{text:?}");
        }
        let token = Token::of("abc");
        assert!(token.is("abc") && !token.is("abd") && !token.is("abcd") && !token.is(""));
        assert!(!format!("{token:?}").contains("abc"), "P9");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(Token::load(Some(&path)), Err(TokenError::File { .. })));
        std::fs::write(&path, "two words\n").unwrap();
        let error = Token::load(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("token") && !error.contains("two words"), "{error}");
    }
}
