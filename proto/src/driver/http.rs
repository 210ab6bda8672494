//! What the two ends of the HTTP upgrade share.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::limits;

/// Why no HTTP head could be read.
#[derive(Debug)]
pub(crate) enum HeadError {
    /// More than [`limits::HTTP_HEAD_BYTES`] without an end.
    TooLarge,
    /// The peer ended the connection; whether it had sent anything.
    Closed { silent: bool },
    /// The first bytes are a TLS record.
    Tls,
    /// The first bytes are no HTTP.
    NotHttp,
    /// The socket failed.
    Io(io::Error),
}

/// Reads into `buffer` until it holds a whole head, and returns the head's length; what follows stays in `buffer`.
pub(crate) async fn read_head<S>(stream: &mut S, buffer: &mut BytesMut) -> Result<usize, HeadError>
where
    S: AsyncRead + Unpin,
{
    let mut seen = 0;
    loop {
        if let Some(at) = find(&buffer[seen..], b"\r\n\r\n") {
            return Ok(seen + at + 4);
        }
        seen = buffer.len().saturating_sub(3);
        if buffer.len() >= limits::HTTP_HEAD_BYTES {
            return Err(HeadError::TooLarge);
        }
        buffer.reserve(1024);
        let room = limits::HTTP_HEAD_BYTES - buffer.len();
        match stream.take(room as u64).read_buf(buffer).await {
            Ok(0) => return Err(HeadError::Closed { silent: buffer.is_empty() }),
            Ok(_) => check_first(buffer)?,
            Err(error) => return Err(HeadError::Io(error)),
        }
    }
}

/// Both heads begin with a capital letter (`GET`, `HTTP/1.1`); anything else will never become one.
fn check_first(bytes: &[u8]) -> Result<(), HeadError> {
    match bytes.first() {
        Some(0x14..=0x17) => Err(HeadError::Tls),
        Some(first) if !first.is_ascii_uppercase() => Err(HeadError::NotHttp),
        _ => Ok(()),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The values of all headers of that name.
pub(crate) fn values<'h>(headers: &'h [httparse::Header<'h>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The comma-separated tokens of all headers of that name; the Java dialler repeats a line (WIRE 1.1).
pub(crate) fn tokens<'h>(headers: &'h [httparse::Header<'h>], name: &str) -> impl Iterator<Item = &'h str> {
    values(headers, name)
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// The bytes of a text in a URL, with `%41` resolved; `None` if an escape is not whole.
pub(crate) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut clear = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (bytes.next()?, bytes.next()?);
            clear.push((hex(high)? << 4) | hex(low)?);
        } else {
            clear.push(byte);
        }
    }
    Some(clear)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_is_found_in_any_cutting_and_the_rest_stays() {
        let sent = b"GET / HTTP/1.1\r\nA: b\r\n\r\nrest";
        for cut in 1..sent.len() {
            let (mut ours, mut theirs) = tokio::io::duplex(cut);
            let write = tokio::spawn(async move {
                tokio::io::AsyncWriteExt::write_all(&mut theirs, sent).await.unwrap();
                theirs
            });
            let mut buffer = BytesMut::new();
            let length = read_head(&mut ours, &mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], &sent[..sent.len() - 4], "cut every {cut}");
            assert!(b"rest".starts_with(&buffer[length..]));
            drop(ours);
            write.abort();
        }
    }
}
