//! Reads the event stream of one router after another, each from where the one before ended.

use std::io;
use std::time::Duration;

use rcs_cli::Exit;
use rcs_proto::icf::Secret;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::lines::{Event, Lines};
use crate::cli::client::{ClientError, Server, segment, sentence};
use crate::limits::{
    CLIENT_DEADLINE, EVENT_LINE_BYTES_MAX, EVENT_PAUSE_MAX, EVENT_PAUSE_MIN, EVENT_SILENCE_MAX,
};

/// Lines of the head of an answer.
const HEAD_LINES_MAX: usize = 64;

/// Reads events, from wherever they can be had.
pub(super) struct Follower {
    servers: Vec<Source>,
    /// The id of the latest event that was shown.
    known: Option<String>,
    /// The one group whose events are wanted.
    group: Option<String>,
    /// Events that were shown.
    shown: u64,
    follow: bool,
}

/// A router, and what it takes to ask it.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) server: Server,
    /// None without TLS.
    pub(super) tls: Option<TlsConnector>,
    /// The value of the header with the token, for a server to which it goes unread by others.
    pub(super) header: Option<Secret<String>>,
}

/// A connection, with TLS or without.
trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Bytes for S {}

/// Why there are no further events.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The router refused, or is not there.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A line without an end.
    #[error(
        "the router's events are not understood: check that rcs-router and the router have the same version"
    )]
    NotUnderstood,
    /// The connection ended before the event that says so.
    #[error("the connection to the router broke before all remembered events were there: repeat the command")]
    Cut,
}

impl Lost {
    /// How the program ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::NotUnderstood | Self::Cut => Exit::Unavailable,
        }
    }

    /// Whether another try, or another router, may do better.
    fn is_of_now(&self) -> bool {
        match self {
            Self::Client(ClientError::Unreachable { .. }) => true,
            Self::Client(ClientError::Refused { status, .. }) => *status >= 500,
            Self::Client(
                ClientError::NotHttp { .. }
                | ClientError::Cut { .. }
                | ClientError::TooLarge { .. }
                | ClientError::InClear { .. }
                | ClientError::Tls { .. }
                | ClientError::Trust(_),
            )
            | Self::NotUnderstood
            | Self::Cut => false,
        }
    }
}

/// How a stream ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The router sent all of it, or has ended.
    Whole,
    /// Nobody wants to see further events.
    Unheard,
}

impl Follower {
    pub(super) fn new(
        servers: Vec<Source>,
        since: Option<String>,
        group: Option<String>,
        follow: bool,
    ) -> Self {
        Self { servers, known: since, group, shown: 0, follow }
    }

    /// Shows events until `show` returns false, or until there are no further ones.
    ///
    /// # Errors
    /// [`Lost`]: no router could be reached at the start, or a router refused for a reason that will stay.
    pub(super) async fn run(mut self, mut show: impl FnMut(&Event) -> bool) -> Result<(), Lost> {
        let (mut place, mut failures, mut pause) = (0, 0, EVENT_PAUSE_MIN);
        loop {
            let Some(server) = self.servers.get(place).cloned() else { return Ok(()) };
            let before = self.shown;
            match self.read(&server, &mut show).await {
                Ok(Ended::Unheard) => return Ok(()),
                Ok(Ended::Whole) if !self.follow => return Ok(()),
                Ok(Ended::Whole) => {}
                Err(lost) => {
                    failures += 1;
                    // At the start each router is tried once: a wrong address must not look like silence.
                    let is_in_vain = self.shown == 0 && failures >= self.servers.len();
                    let is_broken = !self.follow && self.shown > 0;
                    if is_in_vain || is_broken || !lost.is_of_now() {
                        return Err(lost);
                    }
                    rcs_cli::tell(format_args!("rcs-router: {lost}; going on at the next router"));
                }
            }
            // Each stream has a first event that says nothing new.
            if self.shown > before + 1 {
                pause = EVENT_PAUSE_MIN;
            }
            place = (place + 1) % self.servers.len();
            // With a part of it at random, so that all who followed a lost router do not come back in one moment.
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(EVENT_PAUSE_MAX);
        }
    }

