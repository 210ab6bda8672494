//! The hot path's view of a frame: ids, kind, connector key, operation, facade key, sequence. The payload stays as it came.
//!
//! prost would copy strings and drop unknown fields; this walk borrows from the frame and keeps everything
//! (WIRE section 2: "rewrite only field 1 of `RemoteMessage` and splice the other bytes through").

use std::fmt;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::icf::ConnectorKey;
use crate::limits;
use crate::messages;
use crate::operation::Operation;
use crate::wire::{FieldValue, Fields, WireError, put_varint, varint_len};
use crate::withheld::Withheld;

mod connector;
mod control;

/// Why a frame is not a message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not protobuf.
    #[error("the frame is not a protobuf message: {0}")]
    Wire(#[from] WireError),
    /// Something prost refused inside a handshake or control message.
    #[error("the frame's {0} cannot be decoded")]
    Inner(&'static str),
    /// A singular field given twice, or with another wire type: two readers might see two different messages.
    #[error("field {0} of the message is given twice or has the wrong type")]
    Ambiguous(u32),
    /// A list of a session check is longer than any check needs.
    #[error("a list of the frame's {what} has more than {max} entries")]
    TooLong {
        /// What the list is in.
        what: &'static str,
        /// The bound.
        max: usize,
    },
}

/// One frame, read as far as routing needs.
#[derive(Clone)]
pub struct Envelope {
    /// `RemoteMessage.messageId`; 0 when absent.
    pub message_id: i64,
    /// What the frame is.
    pub kind: Kind,
    frame: Bytes,
    id_span: Range<usize>,
}

/// What a frame is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A dialler introduces itself.
    HandshakeRequest(messages::HandshakeMessage),
    /// The acceptor's introduction.
    HandshakeResponse(messages::HandshakeMessage),
    /// A session check, or the question for connectors (WIRE 4.4). Its lists of ids are in ascending order, with each id once, and with at
    /// most [`crate::limits::CHECK_IDS_MAX`] entries.
    ControlRequest(messages::ControlRequest),
    /// The answer to a session check. Only its connectors are read.
    ControlResponse(messages::ControlResponse),
    /// A call, or a configuration event.
    Operation(OperationHead),
    /// An end to a call before its time; carries the call's id.
    Cancel,
    /// A frame of a call's answer.
    Answer(AnswerHead),
    /// An error that ends a call.
    Error(ErrorHead),
    /// None that this protocol version knows; what Java would say to it (WIRE 5.1).
    Unknown(UnknownKind),
}

/// Where the unknown part of a frame sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKind {
    /// Neither request nor response.
    Message,
    /// A request of no known kind.
    Request,
    /// A response of no known kind.
    Response,
}

/// What routing needs of an `OperationRequest`.
#[derive(Clone)]
pub struct OperationHead {
    /// Which operation; [`Operation::Unknown`] if none that we know.
    pub operation: Operation,
    /// The raw `ConnectorKey` message, empty if absent.
    pub connector_key: Bytes,
    /// The facade key's text, empty if absent. It holds secrets: never log it (LEGACY 6).
    pub facade_key: Bytes,
    /// The operation's own message, as it came.
    pub body: Bytes,
}

/// What routing needs of an `OperationResponse`.
#[derive(Clone)]
pub struct AnswerHead {
    /// Which operation is answered.
    pub operation: Operation,
    /// Which part of the answer this frame is.
    pub part: Part,
    /// The operation's own message, as it came.
    pub body: Bytes,
}

/// Which part of a call's answer a frame is (WIRE 5.2 to 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The one answer of a unary call.
    Only,
    /// One object or delta of a stream; numbered from 1.
    Item {
        /// Its number.
        sequence: i64,
    },
    /// The end of a stream.
    End {
        /// How many items the sender says it sent.
        count: i64,
        /// Whether the end carries a `result` or a token; one that lacks it may be cut short (WIRE 5.3).
        has_result: bool,
    },
    /// A frame of a subscription.
    Event {
        /// Whether it ends the subscription.
        completed: bool,
    },
    /// A frame of a batch.
    Batch(BatchPart),
}

/// Which of the three frames of a batch (WIRE 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchPart {
    /// (a) The result of one task.
    Result {
        /// Whether it is the last result.
        complete: bool,
        /// Whether the task failed. After such a result the caller may end the batch, whatever else comes.
        failed: bool,
    },
    /// (b) The token.
    Token {
        /// Whether results come as frames of this call.
        returns_results: bool,
        /// Whether the caller must ask for the results with the token, in another batch.
        query_required: bool,
    },
    /// (c) The end of the tasks.
    Complete,
}

