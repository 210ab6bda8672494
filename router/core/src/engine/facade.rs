//! What a call names: the configuration of a connector (its facade key), a page of a paged search, a kind of stream.
//!
//! All of it is read in the task of the call's socket; the owner compares digests and pointers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcs_proto::envelope::OperationHead;
use rcs_proto::icf::ApiConfiguration;
use rcs_proto::legacy::{self, facade_key};
use rcs_proto::operation::Operation;
use sha1::{Digest, Sha1};

use crate::digest64::digest64;
use crate::ids::MemberId;
use crate::limits;
use crate::verdict::Paging;

/// Names a configuration by the exact text of its facade key, as members do (LEGACY 8).
pub(super) fn facade_digest(facade_key: &[u8]) -> u64 {
    short(&Sha1::digest(facade_key).into())
}

/// The first 64 bits.
fn short([a, b, c, d, e, f, g, h, ..]: &[u8; 20]) -> u64 {
    u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])
}

/// Names a cookie of a paged search, or a token of a batch. Kept as a digest, because cookies are opaque and may hold data of the resource.
pub(super) fn page_digest(cookie: &[u8]) -> u64 {
    digest64(&[cookie])
}

/// Names a page: a cookie means something only to the connector and configuration that gave it.
pub(super) fn page(facade: u64, cookie: u64) -> u64 {
    digest64(&[&facade.to_le_bytes(), &cookie.to_le_bytes()])
}

/// What a call asks for, as far as its way depends on it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The configuration.
    pub(super) facade: Arc<Facade>,
    /// For a search or a batch: what it goes on after, see [`page`]. Nothing if it starts anew.
    pub(super) goes_on_after: Option<Vec<u64>>,
    /// For a search or a sync: the kind of stream, by which its end is judged.
    pub(super) stream: Option<StreamKind>,
}

impl Asked {
    /// What this request asks for with this configuration.
    pub(super) fn of(head: &OperationHead, facade: Arc<Facade>) -> Self {
        let (goes_on_after, stream) = match head.operation {
            Operation::Batch => {
                let tokens = head.batch_tokens(limits::BATCH_TOKENS_MAX);
                (Some(tokens.iter().map(|token| page(facade.digest, page_digest(token))).collect()), None)
            }
            Operation::Search => {
                // Options that cannot be read pass through unread (LEGACY 12): the member may understand them.
                let options = legacy::options_page(&head.search_options()).unwrap_or_default();
                let cookie = options.cookie.filter(|cookie| !cookie.is_empty());
                let paged = if options.has_size || cookie.is_some() { Paged::Yes } else { Paged::No };
                let page = cookie.map(|cookie| page(facade.digest, page_digest(cookie.as_bytes())));
                (Some(page.into_iter().collect()), StreamKind::of(head, &facade, paged))
            }
            _ => (None, StreamKind::of(head, &facade, Paged::No)),
        };
        Self { facade, goes_on_after, stream }
    }
}

/// Which pages a search belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pages {
    /// Digest of the facade key.
    pub(super) facade: u64,
    /// Whether the search continues another.
    pub(super) paging: Paging,
    /// The member that gave the search its cookie, if the router saw that.
    pub(super) member: Option<MemberId>,
}

/// Distinguishes one configuration of one connector from all others, whoever uses the configuration, in whatever group. The digest has no
/// key, because it stays in the engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConfigurationDigest([u8; 20]);

impl ConfigurationDigest {
    /// The digest of a connector key and of a facade key that has this digest. SHA-1 is used so that nobody can find a second configuration
    /// with the same digest.
    fn of(connector_key: &[u8], facade_key: &[u8; 20]) -> Self {
        let mut hash = Sha1::new();
        hash.update(facade_key);
        hash.update(connector_key);
        Self(hash.finalize().into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(test)]
    pub(super) const fn numbered(number: u8) -> Self {
        Self([number; 20])
    }

    #[cfg(test)]
    pub(super) const fn of_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ConfigurationDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigurationDigest")
    }
}

/// One configuration of one connector, as calls name it. The key holds secrets and never leaves this type but in a frame.
pub(super) struct Facade {
    pub(super) connector_key: Bytes,
    pub(super) key: Bytes,
    /// Names the configuration by its exact text, as members do (LEGACY 8).
    pub(super) digest: u64,
    /// Names the configuration together with its connector.
    pub(super) configuration: ConfigurationDigest,
    /// How long the caller waits for each operation; absent where the caller waits for ever.
    timeouts: Vec<(Operation, Duration)>,
}

impl fmt::Debug for Facade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Facade({:x})", self.digest)
    }
}

impl Facade {
    pub(super) fn new(head: &OperationHead) -> Self {
        // A facade key may be long, so it is digested once.
        let digest: [u8; 20] = Sha1::digest(&head.facade_key).into();
        Self {
            // Copies: the slices would keep the whole frame alive.
            connector_key: Bytes::copy_from_slice(&head.connector_key),
            key: Bytes::copy_from_slice(&head.facade_key),
            digest: short(&digest),
            configuration: ConfigurationDigest::of(&head.connector_key, &digest),
            // A key that cannot be read passes through unread (LEGACY 12): the member may understand it.
            timeouts: facade_key::decode(&head.facade_key).map_or(Vec::new(), |facade| timeouts(&facade)),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.key.len() + self.connector_key.len()
    }

    pub(super) fn is(&self, head: &OperationHead) -> bool {
        self.key == head.facade_key && self.connector_key == head.connector_key
    }

    /// How long the caller waits for this operation, if the facade key says so (WIRE 5.1: the map travels in the key).
    pub(super) fn timeout(&self, operation: Operation) -> Option<Duration> {
        self.timeouts.iter().find(|(of, _)| *of == operation).map(|(_, timeout)| *timeout)
    }
}

fn timeouts(configuration: &ApiConfiguration) -> Vec<(Operation, Duration)> {
    let limited = configuration.timeouts_ms.iter().filter_map(|(class, ms)| {
        let ms = u64::try_from(*ms).ok().filter(|ms| *ms > 0)?;
        Some((Operation::of_api_class(&class.name)?, Duration::from_millis(ms)))
    });
    let mut timeouts: Vec<(Operation, Duration)> = Vec::new();
    for (operation, timeout) in limited {
        // A map may name an operation again and again. The first one counts.
        if !timeouts.iter().any(|(known, _)| *known == operation) {
            timeouts.push((operation, timeout));
        }
    }
    timeouts
}

/// Searches or syncs whose ends look alike: of one configuration of one connector, for one object class, paged or not. A
/// digest; scripted connectors differ from class to class, and some send a result only for pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamKind(u64);

/// Whether a search asks for pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paged {
    /// The search asks for pages.
    Yes,
    /// The search asks for no pages, or the call is a sync.
    No,
}

impl StreamKind {
    /// The kind of stream that a call is; none if its answer is no stream.
    pub(super) fn of(head: &OperationHead, facade: &Facade, paged: Paged) -> Option<Self> {
        if !matches!(head.operation, Operation::Search | Operation::Sync) {
            return None;
        }
        let facade_digest = facade.digest.to_le_bytes();
        let class = head.object_class();
        let label = head.operation.label().as_bytes();
        Some(Self(digest64(&[label, &facade_digest, &facade.connector_key, &class, &[paged as u8]])))
    }

    #[cfg(test)]
    pub(super) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}
