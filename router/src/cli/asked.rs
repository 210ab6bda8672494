//! What commands that send requests to a running router have in common.

use std::fmt;

use clap::Args;
use rcs_cli::{Exit, Failure};
use serde_json::Value;

use super::client::{Asking, ClientError, Method, Server, ask};
use super::secured::Secured;
use crate::token::TokenError;

/// The variable with the admin address to which commands send their requests.
pub(super) const SERVER_VARIABLE: &str = "RCS_ROUTER_SERVER";

/// The router to which requests are sent.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The router's admin address, http://HOST:PORT or https://HOST:PORT.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8760", env = SERVER_VARIABLE, global = true, help_heading = "Router")]
    server: Server,
    #[command(flatten)]
    secured: Secured,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(
        "the router's response is not understood: check that rcs-router and the router have the same version"
    )]
    NotUnderstood,
}

impl AskError {
    /// How the program ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::Token(_) => Exit::BadData,
            Self::NotUnderstood => Exit::Unavailable,
        }
    }
}

impl Asked {
    /// The response to a GET of this path, unchanged.
    pub(super) fn text(&self, path: &str) -> Result<String, AskError> {
        self.secured.look(&self.server, path)
    }

    /// The response to a GET of this path.
    pub(super) fn look(&self, path: &str) -> Result<Value, AskError> {
        parsed(&self.text(path)?)
    }

    /// Sends a change, with the token if there is one; returns the state after the change.
    pub(super) fn change(&self, path: &str) -> Result<Value, AskError> {
        parsed(&self.changed_text(path)?)
    }

    /// The same; returns the response unchanged.
    pub(super) fn changed_text(&self, path: &str) -> Result<String, AskError> {
        self.send(Method::Post, path, &[], &[])
    }

    /// Sends a request with the token, headers and a body; returns the response unchanged.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Result<String, AskError> {
        let token = self.secured.token()?;
        let asking = Asking { method, path, token: token.as_ref(), headers, body };
        Ok(ask(&self.server, self.secured.tls(&self.server)?, &asking)?)
    }
}

pub(super) fn parsed(body: &str) -> Result<Value, AskError> {
    serde_json::from_str(body).map_err(|_| AskError::NotUnderstood)
}

/// Prints what was asked for; an error becomes a failure of the class that `exit` names.
pub(super) fn tell<E: fmt::Display>(
    outcome: Result<String, E>,
    exit: impl FnOnce(&E) -> Exit,
) -> Result<(), Failure> {
    let text = outcome.map_err(|error| exit(&error).with(error.to_string()))?;
    rcs_cli::say(text);
    Ok(())
}

/// Prints on standard error what a command waits for. If the stream is closed or full, the command goes on.
pub(super) fn hint(line: &str) {
    rcs_cli::tell(line);
}
