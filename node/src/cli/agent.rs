//! `rcs-node agent`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rcs_cli::log::{self, Format};
use rcs_cli::{Exit, Failure};
use rcs_proto::manifest::{FileManifest, ProofKey, ReportedSet, listing};
use rustls::ClientConfig;

use super::serve::{Stop, keep_keys_to_itself};
use super::{bad_file, key_in, read};
use crate::agent::{self, AGENT_NAME, Depth, Identity, ReportFault, Roots, RouterUrl, Scanner};
use crate::config::{Beside, Override};
use crate::key::{DEFAULT_KEY_TEXT, SharedKey};
use crate::limits::{
    AGENT_INTERVAL, AGENT_INTERVAL_MAX, AGENT_INTERVAL_MIN, AGENT_ROUTERS_MAX, THREADS_LINGER,
};
use crate::tls;

#[derive(Debug, Args)]
pub(super) struct AgentArgs {
    /// The ConnectorServer.properties file of the connector server.
    #[arg(long, value_name = "FILE")]
    properties: PathBuf,
    /// Set a property; overrides the file. Give the same -D options as at the start of the server itself.
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    overrides: Vec<Override>,
    /// The admin address of a router, http://HOST:PORT or https://HOST:PORT. Repeat the option for each router.
    #[arg(long, value_name = "URL")]
    report: Vec<RouterUrl>,
    /// The certificates that routers at https://HOST:PORT show, or those of the authorities that signed them (PEM). Without this option the
    /// authorities of the system are trusted.
    #[arg(long, value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// The name of this server in the routers' provider file. Default: connectorServerName of the properties file.
    #[arg(long, value_name = "NAME", env = "RCS_NODE_MEMBER")]
    member: Option<String>,
    /// Interval of heartbeats and of full scans, 1s to 1h. Changes are reported at once where the file system supports inotify.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = interval)]
    interval: Duration,
    /// Scan and report once, then exit. Without --report, print the manifest.
    #[arg(long)]
    once: bool,
    /// Read the key that the server shares with its router from the first line of this file. Default: use the key's hash in the
    /// properties file.
    #[arg(long, value_name = "KEYFILE")]
    key_file: Option<PathBuf>,
}

pub(super) fn run(arguments: &AgentArgs) -> Result<(), Failure> {
    if arguments.report.is_empty() && !arguments.once {
        return Err(Exit::Usage
            .with("give the routers' admin addresses with --report URL, or print the manifest with --once"));
    }
    if arguments.report.len() > AGENT_ROUTERS_MAX {
        return Err(Exit::Usage.with(format!("--report may be given at most {AGENT_ROUTERS_MAX} times")));
    }
    log::start(Format::Text)?;
    keep_keys_to_itself();
    let file = read(&arguments.properties)?;
    let beside = Beside::read(&file.bytes, &arguments.properties, &arguments.overrides)
        .map_err(|error| bad_file(&arguments.properties, &error))?;
    if let Some(warning) = &file.warning {
        tracing::warn!("{warning}");
    }
    let member = arguments.member.clone().or(beside.server_name);
    tracing::info!(bundles = %beside.bundle_dir.display(), lib = %beside.lib_dir.display(), "the agent watches these folders");
    let roots = Roots { bundles: beside.bundle_dir, lib: beside.lib_dir };
    if arguments.report.is_empty() {
        rcs_cli::say(listing(&scan(roots)?, member.as_deref(), AGENT_NAME));
        return Ok(());
    }
    let member = member.ok_or_else(|| {
        Exit::Usage.with("--member NAME is needed: the properties file has no connectorServerName, and a report must name its member")
    })?;
    let hash = match &arguments.key_file {
        Some(file) => key_hash(file)?,
        None => beside.key_hash.expose().clone(),
    };
    if hash == SharedKey::of_text(DEFAULT_KEY_TEXT).to_base64() {
        tracing::warn!(
            "the key is the default key, changeit: anybody could report in this server's name; set another key"
        );
    }
    let identity = Identity { member, key: ProofKey::of_stored_hash(&hash) };
    let tls = tls_of(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Internal.with(format!("the runtime cannot be started: {error}")))?;
    let done = runtime.block_on(async {
        if arguments.once {
            once(roots, &identity, &arguments.report, tls.as_ref()).await
        } else {
            keep(roots, identity, arguments, tls).await
        }
    });
    // A file system that does not answer must not keep the process.
    runtime.shutdown_timeout(THREADS_LINGER);
    done
}