    async fn read(&mut self, source: &Source, show: &mut impl FnMut(&Event) -> bool) -> Result<Ended, Lost> {
        let server = &source.server;
        let failed = |source| server.failed(source);
        let mut reader = BufReader::new(self.ask(source).await?);
        let status = head(&mut reader, server).await?;
        if status == 401 && source.header.is_some() && !server.is_private() {
            return Err(ClientError::InClear { server: server.to_string() }.into());
        }
        if status != 200 {
            let mut body = Vec::new();
            let mut bounded = reader.take(EVENT_LINE_BYTES_MAX as u64);
            within(CLIENT_DEADLINE, bounded.read_to_end(&mut body)).await.map_err(failed)?;
            let sentence = sentence(status, &String::from_utf8_lossy(&body));
            return Err(ClientError::Refused { status, sentence }.into());
        }
        let (mut lines, mut has_ended) = (Lines::default(), false);
        while let Some(text) = line(&mut reader, EVENT_SILENCE_MAX, server).await? {
            let Some(event) = lines.take(&text) else { continue };
            self.known = Some(event.id.clone());
            self.shown += 1;
            has_ended = event.kind == "end";
            if !show(&event) {
                return Ok(Ended::Unheard);
            }
        }
        // Whoever follows goes on anyway, from the last event.
        match has_ended || self.follow {
            true => Ok(Ended::Whole),
            false => Err(Lost::Cut),
        }
    }

    /// Sends the request. As a client of HTTP/1.0 it gets the events as they are, to the end of the connection.
    async fn ask(&self, source: &Source) -> Result<Box<dyn Bytes>, ClientError> {
        let (server, address) = (&source.server, source.server.authority());
        let failed = |source| server.failed(source);
        let stream = within(CLIENT_DEADLINE, TcpStream::connect(address)).await.map_err(failed)?;
        let mut stream: Box<dyn Bytes> = match &source.tls {
            None => Box::new(stream),
            Some(tls) => {
                let shaken = within(CLIENT_DEADLINE, tls.connect(server.name()?, stream));
                Box::new(shaken.await.map_err(failed)?)
            }
        };
        let header = source.header.as_ref().filter(|_| server.is_private());
        let authorization =
            header.map(|value| format!("Authorization: {}\r\n", value.expose())).unwrap_or_default();
        let option = |key: &str, value: &Option<String>| {
            value.as_deref().map(|value| format!("&{key}={}", segment(value))).unwrap_or_default()
        };
        let (since, group) = (option("since", &self.known), option("group", &self.group));
        let head = format!(
            "GET /v1/events?follow={}{since}{group} HTTP/1.0\r\nHost: {address}\r\n{authorization}Accept: text/event-stream\r\n\r\n",
            self.follow
        );
        within(CLIENT_DEADLINE, stream.write_all(head.as_bytes())).await.map_err(failed)?;
        Ok(stream)
    }
}

/// The status of the answer, whose head is read to its end.
async fn head(reader: &mut (impl AsyncBufRead + Unpin), server: &Server) -> Result<u16, Lost> {
    let not_http = || ClientError::NotHttp { server: server.to_string() };
    let ended = || ClientError::Unreachable {
        server: server.to_string(),
        source: io::ErrorKind::UnexpectedEof.into(),
    };
    let first = line(reader, CLIENT_DEADLINE, server).await?.ok_or_else(ended)?;
    let status = first.strip_prefix("HTTP/1.").and_then(|head| head.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(not_http)?;
    for _ in 0..HEAD_LINES_MAX {
        if line(reader, CLIENT_DEADLINE, server).await?.ok_or_else(ended)?.is_empty() {
            return Ok(status);
        }
    }
    Err(not_http().into())
}

/// The next line without its end; none at the end of the connection.
async fn line(
    reader: &mut (impl AsyncBufRead + Unpin),
    patience: Duration,
    server: &Server,
) -> Result<Option<String>, Lost> {
    let mut bytes = Vec::new();
    let mut bounded = reader.take(EVENT_LINE_BYTES_MAX as u64);
    let read = bounded.read_until(b'\n', &mut bytes);
    let failed = |source| ClientError::Unreachable { server: server.to_string(), source };
    within(patience, read).await.map_err(failed)?;
    match bytes.pop() {
        // Half a line is the end of a connection that broke, or too long.
        Some(b'\n') => {
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
            String::from_utf8(bytes).map(Some).map_err(|_| Lost::NotUnderstood)
        }
        Some(_) if bytes.len() + 1 >= EVENT_LINE_BYTES_MAX => Err(Lost::NotUnderstood),
        _ => Ok(None),
    }
}

async fn within<T>(patience: Duration, what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(patience, what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
