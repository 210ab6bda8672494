//! Three processes of etcd, to which the same is done as to routers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcs_cli::{Exit, Failure};
use rcs_rig::process::Process;
use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::routers::free_addresses;
use super::servers::{Servers, request};
use super::{Agreeing, LOOK_EVERY, STATE_BOUND};

/// The cluster. Its processes die with it.
pub(crate) struct Etcd {
    folder: PathBuf,
    clients: Vec<SocketAddr>,
    peers: Vec<SocketAddr>,
    running: Vec<Option<Process>>,
    servers: Servers,
}

impl Etcd {
    /// Starts three with the settings that they have by themselves.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Failure> {
        let folder = folder.join("etcd");
        std::fs::create_dir_all(&folder)
            .map_err(|error| Exit::Internal.with(format!("no place for files: {error}")))?;
        let mut free = free_addresses(6)?;
        let peers = free.split_off(3);
        let running = (0..3).map(|_| None).collect();
        let mut etcd = Self { folder, clients: free, peers, running, servers: Servers::default() };
        for place in 0..3 {
            etcd.run(place)?;
        }
        etcd.leader().await?;
        Ok(etcd)
    }

    /// Where clients write.
    pub(crate) fn servers(&self) -> Servers {
        self.servers.clone()
    }

    fn run(&mut self, place: usize) -> Result<(), Failure> {
        let url = |address: &SocketAddr| format!("http://{address}");
        let all: Vec<String> =
            self.peers.iter().enumerate().map(|(at, peer)| format!("e{at}={}", url(peer))).collect();
        let log =
            std::fs::File::options().create(true).append(true).open(self.folder.join(format!("{place}.log")));
        let log = log.map_err(|error| Exit::Internal.with(format!("no place for etcd's log: {error}")))?;
        let mut command = Command::new("etcd");
        let (client, peer) = (url(&self.clients[place]), url(&self.peers[place]));
        command.args(["--name", &format!("e{place}"), "--initial-cluster", &all.join(",")]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.arg("--data-dir").arg(self.folder.join(format!("data-{place}")));
        // It writes a line to standard output now and then, which the rig drains.
        self.running[place] =
            Some(Process::start_logging_to(&format!("etcd-{place}"), command, Stdio::from(log)));
        self.servers.set(place, Some(self.clients[place]));
        Ok(())
    }

    /// What a server says of itself.
    async fn status(&self, place: usize) -> Option<Value> {
        let server = self.servers.get(place)?;
        let ask = ("POST", "/v3/maintenance/status", "{}");
        let (_, text) = request(Ipv4Addr::LOCALHOST, server, ask, STATE_BOUND).await?;
        // Long answers come in chunks with their sizes between.
        serde_json::from_str(text.get(text.find('{')?..=text.rfind('}')?)?).ok()
    }

    async fn index(&self, place: usize) -> Option<u64> {
        self.status(place).await?["raftAppliedIndex"].as_str()?.parse().ok()
    }
}

impl Agreeing for Etcd {
    async fn leader(&self) -> Result<usize, Failure> {
        let end = Instant::now() + STATE_BOUND;
        while Instant::now() < end {
            for place in self.servers.running() {
                if let Some(status) = self.status(place).await
                    && status["leader"].is_string()
                    && status["leader"] == status["header"]["member_id"]
                {
                    return Ok(place);
                }
            }
            sleep(LOOK_EVERY).await;
        }
        Err(Exit::Unavailable.with("etcd has no leader"))
    }

    fn kill(&mut self, place: usize) {
        self.servers.set(place, None);
        block_in_place(|| drop(self.running[place].take()));
    }

    async fn revive(&mut self, place: usize) -> Result<(), Failure> {
        let leader = self.leader().await?;
        let goal = self.index(leader).await.unwrap_or(0);
        self.run(place)?;
        let end = Instant::now() + STATE_BOUND;
        while self.index(place).await.is_none_or(|index| index < goal) {
            if Instant::now() > end {
                return Err(Exit::Unavailable.with("an etcd that was started again does not catch up"));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
