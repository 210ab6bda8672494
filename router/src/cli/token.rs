//! `rcs-router token`: makes, lists and revokes the cluster's tokens for the API.

use clap::{Args, Subcommand, ValueEnum};
use rcs_cli::Failure;
use serde_json::{Value, json};

use super::asked::{AskError, Asked, hint, parsed, tell};
use super::client::{Method, segment};
use super::output::{Output, Shown, Width, list, table, text};

/// Create, list and revoke API tokens. Every router of the cluster accepts them. Creating and revoking need the router's own token, or a
/// token with the role admin. For listing, the role operator is enough.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a token, and print its secret. The secret is stored nowhere, so this is the only time that it is shown.
    Create {
        /// The token's name, which stands in the audit log for whoever uses the token.
        name: String,
        /// What the token allows.
        #[arg(long, value_enum)]
        role: Role,
        /// In json and yaml the secret stands beside the name, in table and wide it is all that is printed.
        #[command(flatten)]
        shown: Shown,
    },
    /// List names and roles of the tokens.
    List(Shown),
    /// Revoke a token: every router refuses it from then on.
    Revoke {
        /// The token's name.
        name: String,
    },
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Read.
    Viewer,
    /// Read and change everything, except tokens and the cluster's routers.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asked = &arguments.asked;
    let outcome = match &arguments.command {
        Command::Create { name, role, shown } => create(asked, name, *role, shown.format),
        Command::List(shown) => tokens(asked, shown.format),
        Command::Revoke { name } => revoke(asked, name),
    };
    tell(outcome, AskError::exit)
}

fn create(asked: &Asked, name: &str, role: Role, output: Output) -> Result<String, AskError> {
    let body = json!({ "name": name, "role": role.word() }).to_string();
    let json = [("Content-Type", "application/json".to_owned())];
    let answer = asked.send(Method::Post, "/v1/tokens", &json, body.as_bytes())?;
    output.show(answer, |found, _| {
        let secret = found["token"].as_str().ok_or(AskError::NotUnderstood)?;
        hint(&format!(
            "the secret of token {name} ({}) is shown this once: keep it in a safe place",
            role.word()
        ));
        Ok(secret.to_owned())
    })
}

fn tokens(asked: &Asked, output: Output) -> Result<String, AskError> {
    output.show(asked.send(Method::Get, "/v1/tokens", &[], &[])?, rows)
}

fn rows(found: &Value, _: Width) -> Result<String, AskError> {
    let cells = list(found)?.iter().map(|row| ["name", "role"].map(|key| text(row, key)));
    Ok(table(["TOKEN", "ROLE"], cells))
}

fn revoke(asked: &Asked, name: &str) -> Result<String, AskError> {
    let answer = asked.send(Method::Delete, &format!("/v1/tokens/{}", segment(name)), &[], &[])?;
    Ok(format!("token {name} is revoked; revision {} is in force", text(&parsed(&answer)?, "revision")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_lines() {
        let found = json!([{"name": "ci", "role": "viewer"}, {"name": "ops", "role": "operator"}]);
        assert_eq!(rows(&found, Width::Narrow).unwrap(), "TOKEN  ROLE\nci     viewer\nops    operator");
    }
}
