//! The TLS handshakes of a listener. A peer's hello costs nearly nothing. What follows costs a signature, so it begins at a pace.

use std::io;

use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, rustls, server};

use super::accept::{AcceptError, has_ended, hear_out, refuse_plain};
use super::limits;
use super::tls::{ListenTls, client_in_words};
use super::turns::Pace;

/// The first byte of a TLS record with a handshake message.
const TLS_HANDSHAKE: u8 = 0x16;

/// A Java dialler that does not trust the certificate may close the connection without an alert.
const HUNG_UP: &str = "the peer closed the connection within the handshake without saying why. If it does not trust the certificate of this \
    listener, add the certificate, or its authority's, to the peer's trust store";

const TOO_SLOW: &str = "the peer did not complete the handshake in time";

/// How fast the handshakes of one or several listeners begin: [`limits::HANDSHAKES_PER_SECOND_MAX`].
#[derive(Debug)]
pub struct Handshakes {
    /// Held by the connection whose handshake is next.
    pace: Mutex<Pace>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self { pace: Mutex::new(Pace::new()) }
    }
}

impl Handshakes {
    /// The handshake of a connection, until `due`. A peer that speaks HTTP without TLS is told that this address speaks TLS.
    ///
    /// # Errors
    /// [`AcceptError`]; the peer has been told, as far as it listens.
    pub async fn shake(
        &self,
        tls: &ListenTls,
        stream: TcpStream,
        due: Instant,
    ) -> Result<server::TlsStream<TcpStream>, AcceptError> {
        let mut first = [0];
        match timeout_at(due, stream.peek(&mut first)).await.map_err(|_| AcceptError::Closed)?? {
            0 => return Err(AcceptError::Closed),
            _ if first != [TLS_HANDSHAKE] => return Err(refuse_plain(stream, due).await),
            _ => {}
        }
        let hello = timeout_at(due, LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream));
        let hello = hello.await.map_err(|_| AcceptError::Tls(TOO_SLOW.to_owned()))?.map_err(tls_error)?;
        self.next(&hello).await?;
        let done = timeout_at(due, hello.into_stream(tls.now()).into_fallible()).await;
        match done.map_err(|_| AcceptError::Tls(TOO_SLOW.to_owned()))? {
            Ok(stream) => Ok(stream),
            Err((error, stream)) => {
                // The peer has been sent an alert, which says why.
                hear_out(stream).await;
                Err(match tls_error(error) {
                    AcceptError::Closed => AcceptError::Tls(HUNG_UP.to_owned()),
                    told => told,
                })
            }
        }
    }

    /// Waits for the turn of a handshake. A peer that has given up meanwhile gets no turn.
    async fn next(&self, hello: &StartHandshake<TcpStream>) -> Result<(), AcceptError> {
        let mut pace = self.pace.lock().await;
        if has_ended(&hello.io) {
            return Err(AcceptError::Closed);
        }
        sleep_until(pace.next()).await;
        pace.took_one(limits::HANDSHAKES_PER_SECOND_MAX, limits::ACCEPT_BURST, Instant::now());
        Ok(())
    }
}

fn tls_error(error: io::Error) -> AcceptError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => AcceptError::Tls(client_in_words(inner)),
        // Port scanners, and peers that gave up.
        None if error.kind() == io::ErrorKind::UnexpectedEof => AcceptError::Closed,
        None => AcceptError::Io(error),
    }
}
