//! How a dialling node proves itself by access tokens, as far as that is decided before anything is opened (P17).

use std::path::Path;

use rcs_cli::Exit;
use rcs_oauth::dial::TokenSetup;
use rcs_oauth::https::{BadUrl, Https, Plain, is_loopback};
use rcs_oauth::token::{ClientSecret, TokenOptions};
use rcs_proto::driver::dial::InClear;
use rcs_proto::driver::proxy::HttpProxy;
use rcs_proto::icf::Secret;

use super::{Faults, SettingArgs, key_in};
use crate::client::Proof;
use crate::config::{Dial, SecretOf, TokenClient};
use crate::tls::ClientTls;

/// The proof by tokens, and what is to be said about it. `None` only together with a fault.
pub(super) fn proof(
    dial: &Dial,
    token: &TokenClient,
    tls: Option<&ClientTls>,
    proxy: Option<&HttpProxy>,
    settings: &SettingArgs,
    faults: &mut Faults,
) -> (Option<Proof>, Vec<String>) {
    // A trial may send tokens and secrets in clear.
    let (plain, in_clear) = match settings.dev {
        true => (Plain::Anywhere, InClear::ToAnybody),
        false => (Plain::Loopback, InClear::ToLoopback),
    };
    if let Some(url) = dial.urls.iter().find(|url| !url.tls && !settings.dev && !is_loopback(&url.host)) {
        faults.add(
            Exit::BadData,
            format!(
                "connectorserver.tokenEndpoint would send a token in clear to \"{url}\", which has no TLS; write wss:// in \
                 connectorserver.url, or remove tokenEndpoint"
            ),
        );
    }
    let endpoint = token.endpoint.clone().with(plain).map_err(|error: BadUrl| {
        faults.add(Exit::BadData, format!("connectorserver.tokenEndpoint is not usable: {error}"));
    });
    let (secret, warning) = match &token.secret {
        SecretOf::Value(secret) => (Some(ClientSecret::fixed(secret.clone())), None),
        SecretOf::File(path) => match read(path) {
            Ok((_, warning)) => {
                let path = path.clone();
                (Some(ClientSecret::read_by(move || read(&path).map(|(secret, _)| secret))), warning)
            }
            Err(sentence) => {
                faults.add(Exit::BadData, format!("connectorserver.clientSecretFile: {sentence}"));
                (None, None)
            }
        },
    };
    let https = tls.map_or_else(Https::without_tls, |tls| Https::new(tls.config.clone()));
    let proof = endpoint.ok().zip(secret).map(|(endpoint, secret)| {
        Proof::Token(Box::new(TokenSetup {
            https: https.through(proxy.cloned()),
            options: TokenOptions {
                endpoint,
                client_id: token.client_id.clone(),
                secret,
                scope: token.scope.clone(),
            },
            in_clear,
            at_end: token.at_end,
        }))
    });
    (proof, warning.into_iter().collect())
}

/// The secret in a file, and a warning if others can read the file. An error is a sentence without a full stop.
fn read(path: &Path) -> Result<(Secret<String>, Option<String>), String> {
    let shown = path.display();
    let (secret, warning) = key_in(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if secret.expose().is_empty() {
        return Err(format!(
            "{shown} has no secret on its first line: write the secret of the OAuth2 client there"
        ));
    }
    Ok((secret, warning))
}
