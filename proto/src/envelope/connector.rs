//! A call for one version of a connector that another version may take: the request names that one instead (B03).
//!
//! The key sits three messages deep, so three lengths change with it. Nothing is decoded and encoded again, or what this
//! router does not know of a request would be lost: unknown fields stay, in their places.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Envelope, Kind};
use crate::icf::ConnectorKey;
use crate::wire::{Field, FieldValue, Fields, put_varint};

/// A length-delimited field in a frame.
struct Place {
    /// The whole field, tag and length included.
    span: Range<usize>,
    content: Range<usize>,
}

impl Envelope {
    /// [`Envelope::rewrite_id`], and the operation is asked of this connector; every other byte, known or not, stays. A text of
    /// the key that is as it was keeps its bytes.
    ///
    /// `None` if the frame is no operation, or does not name its connector exactly once: readers merge what is given twice, so
    /// nobody could say which connector they would see. The result is longer than the frame by no more than what `key` has more
    /// than the old key, and lengths; it takes one copy of the payload.
    pub fn rewrite_id_and_connector(&self, id: i64, key: &ConnectorKey) -> Option<Bytes> {
        let Kind::Operation(_) = self.kind else { return None };
        let frame = &self.frame;
        let request = only(frame, &(0..frame.len()), 2)?;
        let operation = only(frame, &request.content, 3)?;
        let connector = only(frame, &operation.content, 1)?;
        let new_key = rewrite_key(frame, &connector.content, key)?;

        let (connector_head, connector_bytes) = connector.head(frame, new_key.len());
        let operation_content = operation.content.len() - connector.span.len() + connector_bytes;
        let (operation_head, operation_bytes) = operation.head(frame, operation_content);
        let request_content = request.content.len() - operation.span.len() + operation_bytes;
        let (request_head, request_bytes) = request.head(frame, request_content);

        let mut out =
            BytesMut::with_capacity(frame.len() - request.span.len() + request_bytes + ID_BYTES_MAX);
        let moved = if id == self.message_id { 0..0 } else { self.id_span.clone() };
        if id != self.message_id && id != 0 {
            out.put_u8(0x08);
            put_varint(&mut out, id as u64);
        }
        put_without(&mut out, frame, 0..request.span.start, &moved);
        out.put_slice(&request_head);
        out.put_slice(&frame[request.content.start..operation.span.start]);
        out.put_slice(&operation_head);
        out.put_slice(&frame[operation.content.start..connector.span.start]);
        out.put_slice(&connector_head);
        out.put_slice(&new_key);
        out.put_slice(&frame[connector.span.end..operation.content.end]);
        out.put_slice(&frame[operation.span.end..request.content.end]);
        put_without(&mut out, frame, request.span.end..frame.len(), &moved);
        Some(out.freeze())
    }
}

/// Tag and value of the longest message id.
const ID_BYTES_MAX: usize = 11;

/// Tag and length of the longest text.
const HEAD_BYTES_MAX: usize = 11;

impl Place {
    /// The field's tag and length for a content of so many bytes, and the bytes of the whole field then. A length that does
    /// not change keeps its spelling.
    fn head(&self, frame: &[u8], content_bytes: usize) -> (BytesMut, usize) {
        let mut head = BytesMut::from(&frame[self.span.start..self.content.start]);
        if content_bytes != self.content.len() {
            let tag_bytes = head.iter().take_while(|byte| **byte >= 0x80).count() + 1;
            head.truncate(tag_bytes);
            put_varint(&mut head, content_bytes as u64);
        }
        let field_bytes = head.len() + content_bytes;
        (head, field_bytes)
    }
}

/// The only length-delimited field of that number in `frame[range]`; none if there are none or two.
fn only(frame: &[u8], range: &Range<usize>, number: u32) -> Option<Place> {
    let mut found = None;
    for field in Fields::within(frame, range) {
        let Field { number: at, value, span } = field.ok()?;
        match value {
            FieldValue::Bytes(content) if at == number => match found {
                None => found = Some(Place { span, content }),
                Some(_) => return None,
            },
            _ => {}
        }
    }
    found
}

/// The content of a connector key under the new texts, with whatever else it holds.
fn rewrite_key(frame: &[u8], content: &Range<usize>, key: &ConnectorKey) -> Option<BytesMut> {
    let texts = [&key.bundle_name, &key.bundle_version, &key.connector_name];
    let mut out = BytesMut::with_capacity(
        content.len() + texts.map(|text| text.len() + HEAD_BYTES_MAX).iter().sum::<usize>(),
    );
    let mut written = [false; 3];
    for field in Fields::within(frame, content) {
        let Field { number, value, span } = field.ok()?;
        match (number, value) {
            (1..=3, FieldValue::Bytes(old)) => {
                let at = number as usize - 1;
                if std::mem::replace(&mut written[at], true) {
                    return None;
                }
                match frame[old] == *texts[at].as_bytes() {
                    true => out.put_slice(&frame[span]),
                    false => put_text(&mut out, number, texts[at]),
                }
            }
            (1..=3, _) => return None,
            _ => out.put_slice(&frame[span]),
        }
    }
    for (number, (text, written)) in (1..).zip(texts.into_iter().zip(written)) {
        if !written {
            put_text(&mut out, number, text);
        }
    }
    Some(out)
}

/// Proto3 writers leave an empty text out.
fn put_text(out: &mut BytesMut, number: u32, text: &str) {
    if !text.is_empty() {
        put_varint(out, u64::from(number << 3 | 2));
        put_varint(out, text.len() as u64);
        out.put_slice(text.as_bytes());
    }
}

/// The bytes of a range but for those of another, which lies in it, or outside.
fn put_without(out: &mut BytesMut, frame: &[u8], range: Range<usize>, hole: &Range<usize>) {
    match range.start <= hole.start && hole.end <= range.end {
        true => {
            out.put_slice(&frame[range.start..hole.start]);
            out.put_slice(&frame[hole.end..range.end]);
        }
        false => out.put_slice(&frame[range]),
    }
}

#[cfg(test)]
mod tests;
