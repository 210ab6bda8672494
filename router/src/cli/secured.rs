//! What commands show to a router, and which certificates they accept from it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rcs_proto::driver::tls::{Pins, client_config, of_system};
use rustls::ClientConfig;

use super::asked::AskError;
use super::client::{Asking, ClientError, Method, Server, ask};
use crate::token::{Token, TokenError};
use crate::trust;

/// The API token, and the certificates that the router may show.
#[derive(Clone, Debug, Args)]
pub(super) struct Secured {
    /// File whose first line is an API token: the router's own, or one of its cluster. Without this option the token is read from the
    /// variable RCS_ROUTER_TOKEN.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_TOKEN_FILE", global = true, help_heading = "Router")]
    token_file: Option<PathBuf>,
    /// The certificate that a router at https://HOST:PORT shows, or that of the authority that signed it (PEM, DER or PKCS12). Without this
    /// option the authorities of the system are trusted.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_SERVER_CA", global = true, help_heading = "Router")]
    server_ca: Option<PathBuf>,
}

impl Secured {
    /// The token, if one is given.
    ///
    /// # Errors
    /// [`TokenError`]
    pub(super) fn token(&self) -> Result<Option<Token>, TokenError> {
        Token::load(self.token_file.as_deref())
    }

    /// The answer to a GET of this path, unchanged. A router that others may listen to on the way is not shown the token: looking may need
    /// none there.
    ///
    /// # Errors
    /// [`AskError`]
    pub(super) fn look(&self, server: &Server, path: &str) -> Result<String, AskError> {
        let token = self.token();
        let known = token.as_ref().ok().and_then(Option::as_ref);
        let shown = known.filter(|_| server.is_private());
        let asking = Asking { method: Method::Get, path, token: shown, headers: &[], body: &[] };
        match (ask(server, self.tls(server)?, &asking), token) {
            (Err(ClientError::Refused { status: 401, .. }), Ok(Some(_))) if !server.is_private() => {
                Err(ClientError::InClear { server: server.to_string() }.into())
            }
            // At a loopback address whoever reaches the router may look, so an unusable token matters only now.
            (Err(ClientError::Refused { status: 401, .. }), Err(error)) => Err(error.into()),
            (answer, _) => Ok(answer?.trim_end().to_owned()),
        }
    }

    /// The TLS with which to ask this router; none if its address has no TLS.
    ///
    /// # Errors
    /// [`ClientError::Trust`]
    pub(super) fn tls(&self, server: &Server) -> Result<Option<Arc<ClientConfig>>, ClientError> {
        if !server.has_tls() {
            return Ok(None);
        }
        let config = match &self.server_ca {
            Some(path) => trust::load(path, Pins::ForNamesItHas)
                .map(|trusted| trusted.config)
                .map_err(|error| error.to_string()),
            None => those_of_system(),
        };
        config.map(Some).map_err(ClientError::Trust)
    }
}

/// Trusts the authorities that the system trusts.
fn those_of_system() -> Result<Arc<ClientConfig>, String> {
    let found = of_system()
        .map_err(|why| format!("{why}, or name the router's certificate with --server-ca FILE"))?;
    client_config(&found, Pins::ForNamesItHas)
        .map_err(|error| format!("the system's certificates of authorities cannot be used: {error}"))
}
