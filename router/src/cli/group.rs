//! `rcs-router group`: makes groups of a name, an algorithm and members; lists, shows and deletes them.

use clap::{Args, Subcommand, ValueEnum};
use rcs_cli::Failure;
use serde_json::{Value, json};

use super::asked::{Asked, tell};
use super::client::{Method, segment};
use super::output::{Shown, Width, columns, list, text};
use super::wish::{Wish, WishError};

/// Create, replace, list, show and delete groups.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a group: a name, an algorithm, and members in the order of priority.
    Create(Create),
    /// List the groups.
    List(Shown),
    /// Show one group.
    Show {
        /// The group's name.
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Delete a group. Members that no group lists then are groups of their own.
    Delete {
        /// The group's name.
        name: String,
        #[command(flatten)]
        wish: Wish,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// The group's name.
    name: String,
    /// How calls are spread.
    #[arg(long, value_enum)]
    algorithm: Algorithm,
    /// A member. Repeat the option for each member, or separate the names by commas.
    #[arg(long = "member", value_name = "NAME", required = true, value_delimiter = ',')]
    members: Vec<String>,
    /// Replace the group of this name, if there is one.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    wish: Wish,
}

/// The algorithms by IDM's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// The first member that is available, in list order.
    Failover,
    /// The available members in turn.
    #[value(name = "roundrobin")]
    RoundRobin,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asked = &arguments.asked;
    let outcome = match &arguments.command {
        Command::Create(create) => make(create, asked),
        Command::List(shown) => {
            let rows = |found: &Value, width: Width| Ok(rows(list(found)?, width));
            asked.text("/v1/groups").and_then(|found| shown.format.show(found, rows)).map_err(Into::into)
        }
        Command::Show { name, shown } => {
            let row = |found: &Value, width: Width| Ok(rows(std::slice::from_ref(found), width));
            asked.text(&path(name)).and_then(|found| shown.format.show(found, row)).map_err(Into::into)
        }
        Command::Delete { name, wish } => wish.send(asked, Method::Delete, &path(name), &[], &[]),
    };
    tell(outcome, WishError::exit)
}

fn path(name: &str) -> String {
    format!("/v1/groups/{}", segment(name))
}

fn make(create: &Create, asked: &Asked) -> Result<String, WishError> {
    let Create { name, algorithm, members, replace, wish } = create;
    let algorithm = match algorithm {
        Algorithm::Failover => "failover",
        Algorithm::RoundRobin => "roundrobin",
    };
    let body = json!({ "algorithm": algorithm, "servers": members }).to_string();
    let new_only = [("If-None-Match", "*".to_owned())];
    let headers = if *replace { &[][..] } else { &new_only };
    wish.send(asked, Method::Put, &path(name), headers, body.as_bytes())
}

/// Servers that the narrow form has no room for are cut.
fn rows(groups: &[Value], width: Width) -> String {
    let cells = groups.iter().map(|group| {
        let servers: Vec<&str> =
            group["servers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let count = servers.len().to_string();
        [text(group, "name"), text(group, "algorithm"), servers.join(" "), count]
    });
    columns(width, 3, ["GROUP", "ALGORITHM", "SERVERS", "COUNT"], cells)
}
