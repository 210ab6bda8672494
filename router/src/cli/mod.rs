//! The command line: parses the arguments, runs the command, and returns the exit code.

mod answer;
mod asked;
mod audit;
mod bundles;
mod call;
mod check;
mod client;
mod cluster;
mod completion;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod events;
mod exit;
mod group;
mod hash_key;
mod member;
#[cfg(not(feature = "demo"))]
mod no_demo;
mod output;
mod provider;
mod quarantine;
mod secured;
mod serve;
mod server;
mod status;
mod tls;
mod token;
mod upgrade;
mod wish;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "demo")]
use crate::demo::{ChildArguments, run_child};

/// Routes OpenICF calls from identity systems to groups of remote connector servers.
#[derive(Debug, Parser)]
#[command(
    name = "rcs-router",
    version,
    after_help = format!("{}\n{}\n{}", rcs_cli::EXIT_CODES, status::EXIT_CODES, doctor::EXIT_CODES)
)]
struct Cli {
    /// Format of the log of `serve` on standard error: text for people, or json, one object a line. The variable RCS_LOG sets the level
    /// (default: info).
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "RCS_ROUTER_LOG_FORMAT",
        value_name = "FORMAT",
        hide_possible_values = true,
        help_heading = "Log"
    )]
    log_format: rcs_cli::log::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Arguments>),
    Check(check::Arguments),
    Doctor(doctor::Arguments),
    Member(member::Arguments),
    Group(group::Arguments),
    Apply(provider::Apply),
    Diff(provider::Diff),
    Export(provider::Export),
    Audit(audit::Arguments),
    Events(events::Arguments),
    Bundles(bundles::Arguments),
    Call(call::Arguments),
    Quarantine(quarantine::Arguments),
    Cluster(cluster::Arguments),
    Token(token::Arguments),
    HashKey(hash_key::Arguments),
    Status(status::Status),
    Version(status::Version),
    Upgrade(upgrade::Arguments),
    Completion(completion::Arguments),
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
    /// A process of the demo.
    #[cfg(feature = "demo")]
    #[command(hide = true)]
    DemoChild(ChildArguments),
    #[cfg(not(feature = "demo"))]
    #[command(hide = true)]
    Demo(no_demo::Arguments),
}

/// The whole program, with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match rcs_cli::parse::<Cli>(join_wait(arguments)) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let command = match cli.command {
        #[cfg(feature = "demo")]
        Command::DemoChild(arguments) => return run_child(arguments, run),
        command => command,
    };
    rcs_cli::end("rcs-router", || match command {
        Command::Serve(arguments) => {
            rcs_cli::log::start(cli.log_format)?;
            serve::run(*arguments)
        }
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Member(arguments) => member::run(&arguments),
        Command::Group(arguments) => group::run(&arguments),
        Command::Apply(arguments) => provider::apply(&arguments),
        Command::Diff(arguments) => provider::diff(&arguments),
        Command::Export(arguments) => provider::export(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Bundles(arguments) => bundles::run(&arguments),
        Command::Call(arguments) => call::run(&arguments),
        Command::Quarantine(arguments) => quarantine::run(&arguments),
        Command::Cluster(arguments) => cluster::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::HashKey(arguments) => hash_key::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Version(arguments) => status::version(&arguments),
        Command::Upgrade(arguments) => upgrade::run(&arguments),
        Command::Completion(arguments) => completion::run(&arguments),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments),
        // This command was handled above.
        #[cfg(feature = "demo")]
        Command::DemoChild(_) => Ok(()),
        #[cfg(not(feature = "demo"))]
        Command::Demo(_) => no_demo::run(),
    })
}

/// Writes `--wait 30` as `--wait=30`. The number is optional, so clap would read `30` as the next argument.
fn join_wait(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let is_number = |text: &OsString| {
        text.to_str().is_some_and(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        match joined.last_mut() {
            Some(last) if last == "--wait" && is_number(&argument) => {
                last.push("=");
                last.push(&argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_seconds_of_a_wait_may_stand_apart() {
        for (line, expected) in [
            ("member drain hr n1 --wait 30", "member drain hr n1 --wait=30"),
            ("member drain --wait=30 hr n1", "member drain --wait=30 hr n1"),
            ("member drain --wait hr n1", "member drain --wait hr n1"),
            ("member drain hr n1 --wait", "member drain hr n1 --wait"),
        ] {
            assert_eq!(
                join_wait(line.split(' ').map(OsString::from)).join(std::ffi::OsStr::new(" ")),
                expected
            );
        }
    }

    /// Every flag of the command line must have a variable too.
    #[test]
    fn every_flag_of_serve_has_its_variable() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").expect("the router serves");
        for flag in
            serve.get_arguments().filter_map(|argument| Some((argument.get_long()?, argument.get_env())))
        {
            let (name, variable) = flag;
            if name != "help" {
                let expected = format!("RCS_ROUTER_{}", name.to_uppercase().replace('-', "_"));
                assert_eq!(variable.and_then(|name| name.to_str()), Some(&*expected), "--{name}");
            }
        }
    }

    /// Whoever knows the formats of one command knows those of all.
    #[test]
    fn every_command_that_shows_a_state_has_the_same_formats() {
        // They run on this machine, or print a sentence, a file or a document of IDM.
        const OTHERS: [&str; 17] = [
            "hash-key",
            "serve",
            "check",
            "export",
            "version",
            "completion",
            "upgrade",
            "demo",
            "demo-child",
            "help",
            "init",
            "backup",
            "restore",
            "recover",
            "acknowledge",
            "release",
            "revoke",
        ];
        let mut command = Cli::command();
        command.build();
        let mut open = vec![&command];
        let mut seen = 0;
        while let Some(command) = open.pop() {
            if OTHERS.contains(&command.get_name()) {
                continue;
            }
            if command.has_subcommands() {
                open.extend(command.get_subcommands());
                continue;
            }
            let name = command.get_bin_name().unwrap_or_default();
            let output = command.get_arguments().find(|argument| argument.get_id() == "output");
            let output =
                output.or_else(|| command.get_arguments().find(|argument| argument.get_id() == "format"));
            let values = output.map(|output| output.get_possible_values()).unwrap_or_default();
            let values: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
            assert!(values.starts_with(&["table", "wide", "json", "yaml"]), "{name}: {values:?}");
            seen += 1;
        }
        assert!(seen > 20, "only {seen} commands");
    }

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }
}
