//! `rcs-router cluster`: makes the certificates of a cluster, shows and changes its routers, backs its state up and brings it back.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use rcs_cli::{Exit, Failure};
use rcs_consensus::pki::{Authority, Existing, PkiError};
use rcs_consensus::store::StoreError;
use serde_json::Value;

use super::asked::{AskError, Asked, hint, tell};
use super::client::segment;
use super::output::{Shown, Width, columns, text};
use crate::cluster::{NOWHERE, Peers, Rebuild, RebuildError, rebuild};
use crate::limits::{CATCH_UP_MAX, CERTIFICATE_DAYS, CLIENT_LOOK_EVERY};

/// Make, show, change, back up and recover a cluster of routers.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the cluster's authority and a certificate for each router. Run again with the same directory to add routers or to renew
    /// certificates.
    Init(Init),
    /// Show the routers, the leader, and how far the log is.
    Status(Show),
    /// Add a router that was started with --join, and give it a vote once it has caught up.
    Add(Added),
    /// Give a learner a vote.
    Promote(Known),
    /// Take a router out of the cluster.
    Remove(Known),
    /// Put a router with an empty disk in the place of the router that had its number.
    Replace(Added),
    /// Write the cluster's state to a file. The file holds the keys of members.
    Backup {
        /// The file, which must not exist.
        file: PathBuf,
    },
    /// Make the data directory of a router out of a backup: of a router that stands alone, or of the first router of a cluster.
    Restore(Restore),
    /// Make a cluster of one router out of what this router has, after the majority of its cluster is lost for good. No router of the
    /// old cluster may be started again. What only the lost routers had is lost.
    Recover(Recover),
}

#[derive(Debug, Args)]
struct Init {
    /// The routers, as NUMBER=HOST:PORT, separated by commas.
    #[arg(long, value_name = "LIST")]
    peers: Peers,
    /// The directory for the files. Give each router ca.pem and its own two files; keep ca.key away from the routers.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A name for people, which stands in the certificates.
    #[arg(long, value_name = "NAME", default_value = "rcs-router")]
    name: String,
    /// How long the routers' certificates are valid, in days.
    #[arg(long, value_name = "DAYS", default_value_t = CERTIFICATE_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    shown: Shown,
    /// Show all that any router acknowledged before now, or fail if no majority can be reached. Without this option: what the router that
    /// is asked knows.
    #[arg(long)]
    consistent: bool,
}

impl Show {
    fn path(&self) -> &'static str {
        if self.consistent { "/v1/cluster?consistent=true" } else { "/v1/cluster" }
    }
}

#[derive(Debug, Args)]
struct Added {
    /// The router, as NUMBER=HOST:PORT.
    #[arg(value_name = "NUMBER=HOST:PORT")]
    router: Peers,
    /// Leave the router without a vote.
    #[arg(long)]
    learner: bool,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
struct Known {
    /// The router's number.
    number: u32,
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
struct Stored {
    /// The router's data directory. The router must not run.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The router, as NUMBER=HOST:PORT of its cluster address.
    #[arg(long, value_name = "NUMBER=HOST:PORT")]
    router: Peers,
}

#[derive(Debug, Args)]
struct Restore {
    /// The router's data directory, which must be empty.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The router, as NUMBER=HOST:PORT of its cluster address. Leave this option and --cluster-certs out for a router that stands alone.
    #[arg(long, value_name = "NUMBER=HOST:PORT", requires = "cluster_certs")]
    router: Option<Peers>,
    /// The router's cluster certificates, as serve has them; they name the cluster.
    #[arg(long, value_name = "DIR", requires = "router")]
    cluster_certs: Option<PathBuf>,
    /// The backup.
    file: PathBuf,
}

#[derive(Debug, Args)]
struct Recover {
    #[command(flatten)]
    stored: Stored,
    /// Confirm that the majority of the routers is gone for good.
    #[arg(long, required = true)]
    from_this_router: bool,
}

/// The number of a router that stands alone, as `serve` has it without `--id`.
const ALONE: u32 = 1;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum ClusterCommandError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Certificates(#[from] PkiError),
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0} exists: choose another name, as a backup is never overwritten")]
    Exists(PathBuf),
    #[error("name one router, as NUMBER=HOST:PORT")]
    OneRouter,
    #[error(
        "router {number} has not caught up within {seconds} s and has no vote yet: {why}. Look at `rcs-router cluster status`, then run \
         `rcs-router cluster promote {number}`"
    )]
    NotCaughtUp { number: u32, seconds: u64, why: String },
}