/// What routing needs of an `ExceptionMessage`.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorHead {
    /// Java class name.
    pub class: String,
    /// The text; may hold what a connector put there, so it is passed on and never logged.
    pub message: String,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Envelope");
        shown.field("message_id", &self.message_id).field("kind", &self.kind);
        shown.field("frame", &Withheld(&self.frame)).finish()
    }
}

impl fmt::Debug for OperationHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OperationHead");
        shown.field("operation", &self.operation).field("facade_key", &Withheld(&self.facade_key));
        shown.field("body", &Withheld(&self.body)).finish_non_exhaustive()
    }
}

impl fmt::Debug for AnswerHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AnswerHead");
        shown.field("operation", &self.operation).field("part", &self.part);
        shown.field("body", &Withheld(&self.body)).finish()
    }
}

impl fmt::Debug for ErrorHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ErrorHead");
        shown.field("class", &self.class).field("message", &Withheld(self.message.as_bytes())).finish()
    }
}

impl AsRef<Self> for Envelope {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Envelope {
    /// Reads one binary WebSocket frame.
    pub fn parse(frame: Bytes) -> Result<Self, FrameError> {
        let (mut id, mut id_span) = (0i64, 0..0);
        let (mut request, mut response) = (None, None);
        for field in Fields::new(&frame) {
            let field = field?;
            match (field.number, field.value) {
                (1, FieldValue::Varint(value)) if id_span.is_empty() => {
                    (id, id_span) = (value as i64, field.span)
                }
                (2, FieldValue::Bytes(range)) if request.is_none() => request = Some(range),
                (3, FieldValue::Bytes(range)) if response.is_none() => response = Some(range),
                (number @ 1..=3, _) => return Err(FrameError::Ambiguous(number)),
                _ => {}
            }
        }
        let kind = match (request, response) {
            (Some(range), _) => request_kind(&frame, &range)?,
            (None, Some(range)) => response_kind(&frame, &range)?,
            (None, None) => Kind::Unknown(UnknownKind::Message),
        };
        Ok(Self { message_id: id, kind, frame, id_span })
    }

    /// The frame as it came.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Bytes of the frame.
    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// The same frame under another message id; every other byte, known or not, stays (one copy of the payload).
    pub fn rewrite_id(&self, id: i64) -> Bytes {
        if id == self.message_id {
            return self.frame.clone();
        }
        let (before, after) = (&self.frame[..self.id_span.start], &self.frame[self.id_span.end..]);
        let mut out = BytesMut::with_capacity(1 + varint_len(id as u64) + before.len() + after.len());
        if id != 0 {
            out.put_u8(0x08);
            put_varint(&mut out, id as u64);
        }
        out.put_slice(before);
        out.put_slice(after);
        out.freeze()
    }
}

impl OperationHead {
    /// The connector that the call is for, if the request names one.
    pub fn connector(&self) -> Option<ConnectorKey> {
        let key = messages::ConnectorKey::decode(self.connector_key.clone()).ok()?;
        let named = !(key.bundle_name.is_empty() && key.connector_name.is_empty());
        named.then_some(ConnectorKey {
            bundle_name: key.bundle_name,
            bundle_version: key.bundle_version,
            connector_name: key.connector_name,
        })
    }

    /// The object class that a search or a sync goes over, empty if it has none.
    pub fn object_class(&self) -> Bytes {
        match self.operation {
            Operation::Search => last_bytes(&self.body, 1),
            Operation::Sync => last_bytes(&last_bytes(&self.body, 1), 1),
            _ => Bytes::new(),
        }
    }

    /// The object class of the operation, for people; empty if there is none. Only the first fields of the request are read, so that the
    /// cost does not grow with the request. Every known writer puts the class first.
    pub fn object_class_told(&self) -> Bytes {
        let first = |message: &Bytes, number: u32| {
            let mut fields = Fields::new(message).map_while(Result::ok).take(FIELDS_LOOKED_AT);
            fields.find_map(|field| match field.value {
                FieldValue::Bytes(range) if field.number == number => Some(message.slice(range)),
                _ => None,
            })
        };
        let class = match self.operation {
            Operation::Sync => first(&self.body, 1).and_then(|sync| first(&sync, 1)),
            Operation::LatestSyncToken => first(&self.body, 2).and_then(|sync| first(&sync, 1)),
            Operation::Authenticate
            | Operation::Create
            | Operation::ConnectorEventSubscription
            | Operation::Delete
            | Operation::Get
            | Operation::ResolveUsername
            | Operation::Search
            | Operation::SyncEventSubscription
            | Operation::Update => first(&self.body, 1),
            Operation::Schema
            | Operation::ScriptOnConnector
            | Operation::ScriptOnResource
            | Operation::Test
            | Operation::Validate
            | Operation::ConfigurationChange
            | Operation::Batch
            | Operation::Unknown => None,
        };
        class.unwrap_or_default()
    }

