//! What the commands `load` and `compare` are given, and how its texts are read.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// `rcs-bench load`
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// Address of the target, for example `ws://127.0.0.1:8759/openicf`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) caller: CallerArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Open loop: start this many calls per second, however fast the target responds.
    #[arg(long, value_name = "CALLS_PER_SECOND", conflicts_with = "concurrency", value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Closed loop: this many callers, each with one call at a time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: u32,
    /// How long to measure, for example `10s`, `500ms`, `2m`.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How long to run load before the measurement begins.
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub(crate) warmup: Duration,
    /// Print JSON on standard output, and the table on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `rcs-bench compare`
#[derive(Args)]
pub(crate) struct CompareArgs {
    /// The target itself.
    #[arg(long, value_name = "URL")]
    pub(crate) direct: String,
    /// The same target through a router.
    #[arg(long, value_name = "URL")]
    pub(crate) via: String,
    /// File with the key of `--via`, if it differs from the key of `--direct`.
    #[arg(long, value_name = "FILE")]
    pub(crate) via_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) caller: CallerArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Callers of the closed loop that measures throughput.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) concurrency: u32,
    /// Rounds; in each round both targets are measured once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// How long each target is measured in a round.
    #[arg(long, default_value = "3s", value_parser = duration)]
    pub(crate) turn: Duration,
    /// How long to run load before each measurement.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    pub(crate) warmup: Duration,
    /// Rate of the open loop that measures latency. Default: half of the lower of the two throughputs.
    #[arg(long, value_name = "CALLS_PER_SECOND", value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Fail (exit code 69) if the throughput through the router, divided by the direct throughput, is below this ratio.
    #[arg(long, value_name = "RATIO", value_parser = positive)]
    pub(crate) require_ratio: Option<f64>,
    /// Print JSON on standard output, and the table on standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to connect.
#[derive(Args)]
pub(crate) struct CallerArgs {
    /// Basic principal.
    #[arg(long, default_value = "anonymous")]
    pub(crate) principal: String,
    /// The shared key. Other users can see it in the process list: prefer `--key-file`, or the variable.
    #[arg(long, env = "RCS_BENCH_KEY", hide_env_values = true, conflicts_with = "key_file")]
    pub(crate) key: Option<String>,
    /// File with the shared key; a line end after the key is ignored.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// WebSocket connections to keep open; IDM has two.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) sockets: u32,
    /// PEM file with the certificates to trust; needed for `wss`.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Timeout of a call.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Limit of calls in flight in an open loop. At the limit calls start late, which their latency includes.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_outstanding: u32,
}

/// What to call.
#[derive(Args)]
pub(crate) struct WorkArgs {
    /// The operation.
    #[arg(long, value_enum, default_value_t = Op::Test)]
    pub(crate) op: Op,
    /// Name of the connector, or the end of its name; not needed if the target has only one connector.
    #[arg(long, value_name = "NAME")]
    pub(crate) connector: Option<String>,
    /// A configuration property; separate the values of an array by commas. File names refer to the target's host.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) properties: Vec<(String, String)>,
    /// Object class of the calls.
    #[arg(long, default_value = "__ACCOUNT__")]
    pub(crate) object_class: String,
    /// Uid for get and update, name for resolve and authenticate. May be repeated: the values are used in turn. Without this option,
    /// `get` reads the objects that a first search finds.
    #[arg(long = "uid", value_name = "UID")]
    pub(crate) uids: Vec<String>,
    /// An attribute for create and update.
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) attributes: Vec<(String, String)>,
    /// Leave the objects that `create` made. Without this option they are deleted at the end.
    #[arg(long)]
    pub(crate) keep: bool,
    /// File with the password for authenticate and create.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// The operations that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Op {
    /// Reach the resource.
    Test,
    /// Check the configuration.
    Validate,
    /// Read the schema.
    Schema,
    /// Read one object.
    Get,
    /// Read all objects.
    Search,
    /// Read all changes since the latest token that there was at the start.
    Sync,
    /// Read the latest sync token.
    Token,
    /// Create an object of a new name.
    Create,
    /// Replace attributes of an object.
    Update,
    /// Check a password.
    Authenticate,
    /// Find a uid by a name.
    Resolve,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is needed")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `10s`, `500ms`, `2m`; at most a day.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| "a number with ms, s or m is needed, e.g. 10s".to_owned())?;
    let length = match unit {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err("the unit must be ms, s or m".to_owned()),
    };
    if length > Duration::from_secs(86_400) { Err("a day is the most".to_owned()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, expected) in [
            ("10s", Some(Duration::from_secs(10))),
            ("500ms", Some(Duration::from_millis(500))),
            ("2m", Some(Duration::from_secs(120))),
            ("7", Some(Duration::from_secs(7))),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1h", None),
            ("999999999999m", None),
        ] {
            assert_eq!(duration(text).ok(), expected, "{text}");
        }
    }
}