/// The TLS for the routers that speak TLS; none if none of them does.
fn tls_of(arguments: &AgentArgs) -> Result<Option<Arc<ClientConfig>>, Failure> {
    if !arguments.report.iter().any(RouterUrl::has_tls) {
        return Ok(None);
    }
    let config = tls::to_routers(arguments.server_ca.as_deref());
    config.map(Some).map_err(|why| Exit::BadData.with(why))
}

fn scan(roots: Roots) -> Result<FileManifest, Failure> {
    let scan = Scanner::new(roots).scan(Depth::Everything);
    for root in scan.missing {
        tracing::warn!("{root}: the folder does not exist; it is reported as empty");
    }
    scan.outcome.map_err(|troubles| {
        let lines: Vec<String> = troubles.iter().map(ToString::to_string).collect();
        Exit::BadData.with(lines.join("\n"))
    })
}

/// Reports to every router, even if another router refused the report.
async fn once(
    roots: Roots,
    identity: &Identity,
    routers: &[RouterUrl],
    tls: Option<&Arc<ClientConfig>>,
) -> Result<(), Failure> {
    let manifest = scan(roots)?;
    let mut done = Ok(());
    for router in routers {
        match agent::report(router, tls, identity, ReportedSet::Whole(manifest.clone())).await {
            Ok(()) => rcs_cli::say(format_args!("{router} has the manifest {}", manifest.digest())),
            Err(fault) => {
                let exit = match fault {
                    ReportFault::Unreachable(_) => Exit::Unavailable,
                    _ => Exit::BadData,
                };
                done = done.and(Err(exit.with(format!("{router}: {fault}"))));
            }
        }
    }
    done
}

async fn keep(
    roots: Roots,
    identity: Identity,
    arguments: &AgentArgs,
    tls: Option<Arc<ClientConfig>>,
) -> Result<(), Failure> {
    let mut stop = Stop::listen()
        .map_err(|error| Exit::Internal.with(format!("signal handlers cannot be installed: {error}")))?;
    let setup = agent::Setup {
        roots,
        identity,
        routers: arguments.report.clone(),
        tls,
        interval: arguments.interval,
    };
    tokio::select! {
        ended = agent::run(setup) => ended.map_err(|error| Exit::Internal.with(format!("the agent cannot go on: {error}"))),
        why = stop.wait() => {
            tracing::info!("{why}: the agent stops");
            Ok(())
        }
    }
}

/// The hash of the key in a file.
fn key_hash(path: &Path) -> Result<String, Failure> {
    let (key, warning) = key_in(path).map_err(|error| {
        Exit::BadData.with(format!("the key cannot be read from {}: {error}", path.display()))
    })?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    if key.expose().is_empty() {
        return Err(Exit::BadData
            .with(format!("{} has no key on its first line: write the key there", path.display())));
    }
    Ok(SharedKey::of_text(key.expose()).to_base64())
}

/// `30s`, `5m`; seconds without a unit.
fn interval(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        _ => 0,
    };
    let time =
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds)).map(Duration::from_secs);
    time.filter(|time| (AGENT_INTERVAL_MIN..=AGENT_INTERVAL_MAX).contains(time)).ok_or_else(|| {
        let [min, max, usual] =
            [AGENT_INTERVAL_MIN, AGENT_INTERVAL_MAX, AGENT_INTERVAL].map(|time| time.as_secs());
        format!("expected a time from {min}s to {max}s, for example {usual}s or 5m")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units_and_bounds() {
        for (text, seconds) in [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("7", Some(7)),
            ("3600s", Some(3600)),
            ("0s", None),
            ("3601s", None),
            ("1h", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("99999999999999999999m", None),
        ] {
            assert_eq!(interval(text).ok().map(|time| time.as_secs()), seconds, "{text}");
        }
    }
}
