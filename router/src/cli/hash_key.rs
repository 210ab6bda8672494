//! `rcs-router hash-key`: the hash of a key, for the file of credentials.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use clap::Args;
use clap::builder::FalseyValueParser;
use rcs_cli::file::read_secret;
use rcs_cli::{Exit, Failure};

use super::asked::hint;
use crate::access::{Hash, judge_any, judge_secret};
use crate::limits::KEY_FILE_BYTES_MAX;

/// Print the hash of a key, for the file of credentials (serve --credentials). The key is the first line of standard input or of a file. It is
/// never an argument, because every user of the machine can read the arguments of a process.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// File whose first line is the key, instead of standard input.
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// Accept well-known keys, as serve --dev does.
    #[arg(long, env = "RCS_ROUTER_DEV", value_parser = FalseyValueParser::new())]
    dev: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let bytes = match &arguments.file {
        Some(path) => {
            let file = read_secret(path, KEY_FILE_BYTES_MAX);
            let file = file.map_err(|error| {
                Exit::BadData.with(format!("the key file {} cannot be read: {error}", path.display()))
            })?;
            file.bytes
        }
        None => standard_input()?.into(),
    };
    let unusable = |why: &str| Exit::BadData.with(format!("the key cannot be used: {why}"));
    let text = str::from_utf8(&bytes).map_err(|_| unusable("it is not UTF-8 text: save it as UTF-8"))?;
    let key = text.strip_prefix('\u{feff}').unwrap_or(text).lines().next().unwrap_or_default();
    let judge = if arguments.dev { judge_any } else { judge_secret };
    judge(key).map_err(|why| unusable(&format!("it {why}")))?;
    let mut salt = [0; 16];
    let drawn = SystemRandom::new().fill(&mut salt);
    drawn.map_err(|_| {
        Exit::Internal.with("the operating system has no random numbers: repeat the command later")
    })?;
    rcs_cli::say(Hash::of(key, salt).text());
    Ok(())
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        hint("write the key and press Enter, then CTRL+D; better, pipe the key from a file or a program");
    }
    let mut bytes = Vec::new();
    let read = input.lock().take(KEY_FILE_BYTES_MAX as u64).read_to_end(&mut bytes);
    read.map_err(|error| Exit::BadData.with(format!("standard input cannot be read: {error}")))?;
    Ok(bytes)
}
