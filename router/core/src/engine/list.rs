//! The list of connectors that a member reported.

use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::icf::ConnectorKey;

use crate::bundles::digest::Digest;
use crate::bundles::wire::WireManifest;

/// The list of connectors that a member reported. It is read in the task of the socket on which it came.
#[derive(Clone, Debug)]
pub(super) struct MemberList {
    /// The list as the server wrote it.
    pub(super) infos: Bytes,
    /// Of the bytes of the list: equal if, and only if, the bytes are.
    pub(super) digest: Digest,
    /// The list as it was read, or a sentence why it cannot be read.
    pub(super) wire: Result<Arc<WireManifest>, Arc<str>>,
}

impl MemberList {
    /// Reads a list. If the latest list of this socket has the same bytes, this list is not read again.
    pub(super) fn read(infos: Bytes, latest: Option<&Self>) -> Self {
        let digest = Digest::of(&infos);
        let wire = match latest.filter(|latest| latest.digest == digest) {
            Some(latest) => latest.wire.clone(),
            None => WireManifest::read(&infos).map(Arc::new).map_err(|error| error.to_string().into()),
        };
        Self { infos, digest, wire }
    }

    /// What is compared with the next list: all but the bytes of the list, which may be many.
    pub(super) fn without_bytes(&self) -> Self {
        Self { infos: Bytes::new(), ..self.clone() }
    }

    /// The connectors in it.
    pub(super) fn connectors(&self) -> impl Iterator<Item = &ConnectorKey> {
        self.wire.iter().flat_map(|wire| wire.connectors().keys())
    }
}
