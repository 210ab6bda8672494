//! Connections that a certificate let in. Each has a lease for as long as it is open, so that it is closed when its entry no longer has the
//! certificate. A certificate has no issuer who is asked again: the entry is the only place where it is revoked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rcs_proto::driver::tls::ClientCertificate;
use rcs_proto::manifest::Shown;
use tokio::sync::watch;

use super::certificates::shown;
use super::table::Table;
use super::tokens::{LeaseId, Revoked, next_lease};

/// All leases.
#[derive(Debug, Default)]
pub(super) struct CertificateLeases {
    open: Mutex<BTreeMap<LeaseId, Arc<Held>>>,
}

/// The certificate of one connection, and the name that it proved.
#[derive(Debug)]
struct Held {
    id: LeaseId,
    certificate: Arc<ClientCertificate>,
    name: String,
    is_over: AtomicBool,
}

/// The right of a connection to be open. Keep this value for as long as the connection is open.
#[derive(Debug)]
pub(crate) struct CertificateLease {
    held: Arc<Held>,
    of: Weak<CertificateLeases>,
}

impl CertificateLease {
    pub(super) fn id(&self) -> LeaseId {
        self.held.id
    }

    pub(super) fn is_over(&self) -> bool {
        self.held.is_over.load(Ordering::Relaxed)
    }
}

impl Drop for CertificateLease {
    fn drop(&mut self) {
        if let Some(leases) = self.of.upgrade() {
            leases.all().remove(&self.held.id);
        }
    }
}

impl CertificateLeases {
    /// A lease for a connection that this certificate let in under this name. There are at most as many as connections.
    pub(super) fn grant(
        self: &Arc<Self>,
        certificate: Arc<ClientCertificate>,
        name: &str,
    ) -> CertificateLease {
        let (id, name) = (next_lease(), name.to_owned());
        let held = Arc::new(Held { id, certificate, name, is_over: AtomicBool::new(false) });
        self.all().insert(id, Arc::clone(&held));
        CertificateLease { held, of: Arc::downgrade(self) }
    }

    /// The connections whose certificate does not prove their name any more, by this table. Each is returned once.
    pub(super) fn revoked(&self, table: &Table) -> Vec<Revoked> {
        let open: Vec<Arc<Held>> = self.all().values().cloned().collect();
        let is_gone = |held: &&Arc<Held>| {
            !table.proved_by(&held.certificate).contains(&*held.name)
                && !held.is_over.swap(true, Ordering::Relaxed)
        };
        let told = |held: &Arc<Held>| Revoked {
            leases: vec![held.id],
            reason: format!(
                "the entry of {} has its certificate ({}) no more",
                Shown::new(&held.name),
                shown(&held.certificate)
            ),
        };
        open.iter().filter(is_gone).map(told).collect()
    }

    /// Keeps watch for ever: at each change of the table, `close` is called with the connections that are to be closed.
    pub(super) async fn keep_watch<F: Future<Output = ()>>(
        &self,
        mut table: watch::Receiver<Arc<Table>>,
        mut close: impl FnMut(Vec<Revoked>) -> F,
    ) {
        while table.changed().await.is_ok() {
            let now = Arc::clone(&table.borrow_and_update());
            let revoked = self.revoked(&now);
            if !revoked.is_empty() {
                close(revoked).await;
            }
        }
        // Nobody follows the file any more: the router ends.
        std::future::pending().await
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<LeaseId, Arc<Held>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
