//! Files with a key or a token: one on each line, and two while one replaces the other. The router follows these files, so that a key can
//! be changed without a restart: write the new key below the old one, change the callers, remove the old key.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use rcs_cli::file::{FileError, SecretFile, read_secret};
use rcs_proto::icf::Secret;
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::watch;

use crate::limits::{KEY_FILE_BYTES_MAX, SECRETS_MAX};

/// The secrets that are valid now. Each clone sees changes of the file.
#[derive(Clone)]
pub(crate) struct Accepted(watch::Receiver<Vec<Secret<String>>>);

impl Accepted {
    /// A single secret that never changes.
    pub(crate) fn fixed(secret: String) -> Self {
        Self(watch::channel(vec![Secret::new(secret)]).1)
    }

    /// Whether `given` is one of the secrets. The comparison takes equally long for wrong and right secrets.
    pub(crate) fn has(&self, given: &str) -> bool {
        let given = given.as_bytes();
        let any = |found: Choice, secret: &Secret<String>| found | secret.expose().as_bytes().ct_eq(given);
        self.0.borrow().iter().fold(Choice::from(0), any).into()
    }

    /// The first secret.
    pub(crate) fn first(&self) -> Secret<String> {
        self.0.borrow().first().cloned().unwrap_or_else(|| Secret::new(String::new()))
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").finish_non_exhaustive()
    }
}

/// Why a file with secrets is not used. Never contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read, or its permissions are unsafe.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] FileError),
    /// A line of the file is not a usable secret.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// Judges one line. The reason says what is wrong and what to do, and never contains the line.
pub(crate) type Judge = fn(&str) -> Result<(), &'static str>;

/// What the last look at a file with secrets found, good or bad: its content, or why it cannot be read.
pub(crate) type Seen = Result<SecretFile, String>;

/// Whether a look found what the look before found: the same content, or the same reason why there is none.
pub(crate) fn is_unchanged(found: &Result<SecretFile, FileError>, seen: &Seen) -> bool {
    match (found, seen) {
        (Ok(found), Ok(seen)) => found.bytes == seen.bytes,
        (Err(found), Err(seen)) => found.to_string() == *seen,
        _ => false,
    }
}

/// A file with secrets that is followed.
pub(crate) struct Followed {
    path: PathBuf,
    judge: Judge,
    publish: watch::Sender<Vec<Secret<String>>>,
    seen: Seen,
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads a file of secrets. Returns its secrets, and the follower of the file.
///
/// # Errors
/// [`SecretsError`]
pub(crate) fn open(path: &Path, judge: Judge) -> Result<(Accepted, Followed), SecretsError> {
    let file = read_secret(path, KEY_FILE_BYTES_MAX)?;
    let (publish, accepted) = watch::channel(parse(&file.bytes, judge).map_err(SecretsError::Unusable)?);
    Ok((Accepted(accepted), Followed { path: path.to_owned(), judge, publish, seen: Ok(file) }))
}

impl Followed {
    /// Looks at the file. `None` if the file did not change. A bad file leaves the secrets as they are. The result is how many secrets are
    /// valid now.
    ///
    /// # Errors
    /// [`SecretsError`]
    pub(crate) fn look(&mut self) -> Option<Result<usize, SecretsError>> {
        let found = read_secret(&self.path, KEY_FILE_BYTES_MAX);
        if is_unchanged(&found, &self.seen) {
            return None;
        }
        Some(match found {
            Ok(file) => {
                let parsed = parse(&file.bytes, self.judge);
                self.seen = Ok(file);
                parsed.map_err(SecretsError::Unusable).map(|secrets| {
                    let count = secrets.len();
                    self.publish.send_replace(secrets);
                    count
                })
            }
            Err(error) => {
                self.seen = Err(error.to_string());
                Err(error.into())
            }
        })
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> impl Display + '_ {
        self.path.display()
    }

    /// A sentence if every user of the machine can read the file.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.seen.as_ref().ok()?.warning.as_deref()
    }
}

/// The secrets of a file. The first line must be a secret. Empty lines below the first line are ignored.
fn parse(bytes: &[u8], judge: Judge) -> Result<Vec<Secret<String>>, String> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text =
        str::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text: save it as UTF-8".to_owned())?;
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in std::iter::once(first).chain(lines.filter(|line| !line.is_empty())).enumerate() {
        if number >= SECRETS_MAX {
            return Err(format!(
                "it has more than {SECRETS_MAX} lines: write the new one and the old one, each on a line, and nothing else"
            ));
        }
        let place = if number == 0 { "its first line" } else { "its second line" };
        judge(line).map_err(|why| format!("{place} {why}"))?;
        found.push(Secret::new(line.to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn judge(line: &str) -> Result<(), &'static str> {
        if line.is_empty() { Err("is empty") } else { Ok(()) }
    }

    #[test]
    fn two_secrets_are_valid_while_one_replaces_the_other_and_a_bad_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "\u{feff}old-one\r\n").unwrap();
        let (accepted, mut file) = open(&path, judge).unwrap();
        assert!(accepted.has("old-one") && !accepted.has("new-one") && file.look().is_none());
        fs::write(&path, "old-one\n\nnew-one\n").unwrap();
        assert_eq!(file.look().unwrap().unwrap(), 2);
        assert!(
            accepted.has("old-one")
                && accepted.has("new-one")
                && !accepted.has("")
                && !accepted.has("old-on")
        );
        for (bad, part) in [("\nnew-one", "first line is empty"), ("a\nb\nc", "more than 2 lines")] {
            fs::write(&path, bad).unwrap();
            let error = file.look().unwrap().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("new-one"), "{error}");
            assert!(accepted.has("new-one") && file.look().is_none(), "told once, and nothing changes");
        }
        fs::remove_file(&path).unwrap();
        assert!(file.look().unwrap().is_err() && file.look().is_none() && accepted.has("new-one"));
        fs::write(&path, "new-one").unwrap();
        assert_eq!(file.look().unwrap().unwrap(), 1);
        assert!(accepted.has("new-one") && !accepted.has("old-one"));
        assert_eq!(accepted.first().expose(), "new-one");
        assert!(!format!("{accepted:?} {file:?}").contains("new-one"));
    }
}