    /// The legacy `OperationOptions` of a search, empty if it has none.
    pub fn search_options(&self) -> Bytes {
        match self.operation {
            Operation::Search => last_bytes(&self.body, 3),
            _ => Bytes::new(),
        }
    }

    /// The first tokens of a batch that asks for the results of an earlier batch (WIRE 5.6), at most `max`. A batch of tasks has none.
    pub fn batch_tokens(&self, max: usize) -> Vec<Bytes> {
        let is_query = Fields::new(&self.body)
            .map_while(Result::ok)
            .any(|field| field.number == 1 && matches!(field.value, FieldValue::Varint(value) if value != 0));
        match self.operation {
            Operation::Batch if is_query => all_bytes(&self.body, 3, max),
            _ => Vec::new(),
        }
    }
}

impl AnswerHead {
    /// The first tokens that a batch gives for its results (WIRE 5.6), at most `max`.
    pub fn batch_tokens(&self, max: usize) -> Vec<Bytes> {
        match (self.operation, self.part) {
            (Operation::Batch, Part::Batch(BatchPart::Token { .. })) => all_bytes(&self.body, 1, max),
            _ => Vec::new(),
        }
    }

    /// The cookie of the next page in the end of a search (`result.pagedResultsCookie`), empty if there is none.
    pub fn paged_results_cookie(&self) -> Bytes {
        match (self.operation, self.part) {
            (Operation::Search, Part::End { has_result: true, .. }) => {
                last_bytes(&last_bytes(&self.body, 2), 1)
            }
            _ => Bytes::new(),
        }
    }
}

/// The number of fields at the beginning of a request among which its object class is looked for.
const FIELDS_LOOKED_AT: usize = 8;

/// The content of the last length-delimited field of that number, empty if there is none. Only the first
/// [`crate::limits::FIELDS_READ_MAX`] fields are looked at.
fn last_bytes(message: &Bytes, number: u32) -> Bytes {
    let mut found = Bytes::new();
    for field in Fields::new(message).map_while(Result::ok).take(limits::FIELDS_READ_MAX) {
        if let (true, FieldValue::Bytes(range)) = (field.number == number, field.value) {
            found = message.slice(range);
        }
    }
    found
}

/// The contents of the first length-delimited fields with this number, at most `max`. Empty contents are left out.
fn all_bytes(message: &Bytes, number: u32, max: usize) -> Vec<Bytes> {
    let of_it = Fields::new(message).map_while(Result::ok).filter_map(|field| match field.value {
        FieldValue::Bytes(range) if field.number == number && !range.is_empty() => Some(message.slice(range)),
        _ => None,
    });
    of_it.take(max).collect()
}

/// The sub-message of the lowest number among 1 to 4: the order in which Java looks.
fn first_kind(frame: &Bytes, range: &Range<usize>) -> Result<Option<(u32, Range<usize>)>, FrameError> {
    let mut first: Option<(u32, Range<usize>)> = None;
    for field in Fields::within(frame, range) {
        let field = field?;
        let FieldValue::Bytes(body) = field.value else { continue };
        if (1..=4).contains(&field.number) && first.as_ref().is_none_or(|(number, _)| field.number < *number)
        {
            first = Some((field.number, body));
        }
    }
    Ok(first)
}

fn request_kind(frame: &Bytes, range: &Range<usize>) -> Result<Kind, FrameError> {
    let Some((number, body)) = first_kind(frame, range)? else {
        return Ok(Kind::Unknown(UnknownKind::Request));
    };
    Ok(match number {
        1 => Kind::HandshakeRequest(decode(frame.slice(body), "handshake")?),
        2 => Kind::ControlRequest(control::request(frame, &body)?),
        3 => Kind::Operation(operation_head(frame, &body)?),
        _ => Kind::Cancel,
    })
}

fn response_kind(frame: &Bytes, range: &Range<usize>) -> Result<Kind, FrameError> {
    let Some((number, body)) = first_kind(frame, range)? else {
        return Ok(Kind::Unknown(UnknownKind::Response));
    };
    Ok(match number {
        1 => Kind::HandshakeResponse(decode(frame.slice(body), "handshake")?),
        2 => Kind::ControlResponse(control::response(frame, &body)?),
        3 => Kind::Answer(answer_head(frame, &body)?),
        _ => Kind::Error(control::error(frame, &body)?),
    })
}

fn decode<M: Message + Default>(bytes: Bytes, what: &'static str) -> Result<M, FrameError> {
    M::decode(bytes).map_err(|_| FrameError::Inner(what))
}

fn operation_head(frame: &Bytes, range: &Range<usize>) -> Result<OperationHead, FrameError> {
    let (mut connector_key, mut facade_key) = (0..0, 0..0);
    let mut chosen: Option<(Operation, Range<usize>)> = None;
    for field in Fields::within(frame, range) {
        let field = field?;
        let FieldValue::Bytes(body) = field.value else { continue };
        match field.number {
            1 => connector_key = body,
            2 => facade_key = body,
            number => {
                let Some(operation) = Operation::of_request(number) else { continue };
                if chosen.as_ref().is_none_or(|(other, _)| operation.java_rank() < other.java_rank()) {
                    chosen = Some((operation, body));
                }
            }
        }
    }
    let (operation, body) = chosen.unwrap_or((Operation::Unknown, 0..0));
    let body = frame.slice(body);
    let operation = if operation == Operation::Sync { which_sync(&body)? } else { operation };
    Ok(OperationHead {
        operation,
        connector_key: frame.slice(connector_key),
        facade_key: frame.slice(facade_key),
        body,
    })
}

/// A sync request and its answer hold either a sync (field 1) or the question for the latest token (field 2).
fn which_sync(body: &[u8]) -> Result<Operation, FrameError> {
    let mut operation = Operation::LatestSyncToken;
    for field in Fields::new(body) {
        if field?.number == 1 {
            operation = Operation::Sync;
        }
    }
    Ok(if body.is_empty() { Operation::Sync } else { operation })
}

fn answer_head(frame: &Bytes, range: &Range<usize>) -> Result<AnswerHead, FrameError> {
    for field in Fields::within(frame, range) {
        let field = field?;
        let FieldValue::Bytes(body) = field.value else { continue };
        let Some(operation) = Operation::of_response(field.number) else { continue };
        let body = frame.slice(body);
        let operation = if operation == Operation::Sync { which_sync(&body)? } else { operation };
        let part = match operation {
            Operation::Search => stream_part(&body, 1, 2, 3)?,
            Operation::Sync => stream_part(&last_bytes(&body, 1), 1, 2, 3)?,
            Operation::ConnectorEventSubscription | Operation::SyncEventSubscription => event_part(&body)?,
            Operation::Batch => batch_part(&body)?,
            _ => Part::Only,
        };
        return Ok(AnswerHead { operation, part, body });
    }
    Ok(AnswerHead { operation: Operation::Unknown, part: Part::Only, body: Bytes::new() })
}

fn stream_part(body: &[u8], sequence_no: u32, result_no: u32, item_no: u32) -> Result<Part, FrameError> {
    let (mut sequence, mut has_result, mut has_item) = (0, false, false);
    for field in Fields::new(body) {
        let field = field?;
        match field.value {
            FieldValue::Varint(value) if field.number == sequence_no => sequence = value as i64,
            FieldValue::Bytes(_) if field.number == result_no => has_result = true,
            FieldValue::Bytes(_) if field.number == item_no => has_item = true,
            _ => {}
        }
    }
    Ok(if has_item { Part::Item { sequence } } else { Part::End { count: sequence, has_result } })
}

fn event_part(body: &[u8]) -> Result<Part, FrameError> {
    let mut completed = false;
    for field in Fields::new(body) {
        let field = field?;
        if let (2, FieldValue::Varint(value)) = (field.number, field.value) {
            completed = value != 0;
        }
    }
    Ok(Part::Event { completed })
}

fn batch_part(body: &[u8]) -> Result<Part, FrameError> {
    let (mut is_result, mut complete, mut failed) = (false, false, false);
    let (mut returns_results, mut query_required) = (false, false);
    for field in Fields::new(body) {
        let field = field?;
        match (field.number, field.value) {
            (2, FieldValue::Bytes(range)) => is_result |= !range.is_empty(),
            (8 | 9, FieldValue::Bytes(_)) => is_result = true,
            (3, FieldValue::Varint(value)) => complete = value != 0,
            (4, FieldValue::Varint(value)) => failed = value != 0,
            (5, FieldValue::Varint(value)) => query_required = value != 0,
            (7, FieldValue::Varint(value)) => returns_results = value != 0,
            _ => {}
        }
    }
    Ok(Part::Batch(match (is_result, complete) {
        (true, complete) => BatchPart::Result { complete, failed },
        (false, true) => BatchPart::Complete,
        (false, false) => BatchPart::Token { returns_results, query_required },
    }))
}

#[cfg(test)]
mod tests;
