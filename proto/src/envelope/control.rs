//! Session checks and errors, read by hand. prost would reserve memory for every id of a list, and a list may fill a message (8 bytes of
//! memory for each byte of the message). Here lists are bounded while they are read, in the task that reads the socket.

use std::ops::Range;

use bytes::Bytes;

use super::{ErrorHead, FrameError};
use crate::limits;
use crate::messages::{ControlRequest, ControlResponse};
use crate::wire::{FieldValue, Fields, varint};

/// A session check. Its lists of ids are in ascending order, each id once.
pub(super) fn request(frame: &Bytes, range: &Range<usize>) -> Result<ControlRequest, FrameError> {
    const WHAT: &str = "control request";
    let mut levels = List::new(limits::CHECK_LEVELS_MAX);
    let (mut local, mut remote) = (List::new(limits::CHECK_IDS_MAX), List::new(limits::CHECK_IDS_MAX));
    for field in Fields::within(frame, range) {
        let field = field.map_err(|_| FrameError::Inner(WHAT))?;
        let list = match field.number {
            1 => &mut levels,
            2 => &mut local,
            3 => &mut remote,
            _ => continue,
        };
        list.add(frame, field.value, WHAT)?;
    }
    Ok(ControlRequest {
        // An enum uses the lower 32 bits, as everywhere in protobuf.
        info_level: levels.items.into_iter().map(|level| level as i32).collect(),
        local_request_id: local.in_order(),
        remote_request_id: remote.in_order(),
    })
}

/// The answer to a session check. Only its connectors have a meaning for users of this crate.
pub(super) fn response(frame: &Bytes, range: &Range<usize>) -> Result<ControlResponse, FrameError> {
    const WHAT: &str = "control response";
    let mut connector_infos = Bytes::new();
    for field in Fields::within(frame, range) {
        let field = field.map_err(|_| FrameError::Inner(WHAT))?;
        match (field.number, field.value) {
            (2, FieldValue::Bytes(range)) => connector_infos = frame.slice(range),
            (2, _) => return Err(FrameError::Inner(WHAT)),
            _ => {}
        }
    }
    Ok(ControlResponse { connector_infos, ..ControlResponse::default() })
}

/// An error without its causes and its stack trace.
pub(super) fn error(frame: &Bytes, range: &Range<usize>) -> Result<ErrorHead, FrameError> {
    const WHAT: FrameError = FrameError::Inner("error");
    let (mut class, mut message) = (0..0, 0..0);
    for field in Fields::within(frame, range) {
        let field = field.map_err(|_| WHAT)?;
        match (field.number, field.value) {
            (1, FieldValue::Bytes(range)) => class = range,
            (2, FieldValue::Bytes(range)) => message = range,
            (1 | 2, _) => return Err(WHAT),
            _ => {}
        }
    }
    let text = |range| std::str::from_utf8(&frame[range]).map(str::to_owned).map_err(|_| WHAT);
    Ok(ErrorHead { class: text(class)?, message: text(message)? })
}

/// A repeated number, packed or not.
struct List {
    items: Vec<i64>,
    max: usize,
}

impl List {
    fn new(max: usize) -> Self {
        Self { items: Vec::new(), max }
    }

    fn add(&mut self, frame: &[u8], value: FieldValue, what: &'static str) -> Result<(), FrameError> {
        match value {
            FieldValue::Varint(item) => self.push(item, what),
            FieldValue::Bytes(range) => {
                let mut rest = &frame[range];
                while !rest.is_empty() {
                    let (item, after) = varint(rest).map_err(|_| FrameError::Inner(what))?;
                    self.push(item, what)?;
                    rest = after;
                }
                Ok(())
            }
            FieldValue::Fixed => Err(FrameError::Inner(what)),
        }
    }

    fn push(&mut self, item: u64, what: &'static str) -> Result<(), FrameError> {
        if self.items.len() >= self.max {
            return Err(FrameError::TooLong { what, max: self.max });
        }
        self.items.push(item as i64);
        Ok(())
    }

    fn in_order(mut self) -> Vec<i64> {
        self.items.sort_unstable();
        self.items.dedup();
        self.items
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::envelope::{Envelope, Kind};
    use crate::frames::{self, Ask};
    use crate::messages::{ExceptionMessage, InnerCause};
    use crate::wire::put_varint;

    /// A frame whose control request has this content.
    fn control(body: &[u8]) -> Bytes {
        let mut inner = vec![0x12];
        put_varint(&mut inner, body.len() as u64);
        inner.extend_from_slice(body);
        let mut frame = vec![0x08, 1, 0x12];
        put_varint(&mut frame, inner.len() as u64);
        frame.extend_from_slice(&inner);
        frame.into()
    }

    fn read(frame: Bytes) -> Result<ControlRequest, FrameError> {
        match Envelope::parse(frame)?.kind {
            Kind::ControlRequest(request) => Ok(request),
            other => panic!("{other:?}"),
        }
    }

    fn unpacked(field: u8, count: usize) -> Vec<u8> {
        [field << 3, 7].repeat(count)
    }

    fn packed(field: u8, count: usize) -> Vec<u8> {
        let mut body = vec![(field << 3) | 2];
        put_varint(&mut body, count as u64);
        body.resize(body.len() + count, 7);
        body
    }

    #[test]
    fn lists_come_in_order_whatever_their_form() {
        let frame = frames::control_request(5, Ask::ConnectorInfo, &[3, -1, 3], &[9, 8]);
        let request = read(frame).unwrap();
        assert_eq!(request.info_level, [0]);
        assert_eq!((request.local_request_id, request.remote_request_id), (vec![-1, 3], vec![8, 9]));
        let mixed = [unpacked(2, 1), vec![0x12, 2, 4, 5], unpacked(9, 2), vec![0x10, 1]].concat();
        assert_eq!(read(control(&mixed)).unwrap().local_request_id, [1, 4, 5, 7]);
    }

    #[test]
    fn a_list_over_the_bound_is_no_check_whatever_its_form() {
        for (field, max) in
            [(1, limits::CHECK_LEVELS_MAX), (2, limits::CHECK_IDS_MAX), (3, limits::CHECK_IDS_MAX)]
        {
            for list in [unpacked, packed] {
                assert!(read(control(&list(field, max))).is_ok(), "field {field}");
                let over = read(control(&list(field, max + 1)));
                assert!(
                    matches!(over, Err(FrameError::TooLong { max: told, .. }) if told == max),
                    "{over:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for body in [&[0x12, 1, 0x80][..], &[0x15, 0, 0, 0, 0], &[0x10], &[0x12, 5, 1]] {
            assert_eq!(read(control(body)).unwrap_err(), FrameError::Inner("control request"), "{body:?}");
        }
    }

    #[test]
    fn an_error_is_read_without_its_causes() {
        let cause = Some(Box::new(InnerCause { message: "inner".to_owned(), ..InnerCause::default() }));
        let whole = ExceptionMessage {
            exception_class: "a.B".to_owned(),
            message: "größe".to_owned(),
            inner_cause: cause.map(|cause| *cause),
            stack_trace: "at".to_owned(),
        };
        let body = Bytes::from(whole.encode_to_vec());
        let head = error(&body, &(0..body.len())).unwrap();
        assert_eq!((head.class.as_str(), head.message.as_str()), ("a.B", "größe"));
        let bad = Bytes::from_static(&[0x0a, 1, 0xff]);
        assert_eq!(error(&bad, &(0..3)).unwrap_err(), FrameError::Inner("error"));
    }
}
