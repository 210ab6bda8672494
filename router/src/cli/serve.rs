//! `rcs-router serve`

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use rcs_cli::{Exit, Failure};

use crate::app::{self, Mode, Options, SpillTo};
use crate::limits::THREADS_MAX;

const THREADS: RangeInclusive<i64> = 1..=THREADS_MAX as i64;

/// Route calls: take OpenICF connections, and spread their calls over the members of the provider document.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// IDM's provisioner.openicf.connectorinfoprovider document; changes of the file are followed.
    #[arg(long, value_name = "FILE")]
    provider: PathBuf,
    /// Where IDMs connect (ws://ADDR/openicf/GROUP, or ws://ADDR/openicf where the connector decides).
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8759")]
    listen: SocketAddr,
    /// Where /livez, /readyz, /metrics and the API are. Whoever reaches it may look; changes need the token.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8760")]
    admin: SocketAddr,
    /// File whose first line is the key that callers must have.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CALLER_KEY_FILE")]
    caller_key_file: Option<PathBuf>,
    /// File whose first line is the token that changes over the API must have; RCS_ROUTER_TOKEN may hold it instead. Without
    /// either, changes are possible only with --dev on a loopback address.
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// PEM certificates of the authorities behind members with useSSL; needed if there are any.
    #[arg(long, value_name = "FILE")]
    trust_store: Option<PathBuf>,
    /// Where what slow callers have not taken goes beyond what memory keeps, in files without names, encrypted; "none" for
    /// memory only. The system's directory for temporary files unless given.
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,
    /// Threads that move frames, half of the processors unless given.
    #[arg(long, value_name = "N", default_value_t = app::default_threads(), value_parser = clap::value_parser!(u16).range(THREADS))]
    threads: u16,
    /// Keep the state here. Not in this version.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Settings of the router and its groups (TOML, see router.toml.example); changes of the file are followed.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take well-known keys: callers get in with "changeit". Never in production.
    #[arg(long)]
    dev: bool,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.data_dir.is_some() {
        return Err(Exit::Usage.with(
            "--data-dir is not in this version. Leave it out: the state is in memory, and the provider file is followed.",
        ));
    }
    let options = Options {
        provider: arguments.provider,
        config: arguments.config,
        listen: arguments.listen,
        admin: arguments.admin,
        caller_key_file: arguments.caller_key_file,
        admin_token_file: arguments.admin_token_file,
        trust_store: arguments.trust_store,
        spill: match arguments.spill_dir {
            None => SpillTo::System,
            Some(directory) if directory.as_os_str() == "none" => SpillTo::Nowhere,
            Some(directory) => SpillTo::Directory(directory),
        },
        mode: if arguments.dev { Mode::Development } else { Mode::Production },
        threads: arguments.threads,
    };
    tracing::info!(
        "no --data-dir: the state is in memory, operators' marks included, and the provider file is followed"
    );
    if options.mode == Mode::Development && options.caller_key_file.is_none() {
        tracing::warn!("--dev: callers get in with the well-known key");
    }
    app::serve(&options).map_err(|error| Exit::from(&error).with(error.to_string()))
}
