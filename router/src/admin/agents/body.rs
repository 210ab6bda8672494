//! Reads the body of a request: within a bound, whatever it says of its length, and in however small pieces it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use tokio::time::{Instant, timeout_at};

use crate::limits::{AGENT_BODY_BYTES_PER_SECOND, AGENT_BODY_FIRST, AGENT_BODY_GRACE};

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyFault {
    /// The report is longer than the limit.
    #[error(
        "the report is longer than {0} bytes: remove files that are not part of the bundles from the reported folders"
    )]
    TooLarge(usize),
    /// The report came too slowly.
    #[error(
        "timeout: the report came too slowly: it must begin within {} s of its head, and bring {} KiB a second after {} s; send it again",
        AGENT_BODY_FIRST.as_secs(),
        AGENT_BODY_BYTES_PER_SECOND >> 10,
        AGENT_BODY_GRACE.as_secs()
    )]
    Late,
    /// The connection broke, or its chunks are malformed.
    #[error("the connection broke off before the end of the report; send it again")]
    Broken,
}

/// Its length, if it says so.
pub(super) fn stated_length(body: &Body) -> Option<u64> {
    body.size_hint().exact()
}

/// Reads the whole body, if it comes fast enough: a report that holds a place must use it.
///
/// # Errors
/// [`BodyFault`]; what says that it is too long is not read at all.
pub(super) async fn read(mut body: Body, most: usize) -> Result<Vec<u8>, BodyFault> {
    let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if least > most {
        return Err(BodyFault::TooLarge(most));
    }
    let start = Instant::now();
    // Pieces are copied together as they come: kept apart, a body in chunks of one byte would take many times its size.
    let mut bytes = Vec::with_capacity(least);
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let frame = timeout_at(start + time_for(bytes.len()), frame).await.map_err(|_| BodyFault::Late)?;
        let Some(frame) = frame else { return Ok(bytes) };
        let frame = frame.map_err(|_| BodyFault::Broken)?;
        let Ok(piece) = frame.into_data() else { continue };
        if bytes.len() + piece.len() > most {
            return Err(BodyFault::TooLarge(most));
        }
        bytes.extend_from_slice(&piece);
    }
}

/// The time in which more than this many bytes must have arrived.
fn time_for(bytes: usize) -> Duration {
    if bytes == 0 {
        return AGENT_BODY_FIRST;
    }
    AGENT_BODY_GRACE + Duration::from_secs(bytes as u64) / AGENT_BODY_BYTES_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound_and_not_beyond() {
        for (length, outcome) in [(0, Ok(0)), (9, Ok(9)), (10, Ok(10)), (11, Err(BodyFault::TooLarge(10)))] {
            let body = Body::from(vec![0; length]);
            assert_eq!(stated_length(&body), Some(length as u64));
            assert_eq!(read(body, 10).await.map(|bytes| bytes.len()), outcome, "{length}");
        }
    }

    #[test]
    fn a_body_has_time_for_what_it_brought() {
        assert_eq!(time_for(0), AGENT_BODY_FIRST);
        assert_eq!(time_for(1).as_secs(), AGENT_BODY_GRACE.as_secs());
        let second = AGENT_BODY_BYTES_PER_SECOND as usize;
        assert_eq!(time_for(3 * second), AGENT_BODY_GRACE + Duration::from_secs(3));
    }
}
