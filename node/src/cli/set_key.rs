//! `rcs-node set-key`: the only way to change `connectorserver.key` (P36, N05). `rcs-node hash-key` prints what it would write.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rcs_cli::{Exit, Failure};
use rcs_proto::icf::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tempfile::NamedTempFile;

use super::{HashKeyArgs, SetKeyArgs, key_in, read};
use crate::config::PREFIX;
use crate::key::{DEFAULT_KEY_TEXT, SharedKey};
use crate::limits::KEY_BYTES;
use crate::properties::{self, Change};

pub(super) fn run(arguments: &SetKeyArgs) -> Result<(), Failure> {
    // Through a link the file itself is meant; the link stays.
    let path = arguments.properties.canonicalize();
    let path = path.map_err(|error| {
        Exit::BadData.with(format!("{} cannot be read: {error}", arguments.properties.display()))
    })?;
    let file = read(&path)?;
    let key = new_key(arguments.key_file.as_deref())?;
    let property = format!("{PREFIX}key");
    let hash = SharedKey::of_text(key.expose()).to_base64();
    let (changed, change) = properties::set(&file.bytes, &property, &hash)
        .map_err(|error| Exit::BadData.with(format!("{}: {error}", path.display())))?;
    replace(&path, &changed)
        .map_err(|error| Exit::Unavailable.with(format!("{} cannot be written: {error}", path.display())))?;
    let place = match change {
        Change::Replaced { line } => format!("line {line} of"),
        Change::Added => "a new line at the end of".to_owned(),
    };
    rcs_cli::say(format_args!(
        "The key has been set in {place} {}; restart a running server to use the new key.",
        path.display()
    ));
    Ok(())
}

/// For files that are made elsewhere, such as a ConfigMap: the hash alone, on standard output.
pub(super) fn hash(arguments: &HashKeyArgs) -> Result<(), Failure> {
    let key = new_key(arguments.key_file.as_deref())?;
    rcs_cli::say(SharedKey::of_text(key.expose()).to_base64());
    Ok(())
}

/// The new key, checked: callers can send it, and it is not the default key.
fn new_key(file: Option<&Path>) -> Result<Secret<String>, Failure> {
    let stdin = io::stdin();
    let text = match file {
        Some(path) => {
            let read = key_in(path).map_err(|error| (path.display().to_string(), error.to_string()));
            read.map(|(key, warning)| {
                if let Some(warning) = warning {
                    rcs_cli::tell(format_args!("rcs-node: {warning}"));
                }
                key
            })
        }
        None if stdin.is_terminal() => {
            prompt_twice().map_err(|error| ("the terminal".to_owned(), error.to_string()))
        }
        None => first_line(stdin).map_err(|error| ("standard input".to_owned(), error.to_string())),
    };
    let key = text.map_err(|(source, error)| {
        Exit::BadData.with(format!("the key cannot be read from {source}: {error}"))
    })?;
    let fault = if key.expose().is_empty() {
        "the key is empty; write a key"
    } else if key.expose() == DEFAULT_KEY_TEXT {
        "the key must not be the default key, which everybody knows; choose another one"
    } else if key.expose().chars().any(|character| character.is_control() || u32::from(character) > 0xff) {
        "the key has a character that callers cannot send; use ISO-8859-1 characters"
    } else {
        return Ok(key);
    };
    Err(Exit::BadData.with(fault))
}

pub(super) fn first_line(source: impl io::Read) -> io::Result<Secret<String>> {
    let mut bytes = Vec::new();
    io::BufReader::new(source.take(KEY_BYTES + 1)).read_until(b'\n', &mut bytes)?;
    if bytes.len() as u64 > KEY_BYTES {
        return Err(io::Error::other(format!("the key is longer than {KEY_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("the key is not UTF-8 text"))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn prompt_twice() -> io::Result<Secret<String>> {
    let _quiet = Quiet::start()?;
    let mut answers = Vec::new();
    for question in ["New key: ", "\nAgain: "] {
        rcs_cli::tell_part(question);
        answers.push(first_line(io::stdin())?);
    }
    rcs_cli::tell("");
    match <[Secret<String>; 2]>::try_from(answers) {
        Ok([one, other]) if one == other => Ok(one),
        _ => Err(io::Error::other("the two keys differ; run the command again")),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The terminal was there a moment ago; if it is gone, there is nothing to show either.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Puts a new file in the old one's place: whoever reads sees the one or the other, with the old owner and rights.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = std::fs::metadata(path)?;
    let folder = path.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    let mut new = NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    let made = new.as_file().metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
    }
    new.as_file().set_permissions(old.permissions())?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    File::open(folder)?.sync_all()
}