impl Known {
    fn change(&self, asked: &Asked, word: &str) -> Result<String, ClusterCommandError> {
        Ok(self.shown.format.show(change(asked, self.number, word, None)?, show)?)
    }
}

impl ClusterCommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Ask(error) => error.exit(),
            Self::OneRouter => Exit::Usage,
            Self::NotCaughtUp { .. } => Exit::Unavailable,
            Self::Rebuild(RebuildError::Store(StoreError::InUse(_))) => Exit::Unavailable,
            Self::Certificates(_) | Self::Rebuild(_) | Self::File { .. } | Self::Exists(_) => Exit::BadData,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asked = &arguments.asked;
    let outcome = match &arguments.command {
        Command::Init(init) => make(init),
        Command::Status(look) => {
            asked.text(look.path()).and_then(|found| look.shown.format.show(found, show)).map_err(Into::into)
        }
        Command::Add(added) => add(asked, added, "add"),
        Command::Replace(added) => add(asked, added, "replace"),
        Command::Promote(known) => known.change(asked, "promote"),
        Command::Remove(known) => known.change(asked, "remove"),
        Command::Backup { file } => backup(asked, file),
        Command::Restore(restore) => restore.run(),
        Command::Recover(Recover { stored, .. }) => recover(stored),
    };
    tell(outcome, ClusterCommandError::exit)
}

fn make(init: &Init) -> Result<String, ClusterCommandError> {
    let is_made = init.dir.join("ca.key").exists();
    let authority = if is_made { Authority::load(&init.dir)? } else { Authority::init(&init.name)? };
    if !is_made {
        authority.write(&init.dir)?;
    }
    let valid_for = Duration::from_secs(u64::from(init.days) * 86_400);
    for (number, address) in &init.peers.0 {
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        authority.issue(*number, &[host], valid_for)?.write(&init.dir, Existing::Replace)?;
    }
    let numbers: Vec<String> = init.peers.0.keys().map(ToString::to_string).collect();
    let dir = init.dir.display();
    Ok(format!(
        "cluster {}: certificates of router {} are in {dir}\n\
         Give each router ca.pem, router-N.pem and router-N.key. Keep ca.key in a safe place: whoever has it can add routers.",
        authority.cluster(),
        numbers.join(", ")
    ))
}

fn change(
    asked: &Asked,
    number: u32,
    change: &str,
    address: Option<&str>,
) -> Result<String, ClusterCommandError> {
    let query = address.map(|address| format!("?address={}", segment(address))).unwrap_or_default();
    Ok(asked.changed_text(&format!("/v1/cluster/routers/{number}/{change}{query}"))?)
}

fn one(router: &Peers) -> Result<(u32, &str), ClusterCommandError> {
    let mut all = router.0.iter();
    match (all.next(), all.next()) {
        (Some((number, address)), None) => Ok((*number, address)),
        _ => Err(ClusterCommandError::OneRouter),
    }
}

