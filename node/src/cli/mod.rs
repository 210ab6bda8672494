//! The command line: `rcs-node serve`, `set-key`, `check`, `agent`.

mod agent;
mod check;
mod serve;
mod set_key;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rcs_cli::{EXIT_CODES, Exit, Failure};

use crate::config::{ConfigError, NodeConfig, Override};

/// Runs the program with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match rcs_cli::parse::<Cli>(arguments) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    rcs_cli::end("rcs-node", || match cli.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::SetKey(arguments) => set_key::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Agent(arguments) => agent::run(&arguments),
    })
}

/// A remote connector server: runs connectors for identity management systems.
#[derive(Debug, Parser)]
#[command(name = "rcs-node", version, after_help = format!("{EXIT_CODES}\n{LOG}"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The line below the exit codes in the help.
const LOG: &str = "The log goes to standard error; RCS_LOG sets its level (error, warn, info, debug, trace).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen and serve until SIGTERM, SIGINT, or `q` on the terminal.
    Serve(ServeArgs),
    /// Set the shared key that callers must send, in the properties file.
    SetKey(SetKeyArgs),
    /// Check a properties file: show what `serve` would do with it, and report its errors.
    Check(CheckArgs),
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

/// Reads a configuration and its file.
fn load(path: &Path, overrides: &[Override]) -> Result<NodeConfig, Failure> {
    let bytes = read(path)?;
    NodeConfig::read(&bytes, path, overrides).map_err(|error| bad_file(path, error))
}

fn bad_file(path: &Path, error: ConfigError) -> Failure {
    match error {
        ConfigError::Syntax(error) => Exit::BadData.with(format!("{}: {error}", path.display())),
        ConfigError::Problems(problems) => {
            let lines: Vec<String> =
                problems.iter().map(|problem| format!("{}: {problem}", path.display())).collect();
            Exit::BadData.with(lines.join("\n"))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Exit::BadData.with(format!("{} cannot be read: {error}", path.display())))
}
