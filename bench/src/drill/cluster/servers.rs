//! Where servers of a cluster listen now, for whoever asks a random one of them; and one HTTP request from an address of one's own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

/// The addresses of servers that run, by place; clones are the same list.
#[derive(Clone, Default)]
pub(crate) struct Servers(Arc<Mutex<Vec<Option<SocketAddr>>>>);

impl Servers {
    /// The server at this place listens there from now on, or nowhere.
    pub(crate) fn set(&self, place: usize, address: Option<SocketAddr>) {
        let mut all = self.lock();
        if all.len() <= place {
            all.resize(place + 1, None);
        }
        all[place] = address;
    }

    /// Where the server at this place listens.
    pub(crate) fn get(&self, place: usize) -> Option<SocketAddr> {
        self.lock().get(place).copied().flatten()
    }

    /// The first server that runs, from this place on and round again.
    pub(crate) fn from(&self, place: usize) -> Option<SocketAddr> {
        let all = self.lock();
        let count = all.len();
        (0..count).find_map(|step| all[(place + step) % count])
    }

    /// Places of servers that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        let all = self.lock();
        (0..all.len()).filter(|place| all[*place].is_some()).collect()
    }

    /// One of them by chance.
    pub(crate) fn any(&self, dice: &mut fastrand::Rng) -> Option<SocketAddr> {
        let running: Vec<SocketAddr> = self.lock().iter().flatten().copied().collect();
        dice.choice(&running).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<SocketAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One HTTP request, from this address: status and body of its answer; none if there is no whole answer within `bound`.
pub(crate) async fn request(
    from: Ipv4Addr,
    server: SocketAddr,
    (method, path, body): (&str, &str, &str),
    bound: Duration,
) -> Option<(u16, String)> {
    let exchange = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let mut stream = socket.connect(server).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(bound, exchange).await.ok()?.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
