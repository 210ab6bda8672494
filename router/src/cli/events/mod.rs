//! `rcs-router events`: what changed, and with `--follow` what changes.

mod follow;
mod lines;

use clap::Args;
use rcs_cli::{Exit, Failure};
use serde_json::Value;
use tokio_rustls::TlsConnector;

use self::follow::{Follower, Lost, Source};
use self::lines::Event;
use super::asked::SERVER_VARIABLE;
use super::client::Server;
use super::output::{Output, Shown, text, yaml};
use super::secured::Secured;
use crate::shutdown::Signals;

/// Show what changed: what the routers agreed on, and what a router saw of members, groups and the leader.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The router's admin address. Repeat the option, or separate addresses by commas, for further routers of the cluster: if one cannot be
    /// reached, the next one is asked.
    #[arg(
        long = "server",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8760",
        env = SERVER_VARIABLE,
        help_heading = "Router"
    )]
    servers: Vec<Server>,
    #[command(flatten)]
    secured: Secured,
    /// Go on with what changes from now on, until Ctrl-C. If a router is lost, the command goes on at the next one, and misses no agreed
    /// change.
    #[arg(long, short)]
    follow: bool,
    /// Begin after the event of this id, as -o json shows it, or after this revision. Without it, all remembered events are shown, or with
    /// --follow none.
    #[arg(long, value_name = "ID")]
    since: Option<String>,
    /// Only what concerns this group and its members, or the cluster as a whole. The name of a server that belongs to no group will do too.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// With json each event is an object on a line, with yaml a document.
    #[command(flatten)]
    shown: Shown,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let system = |error: std::io::Error| Exit::Internal.with(format!("cannot start: {error}"));
    // The one worker prints, and may be blocked by whoever reads the output. Signals are handled beside it.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(system)?;
    let (follow, output) = (arguments.follow, arguments.shown.format);
    let follower =
        Follower::new(sources(arguments)?, arguments.since.clone(), arguments.group.clone(), follow);
    let outcome = runtime.block_on(async move {
        let mut signals = Signals::listen().map_err(system)?;
        let show = move |event: &Event| {
            show(event, output, follow);
            rcs_cli::is_heard()
        };
        tokio::select! {
            ended = tokio::spawn(follower.run(show)) => match ended {
                Ok(outcome) => outcome.map_err(|lost: Lost| lost.exit().with(lost.to_string())),
                Err(error) => Err(Exit::Internal.with(error.to_string())),
            },
            () = signals.next() => Ok(()),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// The routers, each with what it takes to ask it.
fn sources(arguments: &Arguments) -> Result<Vec<Source>, Failure> {
    let secured = &arguments.secured;
    let header = match secured.token() {
        Ok(token) => token.map(|token| token.header()),
        Err(error) => return Err(Exit::BadData.with(error.to_string())),
    };
    let source = |server: &Server| {
        let tls = secured.tls(server).map_err(|error| error.exit().with(error.to_string()))?;
        Ok(Source { server: server.clone(), tls: tls.map(TlsConnector::from), header: header.clone() })
    };
    arguments.servers.iter().map(source).collect()
}

/// Prints an event.
fn show(event: &Event, output: Output, follow: bool) {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    match output {
        Output::Json => rcs_cli::say(whole(event, &data)),
        Output::Yaml => match yaml(&whole(event, &data)) {
            Ok(text) => rcs_cli::say(format_args!("---\n{text}")),
            Err(error) => rcs_cli::tell(error),
        },
        // Who sends the events, and why they end, matters only while they come.
        Output::Table | Output::Wide if ["start", "end"].contains(&event.kind.as_str()) && !follow => {}
        Output::Table => rcs_cli::say(row(&event.kind, &data)),
        Output::Wide => rcs_cli::say(format_args!("{:<24}  {}", event.id, row(&event.kind, &data))),
    }
}

fn whole(event: &Event, data: &Value) -> Value {
    serde_json::json!({ "id": event.id, "event": event.kind, "data": data })
}

/// An event as a line with columns, which cannot be measured before all lines are there.
fn row(kind: &str, data: &Value) -> String {
    let mut line = format!("{:<20}  {kind:<10}  {}", text(data, "at"), text(data, "line"));
    if kind == "change" {
        let [revision, who, from] = ["revision", "who", "from"].map(|key| text(data, key));
        line.push_str(&format!(" (revision {revision}, {who}"));
        if !from.is_empty() {
            line.push_str(&format!(" from {from}"));
        }
        line.push(')');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let change = serde_json::json!({
            "at": "2026-11-29T20:01:36Z", "revision": 17, "who": "api token", "from": "10.0.0.7",
            "line": "mark member n1 as draining"
        });
        assert_eq!(
            row("change", &change),
            "2026-11-29T20:01:36Z  change      mark member n1 as draining (revision 17, api token from 10.0.0.7)"
        );
        let member = serde_json::json!({ "at": "2026-11-29T20:01:37Z", "line": "member n1 is drained" });
        assert_eq!(row("member", &member), "2026-11-29T20:01:37Z  member      member n1 is drained");
    }
}
