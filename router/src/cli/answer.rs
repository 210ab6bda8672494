//! An answer of a router, and whether it came whole.

use std::str::from_utf8;

/// How the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The router closed the connection.
    Orderly,
    /// An error, or nothing came for too long.
    Broken,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Why what came is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not HTTP.
    NotHttp,
    /// Its end is missing.
    Cut,
}

/// Reads an answer (RFC 9112). `end`: how the connection ended after these bytes.
///
/// A refusal may lack its end: its status is known, and a router that does not read the body of a request may break the connection.
///
/// # Errors
/// [`Fault`]
pub(super) fn read(bytes: &[u8], end: End) -> Result<Answer, Fault> {
    let length = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or(Fault::NotHttp)?;
    let head = from_utf8(&bytes[..length]).map_err(|_| Fault::NotHttp)?;
    let rest = &bytes[length + 4..];
    let status = head.strip_prefix("HTTP/1.").and_then(|head| head.split(' ').nth(1)?.parse().ok());
    let status: u16 = status.ok_or(Fault::NotHttp)?;
    let (body, is_whole) = body(head, rest, end)?;
    if !is_whole && (200..=299).contains(&status) {
        return Err(Fault::Cut);
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

/// The body as far as it came, and whether that is all of it.
fn body(head: &str, rest: &[u8], end: End) -> Result<(Vec<u8>, bool), Fault> {
    if header(head, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return chunks(rest);
    }
    match header(head, "content-length") {
        Some(length) => {
            let length: usize = length.parse().map_err(|_| Fault::NotHttp)?;
            Ok((rest.get(..length).unwrap_or(rest).to_vec(), rest.len() >= length))
        }
        // The end of the connection is the end of the body.
        None => Ok((rest.to_vec(), end == End::Orderly)),
    }
}

/// The content of the chunks that came, and whether the last one came too.
fn chunks(mut rest: &[u8]) -> Result<(Vec<u8>, bool), Fault> {
    let mut content = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = from_utf8(&rest[..end]).map_err(|_| Fault::NotHttp)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| Fault::NotHttp)?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok((content, true));
        }
        let Some((chunk, after)) = rest.split_at_checked(size) else {
            content.extend_from_slice(rest);
            return Ok((content, false));
        };
        content.extend_from_slice(chunk);
        rest = match after {
            [b'\r', b'\n', after @ ..] => after,
            [] | [b'\r'] => break,
            _ => return Err(Fault::NotHttp),
        };
    }
    Ok((content, false))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let named = |line: &'a str| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    head.split("\r\n").skip(1).find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_only_if_it_is_whole() {
        let whole = |status, body: &str| Ok(Answer { status, body: body.to_owned() });
        let chunked = |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n{rest}");
        for (text, end, read_as) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd".to_owned(), End::Broken, whole(200, "abcd")),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcd".to_owned(), End::Orderly, Err(Fault::Cut)),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabcd".to_owned(),
                End::Orderly,
                Err(Fault::NotHttp),
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), End::Orderly, whole(204, "")),
            ("HTTP/1.0 200 OK\r\n\r\nabcd".to_owned(), End::Orderly, whole(200, "abcd")),
            ("HTTP/1.0 200 OK\r\n\r\nabcd".to_owned(), End::Broken, Err(Fault::Cut)),
            // The status of a refusal says enough.
            ("HTTP/1.1 413 x\r\nContent-Length: 5\r\n\r\nabcd".to_owned(), End::Broken, whole(413, "abcd")),
            (chunked("4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\n\r\n"), End::Orderly, whole(200, "abcdef")),
            (chunked("4\r\nabcd\r\n"), End::Orderly, Err(Fault::Cut)),
            (chunked("4\r\nabcd"), End::Orderly, Err(Fault::Cut)),
            (chunked("5\r\nabcd"), End::Orderly, Err(Fault::Cut)),
            (chunked("5"), End::Orderly, Err(Fault::Cut)),
            (chunked("ffffffffffffffff\r\nabcd"), End::Orderly, Err(Fault::Cut)),
            (chunked("x\r\nabcd\r\n0\r\n\r\n"), End::Orderly, Err(Fault::NotHttp)),
            (chunked("2\r\nabcd\r\n0\r\n\r\n"), End::Orderly, Err(Fault::NotHttp)),
            ("HTTP/1.1 200 OK\r\nContent-Le".to_owned(), End::Orderly, Err(Fault::NotHttp)),
            ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), End::Orderly, Err(Fault::NotHttp)),
        ] {
            assert_eq!(read(text.as_bytes(), end), read_as, "{text:?} {end:?}");
        }
    }
}
