//! The options of the router's own certificate.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::app::{Asking, IdentityFiles, TlsFiles};

const TLS: &str = "TLS";

/// The router's certificate, and whether callers need one.
#[derive(Clone, Debug, Args)]
pub(super) struct TlsArguments {
    /// The router's certificate and those of its issuers (PEM): for --listen wss://ADDR, and for members that ask for a certificate. The
    /// router follows changes of the files of this group.
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "key_store", env = "RCS_ROUTER_TLS_CERT", help_heading = TLS)]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM, not encrypted).
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "RCS_ROUTER_TLS_KEY", help_heading = TLS)]
    tls_key: Option<PathBuf>,
    /// PKCS12 store of keytool with the router's certificate and key, instead of --tls-cert and --tls-key.
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_KEY_STORE", help_heading = TLS)]
    key_store: Option<PathBuf>,
    /// File whose first line is the password of --key-store. Without this option the variable RCS_ROUTER_KEY_STORE_PASSWORD counts, then
    /// "changeit".
    #[arg(long, value_name = "FILE", requires = "key_store", env = "RCS_ROUTER_KEY_STORE_PASSWORD_FILE", help_heading = TLS)]
    key_store_password_file: Option<PathBuf>,
    /// Ask callers at wss:// addresses for a certificate that an authority in this file signed, or that is in the file itself (PEM, DER or
    /// PKCS12).
    #[arg(long, value_name = "FILE", env = "RCS_ROUTER_CLIENT_CA", help_heading = TLS)]
    client_ca: Option<PathBuf>,
    /// Whether a caller without a certificate is refused, with --client-ca.
    #[arg(long, value_name = "WHETHER", value_enum, default_value = "required", env = "RCS_ROUTER_CLIENT_CERTIFICATES", help_heading = TLS)]
    client_certificates: Whether,
}

/// Whether callers must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whether {
    Required,
    Optional,
}

impl TlsArguments {
    /// The files; none if the router has no certificate.
    ///
    /// # Errors
    /// A sentence about options that do not go together.
    pub(super) fn files(self) -> Result<Option<TlsFiles>, String> {
        let identity = match (self.tls_cert, self.tls_key, self.key_store) {
            (Some(certificate), Some(key), None) => IdentityFiles::Pair { certificate, key },
            (_, _, Some(path)) => IdentityFiles::Store { path, password: self.key_store_password_file },
            _ => {
                return match self.client_ca {
                    None => Ok(None),
                    Some(_) => Err("--client-ca needs a certificate of the router: add --tls-cert and --tls-key, or --key-store".to_owned()),
                };
            }
        };
        let asking = match self.client_certificates {
            Whether::Required => Asking::Required,
            Whether::Optional => Asking::Optional,
        };
        Ok(Some(TlsFiles { identity, client_ca: self.client_ca.map(|path| (path, asking)) }))
    }
}
