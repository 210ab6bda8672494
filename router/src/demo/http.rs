//! As much HTTP as it takes to ask the router how it is.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits::{ADMIN_REQUEST_DEADLINE, DEMO_ANSWER_BYTES_MAX};

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// `GET path`, whatever the status.
pub(super) async fn get(server: SocketAddr, path: &str) -> io::Result<Answer> {
    ask(server, "GET", path).await
}

/// `POST path` without a body, whatever the status.
pub(super) async fn post(server: SocketAddr, path: &str) -> io::Result<Answer> {
    ask(server, "POST", path).await
}

async fn ask(server: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {server}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(DEMO_ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(ADMIN_REQUEST_DEADLINE * 2, exchange).await.map_err(io::Error::from)??;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, body: body.to_owned() })
}
