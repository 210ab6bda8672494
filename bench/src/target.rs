//! Where to connect, and with which key.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcs_cli::file;
use rcs_cli::{Exit, Failure};
use rcs_proto::driver::accept::Credentials;
use rcs_proto::driver::dial::{DialAuthorization, DialTarget, DialTls};
use rcs_proto::driver::endpoint::{Caller, EndpointConfig};
use rcs_proto::driver::url::{NoWsUrl, WsUrl};
use rcs_proto::icf::Secret;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

use crate::arguments::CallerArgs;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that a file with a key or a token may have.
const SECRET_FILE_BYTES_MAX: usize = 4 << 10;
/// Bytes that a file of certificates may have.
const CA_FILE_BYTES_MAX: usize = 4 << 20;
/// Rhythm of pings: a frozen target is noticed within three of them.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Opens the sockets to `url`.
pub(crate) async fn connect(
    url: &str,
    arguments: &CallerArgs,
    key_file: Option<&Path>,
) -> Result<Caller, Failure> {
    let target = dial_target(url, arguments, key_file)?;
    let mut config = EndpointConfig::new(EndpointConfig::random_identity());
    config.ping_every = Some(PING_EVERY);
    Caller::connect(target, arguments.sockets as usize, config)
        .await
        .map_err(|error| Exit::Unavailable.with(format!("{url}: {error}")))
}

fn dial_target(url: &str, arguments: &CallerArgs, key_file: Option<&Path>) -> Result<DialTarget, Failure> {
    let WsUrl { tls, host, port, path } =
        url.parse().map_err(|error: NoWsUrl| Exit::Usage.with(format!("{url}: {error}")))?;
    let secret = key(arguments, key_file)?;
    let tls = if tls { Some(trust(arguments.ca_file.as_deref())?) } else { None };
    Ok(DialTarget {
        host,
        port,
        path,
        tls,
        authorization: DialAuthorization::Basic(Credentials {
            principal: arguments.principal.clone(),
            secret,
        }),
        connect_timeout: CONNECT_TIMEOUT,
    })
}

fn key(arguments: &CallerArgs, key_file: Option<&Path>) -> Result<Secret<String>, Failure> {
    match (key_file.or(arguments.key_file.as_deref()), &arguments.key) {
        (Some(file), _) => secret_in(file),
        (None, Some(key)) => Ok(Secret::new(key.clone())),
        (None, None) => Err(Exit::Usage.with("give the shared key with --key-file, or in RCS_BENCH_KEY")),
    }
}

/// The first line of a file that holds nothing but a secret.
pub(crate) fn secret_in(path: &Path) -> Result<Secret<String>, Failure> {
    let bad = |error: &dyn std::fmt::Display| {
        Exit::BadData.with(format!("{} cannot be read: {error}", path.display()))
    };
    let read = file::read_secret(path, SECRET_FILE_BYTES_MAX).map_err(|error| bad(&error))?;
    if let Some(warning) = read.warning {
        rcs_cli::tell(format_args!("rcs-bench: {warning}"));
    }
    let text = std::str::from_utf8(&read.bytes).map_err(|error| bad(&error))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn trust(ca_file: Option<&Path>) -> Result<DialTls, Failure> {
    let path =
        ca_file.ok_or_else(|| Exit::Usage.with("wss needs --ca-file with the certificates to trust"))?;
    let bad = |error: &dyn std::fmt::Display| Exit::BadData.with(format!("{}: {error}", path.display()));
    let mut roots = RootCertStore::empty();
    let pem = file::read_bounded(path, CA_FILE_BYTES_MAX).map_err(|error| bad(&error))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(DialTls { config: Arc::new(config), server_name: None })
}