fn add(asked: &Asked, added: &Added, word: &str) -> Result<String, ClusterCommandError> {
    let (number, address) = one(&added.router)?;
    let found = change(asked, number, word, Some(address))?;
    let format = added.shown.format;
    if added.learner {
        return Ok(format.show(found, show)?);
    }
    let until = Instant::now() + CATCH_UP_MAX;
    let mut said = false;
    loop {
        let why = match change(asked, number, "promote", None) {
            Ok(found) => return Ok(format.show(found, show)?),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= until {
            return Err(ClusterCommandError::NotCaughtUp { number, seconds: CATCH_UP_MAX.as_secs(), why });
        }
        if !said {
            hint(&format!("router {number} catches up with the log; waiting"));
            said = true;
        }
        sleep(CLIENT_LOOK_EVERY);
    }
}

fn backup(asked: &Asked, file: &Path) -> Result<String, ClusterCommandError> {
    if file.exists() {
        return Err(ClusterCommandError::Exists(file.to_owned()));
    }
    let state = asked.changed_text("/v1/cluster/backup")?;
    let failed = |source| ClusterCommandError::File { path: file.to_owned(), source };
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.write(true).create_new(true).open(file).map_err(failed)?;
    std::io::Write::write_all(&mut out, state.as_bytes()).map_err(failed)?;
    out.sync_all().map_err(failed)?;
    Ok(format!(
        "{} bytes in {}. The file holds the keys of members: keep it as safe as the provider file",
        state.len(),
        file.display()
    ))
}

impl Restore {
    fn run(&self) -> Result<String, ClusterCommandError> {
        let Self { data_dir, router, cluster_certs, file } = self;
        let failed = |source| ClusterCommandError::File { path: file.clone(), source };
        let backup = fs::read(file).map_err(failed)?;
        let from = Rebuild::Backup { certificates: cluster_certs.as_deref(), backup: &backup };
        let data = data_dir.display();
        let Some(router) = router else {
            rebuild(data_dir, ALONE, NOWHERE, &from)?;
            return Ok(format!(
                "{data} holds the state of the backup: start the router with its options of before"
            ));
        };
        let (number, address) = one(router)?;
        rebuild(data_dir, number, address, &from)?;
        Ok(format!(
            "{data} holds a cluster of router {number} with the state of the backup: start the router, and add others"
        ))
    }
}

fn recover(stored: &Stored) -> Result<String, ClusterCommandError> {
    let (number, address) = one(&stored.router)?;
    let rebuilt = rebuild(&stored.data_dir, number, address, &Rebuild::OwnLog)?;
    Ok(format!(
        "router {number} is a cluster of its own now, with the log up to entry {}; of {} entries this router did not know whether they \
         were decided, and they are in force. Changes that only the lost routers had are lost. Start the router, and add others with \
         empty data directories",
        rebuilt.index, rebuilt.undecided
    ))
}

fn show(found: &Value, width: Width) -> Result<String, AskError> {
    let leader = match &found["leader"] {
        Value::Null => "no leader: nothing can be changed, and calls go on".to_owned(),
        leader => format!("router {leader} leads"),
    };
    let down = found["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let sentence = format!(
        "router {} is {}{down}; {leader}, term {}, revision {}, entry {} of {} applied",
        text(found, "id"),
        text(found, "role"),
        text(found, "term"),
        text(found, "revision"),
        text(found, "applied"),
        text(found, "last_log"),
    );
    let warnings = found["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let warnings: String = warnings.map(|warning| format!("warning: {warning}\n")).collect();
    let rows = found["routers"].as_array().map_or(&[][..], Vec::as_slice);
    let keys = ["id", "role", "address", "replicated", "certificate_until", "incarnation"];
    let cells = rows.iter().map(|row| keys.map(|key| text(row, key))).map(|mut cells| {
        // The day will do.
        cells[4].truncate(10);
        cells
    });
    let titles = ["ROUTER", "ROLE", "ADDRESS", "HAS ENTRY", "CERTIFICATE UNTIL", "INCARNATION"];
    Ok(format!("{sentence}\n{warnings}{}", columns(width, 5, titles, cells)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_is_a_sentence_and_a_line_for_each_router() {
        let found = json!({
            "id": 2, "role": "follower", "leader": 1, "term": 3, "revision": 7, "applied": 40, "last_log": 41, "warnings": ["half made"],
            "routers": [
                {"id": 1, "role": "leader", "address": "a:1", "incarnation": "00000001", "certificate_until": "2027-11-30T08:00:00Z"},
                {"id": 2, "role": "voter", "address": "b:1", "incarnation": "00000002", "replicated": 40},
            ],
        });
        assert_eq!(
            show(&found, Width::Wide).unwrap(),
            "router 2 is follower; router 1 leads, term 3, revision 7, entry 40 of 41 applied\n\
             warning: half made\n\
             ROUTER  ROLE    ADDRESS  HAS ENTRY  CERTIFICATE UNTIL  INCARNATION\n\
             1       leader  a:1      -          2027-11-30         00000001\n\
             2       voter   b:1      40         -                  00000002"
        );
        let lost = json!({"id": 2, "role": "down", "reason": "the disk is full", "leader": null});
        assert!(
            show(&lost, Width::Narrow)
                .unwrap()
                .starts_with("router 2 is down (the disk is full); no leader: nothing can be changed")
        );
    }
}
