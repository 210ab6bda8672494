//! Reads the body of a request: within a bound, whatever it says of its length, and in however small pieces it comes.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody};
use tokio::time::timeout;

use crate::limits::AGENT_BODY_DEADLINE;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyFault {
    /// The report is longer than the limit.
    #[error(
        "the report is longer than {0} bytes: remove files that are not part of the bundles from the reported folders"
    )]
    TooLarge(usize),
    /// The report did not end in time.
    #[error("timeout: the report did not come within {} s; send it again", AGENT_BODY_DEADLINE.as_secs())]
    Late,
    /// The connection broke, or its chunks are malformed.
    #[error("the connection broke off before the end of the report; send it again")]
    Broken,
}

/// Its length, if it says so.
pub(super) fn stated_length(body: &Body) -> Option<u64> {
    body.size_hint().exact()
}

/// The whole body.
///
/// # Errors
/// [`BodyFault`]; what says that it is too long is not read at all.
pub(super) async fn read(body: Body, most: usize) -> Result<Vec<u8>, BodyFault> {
    timeout(AGENT_BODY_DEADLINE, read_slowly(body, most)).await.unwrap_or(Err(BodyFault::Late))
}

async fn read_slowly(mut body: Body, most: usize) -> Result<Vec<u8>, BodyFault> {
    let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if least > most {
        return Err(BodyFault::TooLarge(most));
    }
    // Pieces are copied together as they come: kept apart, a body in chunks of one byte would take many times its size.
    let mut bytes = Vec::with_capacity(least);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| BodyFault::Broken)?;
        let Ok(piece) = frame.into_data() else { continue };
        if bytes.len() + piece.len() > most {
            return Err(BodyFault::TooLarge(most));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
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
}
