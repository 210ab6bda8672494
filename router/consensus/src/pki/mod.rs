//! The certificates of a cluster: each router has one, and shows it to the others.
//!
//! [`Authority::init`] makes a certificate authority for a new cluster, and [`Authority::issue`] makes the certificates of its routers.
//! The files are `ca.pem`, `ca.key`, `router-N.pem` and `router-N.key`. A router needs all of them but `ca.key`: keep that one away from
//! the routers.
//!
//! # Certificates of another authority
//! Any authority will do (cert-manager, Vault, SPIRE) that signs certificates with
//! - exactly one URI of the form `spiffe://CLUSTER/router/N` among the subject's alternative names. CLUSTER is the cluster's id: lower-case
//!   letters, digits, `-`, `_` and `.`, 64 characters at most, the same in all routers' certificates. N is the router's number;
//! - both extended key usages, server authentication and client authentication (or none of this extension);
//! - a key of EC P-256 or P-384, Ed25519, or RSA of 2048 bits and more.
//!
//! Host names and addresses in a certificate are not looked at: pods and machines change theirs. `ca.pem` has the authority's certificate,
//! and while one authority replaces another both. `router-N.pem` has the router's certificate first, then intermediate ones.

mod authority;
mod identity;
mod name;
mod read;
mod verifier;

use std::path::PathBuf;

use rcs_cli::file::FileError;

pub use self::authority::{Authority, Existing, Issued};
pub use self::identity::{Files, Identity};
pub use self::name::Name;
pub use self::read::Dates;
pub(crate) use self::verifier::provider;

/// Why certificates or keys cannot be made or used. No error contains any part of a key.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file is not there.
    #[error(
        "{path} is missing. Make the cluster's certificates with `rcs-router cluster init`, and copy ca.pem and the router's own .pem \
         and .key file to this router"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// A file does not hold what it should.
    #[error("{path} cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A certificate has ended.
    #[error(
        "the certificate in {path} expired on {day}: renew it with `rcs-router cluster init`, or check this machine's clock"
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// The last day, `YYYY-MM-DD`.
        day: String,
    },
    /// A certificate is not valid yet.
    #[error(
        "the certificate in {path} is not valid before {day}: compare this machine's clock with the one that made the certificate"
    )]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// The first day, `YYYY-MM-DD`.
        day: String,
    },
    /// The router's certificate was signed by somebody else.
    #[error(
        "the certificate in {path} was not signed by an authority in {authorities}: use both files of one cluster"
    )]
    OtherAuthority {
        /// The certificate.
        path: PathBuf,
        /// The authorities.
        authorities: PathBuf,
    },
    /// The certificate is another router's.
    #[error(
        "the certificate in {path} is router {named}'s, but this is router {own}: use router-{own}.pem and router-{own}.key"
    )]
    OtherRouter {
        /// The certificate.
        path: PathBuf,
        /// Whose it is.
        named: u32,
        /// The router that reads it.
        own: u32,
    },
    /// The certificate is for another cluster.
    #[error(
        "{path} is for cluster {named}, but this router belongs to cluster {own}: use the files of that cluster"
    )]
    OtherCluster {
        /// The certificate.
        path: PathBuf,
        /// The cluster that it names.
        named: String,
        /// The cluster that is expected.
        own: String,
    },
    /// A file would be overwritten.
    #[error("{path} exists, and is not overwritten: choose another folder, or move the file away")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written: {source}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What a certificate should say makes no sense.
    #[error("no certificate can be made: {0}")]
    Request(
        /// What is wrong, and what to write instead.
        String,
    ),
}
