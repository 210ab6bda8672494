//! Frames as the engine takes them. What the engine needs of a frame beside its envelope is read in the task of the frame's socket, so that
//! the owner need not parse it (P10).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use rcs_proto::envelope::{AnswerHead, Envelope, Kind, OperationHead};
use rcs_proto::operation::Operation;

use super::facade::{Asked, Facade, facade_digest, page_digest};
use super::list::MemberList;
use crate::limits;

/// A frame with what the engine needs of it.
#[derive(Clone)]
pub struct Frame {
    /// The envelope of the frame.
    pub(super) envelope: Envelope,
    /// What was read beside the envelope.
    pub(super) read: Read,
}

impl AsRef<Envelope> for Frame {
    fn as_ref(&self) -> &Envelope {
        &self.envelope
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.envelope.fmt(f)
    }
}

/// What was read of a frame beside its envelope.
#[derive(Clone)]
pub(super) enum Read {
    /// Nothing: the envelope says all.
    Nothing,
    /// What a call asks for.
    Call(Asked),
    /// The call's connector key or facade key is longer than the router accepts, so neither was read.
    TooLong,
    /// What later requests name to go on after this answer: the cookie of a search, the tokens of a batch. See [`page_digest`].
    GoesOn(Vec<u64>),
    /// The configuration that changed at a member. See [`facade_digest`].
    Changed(u64),
    /// The connectors of a member. In a box, so that all other frames stay small.
    Connectors(Box<MemberList>),
}

impl Read {
    /// What later requests name to go on after this answer.
    pub(super) fn goes_on(&self) -> &[u64] {
        match self {
            Self::GoesOn(digests) => digests,
            _ => &[],
        }
    }
}

/// Reads the frames of one socket. Each socket's reading task has a reader of its own.
///
/// A configuration is digested and decoded once for a socket, as long as the engine remembers the configuration. The reader itself keeps no
/// configuration alive, so the bounds of the engine's memory hold for both.
#[derive(Default)]
pub struct FrameReader {
    /// The latest configurations of the socket, the latest first.
    configurations: VecDeque<Known>,
    /// The latest list of connectors of the socket, without its bytes.
    list: Option<MemberList>,
    /// Whether the socket is a caller's. Callers have no connectors, and run nothing for the router.
    is_callers: bool,
    /// Bytes of connector keys and facade keys that were digested so far.
    #[cfg(test)]
    pub(super) digested: usize,
}

/// A configuration that calls on a socket named.
struct Known {
    /// Bytes of the facade key: keys of another length need no comparison.
    bytes: usize,
    facade: Weak<Facade>,
}

impl FrameReader {
    /// A reader for a socket of a caller. The default one is for a socket of a member.
    pub fn of_caller() -> Self {
        Self { is_callers: true, ..Self::default() }
    }

    /// Reads what the engine needs of a frame.
    pub fn read(&mut self, envelope: Envelope) -> Frame {
        let read = match &envelope.kind {
            Kind::Operation(head) => self.read_request(head),
            Kind::Answer(_) | Kind::ControlResponse(_) if self.is_callers => Read::Nothing,
            Kind::Answer(head) => goes_on(head),
            Kind::ControlResponse(response) if !response.connector_infos.is_empty() => {
                let list = MemberList::read(response.connector_infos.clone(), self.list.as_ref());
                self.list = Some(list.without_bytes());
                Read::Connectors(Box::new(list))
            }
            _ => Read::Nothing,
        };
        Frame { envelope, read }
    }

    fn read_request(&mut self, head: &OperationHead) -> Read {
        if head.operation == Operation::Unknown {
            return Read::Nothing;
        }
        if head.facade_key.len() > limits::FACADE_KEY_BYTES_MAX
            || head.connector_key.len() > limits::CONNECTOR_KEY_BYTES_MAX
        {
            return Read::TooLong;
        }
        if head.operation == Operation::ConfigurationChange {
            return Read::Changed(facade_digest(&head.facade_key));
        }
        let facade = self.facade(head);
        Read::Call(Asked::of(head, facade))
    }

    /// The configuration that a call names.
    fn facade(&mut self, head: &OperationHead) -> Arc<Facade> {
        let bytes = head.facade_key.len();
        let found = self.configurations.iter().enumerate().find_map(|(at, known)| {
            let facade = (known.bytes == bytes).then(|| known.facade.upgrade()).flatten()?;
            facade.is(head).then_some((at, facade))
        });
        if let Some((at, facade)) = found {
            if at > 0
                && let Some(known) = self.configurations.remove(at)
            {
                self.configurations.push_front(known);
            }
            return facade;
        }
        let facade = Arc::new(Facade::new(head));
        #[cfg(test)]
        {
            self.digested += facade.bytes();
        }
        self.configurations.retain(|known| known.facade.strong_count() > 0);
        self.configurations.truncate(limits::CONFIGURATIONS_PER_SOCKET_MAX - 1);
        self.configurations.push_front(Known { bytes, facade: Arc::downgrade(&facade) });
        facade
    }
}

/// What later requests name to go on after this answer.
fn goes_on(head: &AnswerHead) -> Read {
    if !matches!(head.operation, Operation::Search | Operation::Batch) {
        return Read::Nothing;
    }
    let cookie = Some(head.paged_results_cookie()).filter(|cookie| !cookie.is_empty());
    let named = cookie.into_iter().chain(head.batch_tokens(limits::BATCH_TOKENS_MAX));
    let digests: Vec<u64> = named.map(|named| page_digest(&named)).collect();
    if digests.is_empty() { Read::Nothing } else { Read::GoesOn(digests) }
}
