//! The command line: `rcs-node serve`, `set-key`, `hash-key`, `check`, `doctor`, `agent`.

mod agent;
mod check;
mod doctor;
mod plan;
mod serve;
mod set_key;
mod token;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rcs_cli::file::{self, FileError, SecretFile};
use rcs_cli::{EXIT_CODES, Exit, Failure};
use rcs_proto::icf::Secret;

use crate::config::{ConfigError, Examined, NodeConfig, Override};
use crate::limits::{KEY_FILE_BYTES, PROPERTIES_BYTES};

/// Runs the program with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match rcs_cli::parse::<Cli>(arguments) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    rcs_cli::end("rcs-node", || match cli.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::SetKey(arguments) => set_key::run(&arguments),
        Command::HashKey(arguments) => set_key::hash(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Agent(arguments) => agent::run(&arguments),
    })
}

/// A remote connector server: runs connectors for identity management systems.
#[derive(Debug, Parser)]
#[command(name = "rcs-node", version, after_help = format!("{EXIT_CODES}\n{}\n{LOG}", rcs_cli::doctor::EXIT_CODES))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The line below the exit codes in the help.
const LOG: &str = "The log goes to standard error; RCS_LOG sets its level (error, warn, info, debug, trace).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen, or dial if the file has connectorserver.url, and serve until SIGTERM, SIGINT, or `q` on the terminal.
    Serve(ServeArgs),
    /// Set the shared key that callers must send, in the properties file.
    SetKey(SetKeyArgs),
    /// Print the hash of a key, the value of connectorserver.key, and change no file.
    HashKey(HashKeyArgs),
    /// Check a properties file: show what `serve` would do with it, and report its errors.
    Check(CheckArgs),
    /// Find out what does not work, from this machine: read the properties, compare them with IDM's document, and try each URL, or the port. Prints
    /// one line for each finding, with what to do. Changes nothing.
    Doctor(doctor::DoctorArgs),
    /// Run beside a connector server (this one or the Java one) and report the files of its connectors to routers.
    Agent(agent::AgentArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The ConnectorServer.properties file.
    #[arg(long, value_name = "FILE")]
    properties: PathBuf,
    #[command(flatten)]
    settings: SettingArgs,
    /// Name of this server in its log.
    #[arg(long, value_name = "NAME", env = "RCS_NODE_MEMBER")]
    member: Option<String>,
    /// Let csvFile be in this folder or below it only. Repeat the option for each folder. Default: any folder.
    #[arg(long, value_name = "DIR")]
    csv_folder: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct SettingArgs {
    /// Set a property; overrides the file. Example: `-D connectorserver.port=0`.
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    overrides: Vec<Override>,
    /// Development mode: allow the default key `changeit`.
    #[arg(long)]
    dev: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The ConnectorServer.properties file.
    #[arg(value_name = "FILE")]
    properties: PathBuf,
    #[command(flatten)]
    settings: SettingArgs,
}

#[derive(Debug, Args)]
struct SetKeyArgs {
    /// The ConnectorServer.properties file.
    #[arg(value_name = "FILE")]
    properties: PathBuf,
    /// Read the key from the first line of this file. Default: read the key from the terminal or standard input.
    #[arg(long, value_name = "KEYFILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct HashKeyArgs {
    /// Read the key from the first line of this file. Default: read the key from the terminal or standard input.
    #[arg(long, value_name = "KEYFILE")]
    key_file: Option<PathBuf>,
}

/// All reasons why a file cannot be served, in the order in which they were found.
#[derive(Debug, Default)]
struct Faults(Vec<(Exit, String)>);

impl Faults {
    fn add(&mut self, exit: Exit, sentence: impl Into<String>) {
        self.0.push((exit, sentence.into()));
    }

    /// Every sentence on a line of its own. The exit code is that of an invalid file if anything in the file is invalid.
    fn into_failure(self) -> Option<Failure> {
        let is_bad = self.0.iter().any(|(exit, _)| *exit == Exit::BadData);
        let exit = if is_bad { Exit::BadData } else { self.0.first()?.0 };
        Some(exit.with(self.0.into_iter().map(|(_, sentence)| sentence).collect::<Vec<_>>().join("\n")))
    }
}

const EXPOSED: &str = "the file holds a secret, and every user of this machine can read it; take that permission away with `chmod o-r FILE`";

/// Reads a configuration and its file. If the file has faults and still says enough, the configuration is returned with the faults.
fn load(path: &Path, overrides: &[Override]) -> Result<(Option<NodeConfig>, Faults), Failure> {
    let file = read(path)?;
    let Examined { mut config, syntax, problems } = NodeConfig::examine(&file.bytes, path, overrides);
    if let Some(config) = &mut config {
        // The notice is shown after the path of the file.
        config.notices.extend(file.warning.map(|_| EXPOSED.to_owned()));
    }
    let sentences = syntax.iter().map(ToString::to_string).chain(problems.iter().map(ToString::to_string));
    let faults =
        sentences.map(|sentence| (Exit::BadData, format!("{}: {sentence}", path.display()))).collect();
    Ok((config, Faults(faults)))
}

fn bad_file(path: &Path, error: &ConfigError) -> Failure {
    let lines: Vec<String> =
        error.to_string().lines().map(|line| format!("{}: {line}", path.display())).collect();
    Exit::BadData.with(lines.join("\n"))
}

/// Reads a properties file. The file holds the hash of the key, and passwords of stores.
fn read(path: &Path) -> Result<SecretFile, Failure> {
    file::read_secret(path, PROPERTIES_BYTES)
        .map_err(|error| Exit::BadData.with(format!("{} cannot be read: {error}", path.display())))
}

/// The key on the first line of a file, without a byte order mark; and a warning if others can read the file.
fn key_in(path: &Path) -> Result<(Secret<String>, Option<String>), FileError> {
    let file = file::read_secret(path, KEY_FILE_BYTES)?;
    let text = file.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&file.bytes);
    Ok((set_key::first_line(text)?, file.warning))
}
