//! `rcs-router apply`, `diff` and `export`: all members and groups as one document.

use std::io::Read as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rcs_cli::Failure;
use rcs_cli::file::read_bounded;
use rcs_core::limits::PROVIDER_DOCUMENT_BYTES_MAX;

use super::asked::{Asked, parsed, tell};
use super::client::Method;
use super::output::Shown;
use super::wish::{Wish, WishError, show};

/// Put a provider document in force: all members and groups, instead of those that are there. A key that is encrypted, missing or a
/// placeholder stays as it was.
#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    file: Document,
    #[command(flatten)]
    wish: Wish,
}

/// Show what differs between a provider document and what is in force: exit code 0 if nothing differs, 1 if something does.
#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    file: Document,
    #[command(flatten)]
    shown: Shown,
}

/// Print the members and groups that are in force as IDM's provider document, with placeholders in place of keys.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    asked: Asked,
    /// Print the keys of members in clear. This needs the token.
    #[arg(long)]
    with_keys: bool,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// The format of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// IDM's document.
    #[default]
    Json,
}

#[derive(Debug, Args)]
struct Document {
    /// IDM's provisioner.openicf.connectorinfoprovider document; - is standard input.
    #[arg(long, short = 'f', value_name = "FILE")]
    file: PathBuf,
}

impl Document {
    fn name(&self) -> String {
        self.file.display().to_string()
    }

    fn read(&self) -> Result<Vec<u8>, WishError> {
        let failed = |reason: String| WishError::File { path: self.name(), reason };
        if self.file.as_os_str() != "-" {
            return read_bounded(&self.file, PROVIDER_DOCUMENT_BYTES_MAX)
                .map_err(|error| failed(error.to_string()));
        }
        let mut text = Vec::new();
        let max = PROVIDER_DOCUMENT_BYTES_MAX as u64 + 1;
        std::io::stdin()
            .lock()
            .take(max)
            .read_to_end(&mut text)
            .map_err(|error| failed(error.to_string()))?;
        Ok(text)
    }
}

pub(super) fn apply(arguments: &Apply) -> Result<(), Failure> {
    let Apply { asked, file, wish } = arguments;
    let send = |text: Vec<u8>| wish.send(asked, Method::Post, "/v1/apply", &[], &text);
    tell(file.read().and_then(send), WishError::exit)
}

pub(super) fn diff(arguments: &Diff) -> Result<(), Failure> {
    tell(compare(arguments), WishError::exit)
}

fn compare(arguments: &Diff) -> Result<String, WishError> {
    let Diff { asked, file, shown } = arguments;
    let answer = asked.send(Method::Post, "/v1/apply?dry_run=true", &[], &file.read()?)?;
    let found = parsed(&answer)?;
    let shown = shown.format.show(answer, |found, _| Ok(show(found)))?;
    if found["result"] == "unchanged" {
        return Ok(shown);
    }
    rcs_cli::say(shown.trim_end());
    Err(WishError::Differs(file.name()))
}

pub(super) fn export(arguments: &Export) -> Result<(), Failure> {
    let Export { asked, with_keys, output: Format::Json } = arguments;
    let text = match with_keys {
        false => asked.text("/v1/export"),
        true => asked.changed_text("/v1/export").map(|text| text.trim_end().to_owned()),
    };
    tell(text.map_err(WishError::from), WishError::exit)
}
