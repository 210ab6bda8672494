//! Snapshots as streams of parts.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::timeout;
use tonic::Status;

use crate::limits::{
    SNAPSHOT_BYTES_MAX, SNAPSHOT_PART_BYTES, SNAPSHOT_PART_TIME_MAX, SNAPSHOT_RESERVED_BYTES,
};
use crate::messages::SnapshotPart;
use crate::messages::snapshot_part::{Head, Part};
use crate::rpc::Rejected;

/// The head, with the content's length, and then the content.
pub(super) fn parts(head: Head, content: Bytes) -> impl Stream<Item = SnapshotPart> + Send + 'static {
    let head = Head { length: content.len() as u64, ..head };
    let cuts = (0..content.len()).step_by(SNAPSHOT_PART_BYTES);
    let pieces = cuts.map(move |at| content.slice(at..content.len().min(at + SNAPSHOT_PART_BYTES)));
    let pieces = pieces.map(Part::Content);
    stream::iter(
        std::iter::once(Part::Head(head)).chain(pieces).map(|part| SnapshotPart { part: Some(part) }),
    )
}

/// Why no snapshot came.
pub(super) enum Cut {
    /// The stream is not what it should be.
    Malformed(String),
    /// The sender ended the stream, or what it sent cannot be decoded.
    Broken(Status),
    /// The next part did not come in time.
    Slow,
}

impl From<Cut> for Status {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Malformed(reason) => Self::invalid_argument(Rejected::Malformed(reason).to_string()),
            Cut::Broken(status) => status,
            Cut::Slow => Self::deadline_exceeded(format!(
                "the next part of the snapshot did not come within {SNAPSHOT_PART_TIME_MAX:?}"
            )),
        }
    }
}

async fn next(
    stream: &mut (impl Stream<Item = Result<SnapshotPart, Status>> + Unpin),
) -> Result<Option<Part>, Cut> {
    match timeout(SNAPSHOT_PART_TIME_MAX, stream.next()).await {
        Err(_) => Err(Cut::Slow),
        Ok(None) => Ok(None),
        Ok(Some(Err(status))) => Err(Cut::Broken(status)),
        Ok(Some(Ok(SnapshotPart { part: Some(part) }))) => Ok(Some(part)),
        Ok(Some(Ok(_))) => Err(Cut::Malformed("a part of the snapshot is empty".to_owned())),
    }
}

/// The first part of a stream. A snapshot that is announced to be too long is refused here.
pub(super) async fn head(
    stream: &mut (impl Stream<Item = Result<SnapshotPart, Status>> + Unpin),
) -> Result<Head, Cut> {
    match next(stream).await? {
        Some(Part::Head(head)) if head.length > SNAPSHOT_BYTES_MAX as u64 => Err(Cut::Malformed(format!(
            "the snapshot has {} bytes, more than the {SNAPSHOT_BYTES_MAX} that routers accept",
            head.length
        ))),
        Some(Part::Head(head)) => Ok(head),
        _ => Err(Cut::Malformed("the first part of the snapshot is not its head".to_owned())),
    }
}

/// The content: exactly the bytes that the head announced.
pub(super) async fn content(
    stream: &mut (impl Stream<Item = Result<SnapshotPart, Status>> + Unpin),
    length: u64,
) -> Result<Bytes, Cut> {
    let announced = usize::try_from(length).unwrap_or(usize::MAX);
    let mut content = BytesMut::with_capacity(announced.min(SNAPSHOT_RESERVED_BYTES));
    while let Some(part) = next(stream).await? {
        let Part::Content(bytes) = part else {
            return Err(Cut::Malformed("the snapshot has a second head".to_owned()));
        };
        if bytes.is_empty() || content.len() + bytes.len() > announced {
            return Err(Cut::Malformed(format!(
                "the snapshot is longer than the {announced} bytes of its head"
            )));
        }
        content.extend_from_slice(&bytes);
    }
    if content.len() < announced {
        return Err(Cut::Malformed(format!(
            "the snapshot ends after {} of {announced} bytes",
            content.len()
        )));
    }
    Ok(content.freeze())
}
