//! Routers in one process on the real clock and real disks, joined by a network of function calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::TokioRuntime;
use rcs_consensus::rpc::{Peer, Receiver, Rejected, Request, Response, Transport, Unanswered};
use rcs_consensus::store::{Owner, Pacing, Store};
use rcs_consensus::{Consensus, Machine, StartError, Timing, Unreadable};
use tempfile::TempDir;

/// A list of what was proposed.
#[derive(Default)]
pub(crate) struct List(pub(crate) Vec<Vec<u8>>);

/// A command at which the machine panics, the first time that any router of the process applies it.
pub(crate) const PANIC: &[u8] = b"panic";

static PANICKED: AtomicBool = AtomicBool::new(false);

impl Machine for List {
    fn apply(&mut self, _: u64, command: &[u8]) -> Result<Vec<u8>, Unreadable> {
        assert!(command != PANIC || PANICKED.swap(true, Ordering::SeqCst), "a fault of the program");
        self.0.push(command.to_vec());
        Ok(self.0.len().to_string().into_bytes())
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Unreadable> {
        self.0 = snapshot.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        self.0.pop();
        Ok(())
    }
}

pub(crate) type Router = Consensus<TokioRuntime, Mesh, List>;

/// The network.
#[derive(Clone, Default)]
pub(crate) struct Mesh {
    routers: Arc<Mutex<BTreeMap<String, Router>>>,
}

impl Mesh {
    /// From now on nobody reaches the address.
    pub(crate) fn cut(&self, address: &str) -> Option<Router> {
        self.routers.lock().unwrap().remove(address)
    }

    pub(crate) fn join(&self, address: &str, router: &Router) {
        self.routers.lock().unwrap().insert(address.to_owned(), router.clone());
    }
}

impl Transport for Mesh {
    async fn ask(&self, to: &Peer, request: Request, within: Duration) -> Result<Response, Unanswered> {
        let found = self.routers.lock().unwrap().get(&to.address).cloned();
        let Some(router) = found else {
            return Err(Unanswered::Unreachable("nobody listens there".into()));
        };
        // A task of its own, as behind a real network: the receiver works on although nobody waits any more.
        let answered = tokio::spawn(async move { router.receive(request).await });
        match tokio::time::timeout(within, answered).await {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(Rejected::Stopped(why)))) => Err(Unanswered::Unreachable(why)),
            Ok(Ok(Err(rejected))) => Err(Unanswered::Refused(rejected.to_string())),
            Ok(Err(_)) | Err(_) => Err(Unanswered::Lost("no answer".into())),
        }
    }
}

/// A router with its disk.
pub(crate) struct Site {
    pub(crate) directory: Arc<TempDir>,
    pub(crate) number: u32,
    incarnation: u32,
}

impl Site {
    pub(crate) fn new(number: u32) -> Self {
        Self { directory: Arc::new(tempfile::tempdir().unwrap()), number, incarnation: number * 100 }
    }

    /// The same router number with an empty disk.
    pub(crate) fn wiped(&self) -> Self {
        Self {
            directory: Arc::new(tempfile::tempdir().unwrap()),
            number: self.number,
            incarnation: self.incarnation + 1,
        }
    }

    /// The same router on a copy of its disk.
    pub(crate) fn copied_to(&self, directory: TempDir) -> Self {
        Self { directory: Arc::new(directory), number: self.number, incarnation: self.incarnation }
    }

    pub(crate) fn address(&self) -> String {
        format!("router-{}:1", self.number)
    }

    pub(crate) async fn start(&self, mesh: &Mesh) -> Router {
        self.try_start(mesh).await.unwrap()
    }

    pub(crate) async fn try_start(&self, mesh: &Mesh) -> Result<Router, StartError> {
        let owner =
            Owner { number: self.number, incarnation: self.incarnation, cluster: Some("mesh".into()) };
        let directory = Arc::clone(&self.directory);
        let open = move || Ok((Store::open(directory.path(), &owner, Pacing::Thread)?, List::default()));
        let router = Consensus::start(mesh.clone(), Timing::default(), Box::new(open)).await?;
        mesh.join(&self.address(), &router);
        Ok(router)
    }
}

/// Routers 1 to `count`, and their addresses.
pub(crate) fn sites(count: u32) -> (Vec<Site>, BTreeMap<u32, String>) {
    let sites: Vec<Site> = (1..=count).map(Site::new).collect();
    let peers = sites.iter().map(|site| (site.number, site.address())).collect();
    (sites, peers)
}
