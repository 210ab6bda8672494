//! As much HTTP as it takes to ask the router how it is.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits::{ADMIN_REQUEST_DEADLINE, DEMO_ANSWER_BYTES_MAX};

/// An answer.
pub(super) struct Answer {
    pub(super) body: String,
}

/// `GET path`, whatever the status.
pub(super) async fn get(server: SocketAddr, path: &str) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(DEMO_ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(ADMIN_REQUEST_DEADLINE * 2, exchange).await.map_err(io::Error::from)??;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(Answer { body: body.to_owned() })
}
