//! Who may call: one shared key, as with a stock connector server, which accepts any user name with the right key (WIRE 1.1).
//! By default nobody may call (P12, A09).

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_proto::driver::accept::{Authorization, Refusal, RefusalStatus};
use rcs_proto::icf::Secret;
use subtle::ConstantTimeEq;

use crate::limits::KEY_FILE_BYTES_MAX;

/// The key that every connector server is delivered with.
const DEFAULT_KEY: &str = "changeit";
/// Keys that everybody knows; accepted only in development.
const KNOWN_KEYS: [&str; 2] = [DEFAULT_KEY, "openidm-admin"];

/// Whether well-known keys are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Well-known keys are refused.
    Production,
    /// `--dev`: well-known keys are accepted.
    Development,
}

/// Judges callers' credentials.
#[derive(Clone)]
pub(crate) struct Access {
    key: Secret<String>,
}

/// Whether everybody knows this key.
pub(crate) fn is_known_key(key: &str) -> bool {
    KNOWN_KEYS.contains(&key)
}

/// Why there is no usable key.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// None was given.
    #[error(
        "no key for callers: write one into a file and name it with --caller-key-file (or RCS_ROUTER_CALLER_KEY_FILE), \
         or start with --dev, which accepts the well-known key \"{DEFAULT_KEY}\""
    )]
    NoKey,
    /// The file cannot be read.
    #[error("the key file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The first line of the file is not a usable key.
    #[error("the key file {path} cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do; never contains the key.
        reason: &'static str,
    },
}

impl Access {
    /// Reads the callers' key.
    pub(crate) fn load(key_file: Option<&Path>, mode: Mode) -> Result<Self, AccessError> {
        let key = match (key_file, mode) {
            (Some(path), mode) => read_key(path, mode)?,
            (None, Mode::Development) => DEFAULT_KEY.to_owned(),
            (None, Mode::Production) => return Err(AccessError::NoKey),
        };
        Ok(Self { key: Secret::new(key) })
    }

    /// The principal of a caller that has the key.
    pub(crate) fn judge(&self, authorization: &Authorization) -> Result<Arc<str>, Refusal> {
        let Authorization::Basic(credentials) = authorization else {
            return Err(Refusal::new(
                RefusalStatus::Unauthorized,
                "credentials are missing: send Authorization: Basic with a principal and the router's caller key",
            ));
        };
        let (given, wanted) = (credentials.secret.expose().as_bytes(), self.key.expose().as_bytes());
        if bool::from(given.ct_eq(wanted)) {
            return Ok(credentials.principal.as_str().into());
        }
        Err(Refusal::new(
            RefusalStatus::Forbidden,
            "wrong key: compare the key of the remote connector server in IDM with the router's caller key",
        ))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

/// The start of a file with a secret in its first line.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(KEY_FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

fn read_key(path: &Path, mode: Mode) -> Result<String, AccessError> {
    let unusable = |reason| AccessError::Unusable { path: path.to_owned(), reason };
    let text =
        read_bounded(path).map_err(|source| AccessError::Unreadable { path: path.to_owned(), source })?;
    let text =
        String::from_utf8(text).map_err(|_| unusable("the file is not UTF-8 text: save it as UTF-8"))?;
    let key = text.lines().next().unwrap_or_default();
    if key.is_empty() {
        return Err(unusable("its first line is empty: write the key on the first line"));
    }
    if key.chars().any(|c| u32::from(c) > 0xFF || c.is_control()) {
        return Err(unusable("the key has characters that Basic credentials cannot carry: use ISO-8859-1"));
    }
    if mode == Mode::Production && is_known_key(key) {
        return Err(unusable("everybody knows this default key: choose another key, or start with --dev"));
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rcs_proto::driver::accept::Credentials;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn basic(principal: &str, key: &str) -> Authorization {
        let (principal, secret) = (principal.to_owned(), Secret::new(key.to_owned()));
        Authorization::Basic(Credentials { principal, secret })
    }

    /// P12, A09
    #[test]
    fn well_known_keys_are_refused_outside_development() {
        for key in KNOWN_KEYS {
            let file = file(key);
            let error = Access::load(Some(file.path()), Mode::Production).unwrap_err();
            assert!(matches!(error, AccessError::Unusable { .. }), "{key}");
            assert!(!error.to_string().contains(key), "P9: {error}");
            assert!(Access::load(Some(file.path()), Mode::Development).is_ok(), "{key}");
        }
        assert!(matches!(Access::load(None, Mode::Production), Err(AccessError::NoKey)));
    }

    #[test]
    fn the_first_line_is_the_key() {
        let file = file("s3cr\u{e9}t\r\nsecond\n");
        let access = Access::load(Some(file.path()), Mode::Production).unwrap();
        assert_eq!(&*access.judge(&basic("idm", "s3cr\u{e9}t")).unwrap(), "idm");
        for wrong in ["", "s3cr", "s3cr\u{e9}t\r", "changeit", "second"] {
            let refusal = access.judge(&basic("idm", wrong)).unwrap_err();
            assert_eq!(refusal.status, RefusalStatus::Forbidden, "{wrong:?}");
        }
        for none in [Authorization::Absent, Authorization::Unusable] {
            assert_eq!(access.judge(&none).unwrap_err().status, RefusalStatus::Unauthorized);
        }
        assert!(!format!("{access:?}").contains("s3cr"));
    }

    #[test]
    fn a_key_no_caller_could_send_is_refused() {
        for text in ["", "\nkey", "k\u{20ac}y", "k\u{0}y"] {
            let file = file(text);
            let error = Access::load(Some(file.path()), Mode::Development);
            assert!(matches!(error, Err(AccessError::Unusable { .. })), "{text:?}");
        }
    }
}
