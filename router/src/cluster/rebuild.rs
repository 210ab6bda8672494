//! Makes the store of a cluster of one router, while no router runs: from a backup, or from what one router has.

use std::path::Path;
use std::sync::Arc;

use rcs_consensus::pki::{Files, Identity, PkiError};
use rcs_consensus::store::{Owner, Rebuilt, StoreError, recover, restore};

use super::replica::Replica;
use super::tokens::ApiTokens;
use crate::sightings::Sightings;

/// What the store is made from.
#[derive(Debug)]
pub(crate) enum Rebuild<'a> {
    /// A backup.
    Backup {
        /// The directory with the router's certificates, which name its cluster; none for a router that stands alone.
        certificates: Option<&'a Path>,
        /// What `cluster backup` wrote.
        backup: &'a [u8],
    },
    /// The router's own log.
    OwnLog,
}

/// Why no store is made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RebuildError {
    /// The old store or the new one.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The router's certificates.
    #[error(transparent)]
    Certificates(#[from] PkiError),
    /// The operating system refused something basic.
    #[error("cannot start the cluster's runtime: {0}")]
    Runtime(std::io::Error),
}

/// Makes the store of router `number`, which others reach at `address`.
///
/// # Errors
/// [`RebuildError`]; nothing that was there is lost.
pub(crate) fn rebuild(
    directory: &Path,
    number: u32,
    address: &str,
    from: &Rebuild<'_>,
) -> Result<Rebuilt, RebuildError> {
    let owner = |cluster| Owner { number, incarnation: fastrand::u32(1..), cluster };
    let machine = Replica::new(Arc::default(), Arc::default(), ApiTokens::default(), Sightings::new());
    Ok(match from {
        Rebuild::Backup { certificates, backup } => {
            let cluster = match certificates {
                None => None,
                Some(folder) => {
                    let files = Files::in_folder(folder, number);
                    let identity = Identity::load(&files, number, std::time::SystemTime::now())?;
                    Some(identity.name().cluster.clone())
                }
            };
            restore(directory, &owner(cluster), address, machine, backup)?
        }
        Rebuild::OwnLog => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(RebuildError::Runtime)?;
            runtime.block_on(recover(directory, &owner(None), address, machine))?
        }
    })
}
