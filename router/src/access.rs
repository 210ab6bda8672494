//! Who may call: one shared key, as with a stock connector server, which accepts any user name with the right key (WIRE 1.1).
//! By default nobody may call (P12, A09).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcs_core::ids::MemberId;
use rcs_core::view::{Link, View};
use rcs_proto::driver::accept::{Authorization, Refusal, RefusalStatus};

use crate::secrets::{self, Accepted, Followed, SecretsError};

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

/// What a connection is. The credential alone decides this, never the direction or the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It sends calls.
    Caller {
        /// The principal that it proved.
        principal: Arc<str>,
    },
    /// It is a member in client mode, and gets calls.
    Member(MemberId),
}

/// Judges the credentials of connections. Each clone sees changes of the key file.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    keys: Accepted,
    mode: Mode,
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
    /// The file is not usable.
    #[error("the key file {path} {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do; never contains the key.
        source: SecretsError,
    },
}

impl Access {
    /// Reads the callers' keys: the file's first line, and its second line while one key replaces the other. With the file comes what
    /// follows its changes.
    ///
    /// # Errors
    /// [`AccessError`]
    pub(crate) fn open(key_file: Option<&Path>, mode: Mode) -> Result<(Self, Option<Followed>), AccessError> {
        let Some(path) = key_file else {
            return match mode {
                Mode::Development => Ok((Self { keys: Accepted::fixed(DEFAULT_KEY.to_owned()), mode }, None)),
                Mode::Production => Err(AccessError::NoKey),
            };
        };
        let judge = match mode {
            Mode::Development => judge_any,
            Mode::Production => judge_secret,
        };
        let opened = secrets::open(path, judge);
        let (keys, file) = opened.map_err(|source| AccessError::File { path: path.to_owned(), source })?;
        Ok((Self { keys, mode }, Some(file)))
    }

    /// What a connection with this credential is. In development the key is one for all, and a principal that is the name of a member in
    /// client mode makes the connection that member (the contract of `--dev`).
    pub(crate) fn judge(&self, authorization: &Authorization, view: &View) -> Result<Role, Refusal> {
        let Authorization::Basic(credentials) = authorization else {
            return Err(Refusal::new(
                RefusalStatus::Unauthorized,
                "credentials are missing: send Authorization: Basic with a principal and the router's caller key",
            ));
        };
        if self.keys.has(credentials.secret.expose()) {
            let in_client_mode = view
                .member_named(&credentials.principal)
                .filter(|member| self.mode == Mode::Development && member.spec.link == Link::Accept);
            return Ok(match in_client_mode {
                Some(member) => Role::Member(member.id),
                None => Role::Caller { principal: credentials.principal.as_str().into() },
            });
        }
        Err(Refusal::new(
            RefusalStatus::Forbidden,
            "wrong key: compare the key of the remote connector server in IDM with the router's caller key",
        ))
    }
}

/// Whether a line can be a key at all.
pub(crate) fn judge_any(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("is empty: write the key on the first line");
    }
    if key.chars().any(|c| u32::from(c) > 0xFF || c.is_control()) {
        return Err("has characters that Basic credentials cannot carry: use ISO-8859-1");
    }
    Ok(())
}

/// Whether a line can be a key in production.
fn judge_secret(key: &str) -> Result<(), &'static str> {
    judge_any(key)?;
    match is_known_key(key) {
        true => Err("is a default key that everybody knows: choose another key, or start with --dev"),
        false => Ok(()),
    }
}

#[cfg(test)]
impl Access {
    pub(crate) fn load(key_file: Option<&Path>, mode: Mode) -> Result<Self, AccessError> {
        Self::open(key_file, mode).map(|(access, _)| access)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rcs_proto::driver::accept::Credentials;
    use rcs_proto::icf::Secret;

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
            assert!(matches!(error, AccessError::File { .. }), "{key}");
            assert!(!error.to_string().contains(key), "P9: {error}");
            assert!(Access::load(Some(file.path()), Mode::Development).is_ok(), "{key}");
        }
        assert!(matches!(Access::load(None, Mode::Production), Err(AccessError::NoKey)));
    }

    #[test]
    fn the_first_two_lines_are_keys() {
        let file = file("s3cr\u{e9}t\r\nsecond\n");
        let access = Access::load(Some(file.path()), Mode::Production).unwrap();
        let judge = |authorization: &Authorization| access.judge(authorization, &View::default());
        let idm = Role::Caller { principal: "idm".into() };
        assert_eq!(judge(&basic("idm", "s3cr\u{e9}t")).unwrap(), idm);
        for wrong in ["", "s3cr", "s3cr\u{e9}t\r", "changeit", "secon"] {
            let refusal = judge(&basic("idm", wrong)).unwrap_err();
            assert_eq!(refusal.status, RefusalStatus::Forbidden, "{wrong:?}");
        }
        assert!(judge(&basic("idm", "second")).is_ok(), "while one key replaces the other, both are valid");
        for none in [Authorization::Absent, Authorization::Unusable] {
            assert_eq!(judge(&none).unwrap_err().status, RefusalStatus::Unauthorized);
        }
        assert!(!format!("{access:?}").contains("s3cr"));
    }

    #[test]
    fn a_key_no_caller_could_send_is_refused() {
        for text in ["", "\nkey", "k\u{20ac}y", "k\u{0}y"] {
            let file = file(text);
            let error = Access::load(Some(file.path()), Mode::Development);
            assert!(matches!(error, Err(AccessError::File { .. })), "{text:?}");
        }
    }
}
