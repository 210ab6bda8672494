//! What a later process gets besides the callers: listening sockets, and the use of what is stored.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rcs_proto::driver::listen::Intake;

use super::later::Late;
use crate::admin::AdminAt;
use crate::cluster::Cluster;
use crate::listeners::Bound;
use crate::unknown::Unknowns;

/// What a later process gets besides the callers.
#[derive(Debug)]
pub(crate) struct Stock {
    /// The listening sockets: what each is for, and its address as it was asked for.
    pub(crate) listeners: Vec<(&'static str, String, OwnedFd)>,
    /// What takes connections from these.
    pub(crate) intake: Arc<Intake>,
    /// The seed of the session ids that callers are shown.
    pub(crate) seed: [u64; 2],
    /// This router's part in its cluster.
    pub(crate) cluster: Option<Cluster>,
    /// The work list of unknown outcomes.
    pub(crate) unknowns: Unknowns,
    /// The directory of the list, if there is one.
    pub(crate) data_dir: Option<PathBuf>,
    /// The sockets of the process before this one that are still to come.
    pub(crate) late: Option<Late>,
}

impl Stock {
    /// Lets a later process use what is stored.
    pub(super) fn lend(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.lend();
        }
        if self.data_dir.is_some() {
            self.unknowns.lend();
        }
    }

    /// Uses what is stored again: the later process does not.
    pub(super) fn take_back(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.take_back();
        }
        if let Some(directory) = &self.data_dir {
            self.unknowns.take_back(directory);
        }
    }
}

/// What a listening socket is for: callers.
pub(crate) const OF_CALLERS: &str = "callers";
/// The admin address.
pub(crate) const OF_ADMIN: &str = "admin";
/// Other routers of the cluster.
pub(crate) const OF_ROUTERS: &str = "routers";

/// The listening sockets once more, for a later process.
pub(crate) fn listening_sockets(
    callers: &[Bound],
    admin_at: AdminAt,
    admin: &TcpListener,
    cluster: Option<&Cluster>,
) -> io::Result<Vec<(&'static str, String, OwnedFd)>> {
    let of_callers =
        callers.iter().map(|bound| Ok((OF_CALLERS, bound.at.to_string(), bound.socket.try_clone()?.into())));
    let of_admin = [Ok((OF_ADMIN, admin_at.to_string(), admin.try_clone()?.into()))];
    let of_routers = match cluster.map(Cluster::listener).transpose()?.flatten() {
        Some(socket) => Some(Ok((OF_ROUTERS, socket.local_addr()?.to_string(), socket.into()))),
        None => None,
    };
    of_callers.chain(of_admin).chain(of_routers).collect()
}
