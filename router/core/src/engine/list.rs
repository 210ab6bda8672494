//! The list of connectors that a member reported.

use std::sync::Arc;

use bytes::Bytes;
use rcs_proto::icf::ConnectorKey;

use crate::bundles::wire::WireManifest;

/// The list of connectors that a member reported.
#[derive(Clone, Debug)]
pub(in crate::engine) struct MemberList {
    /// The list as the server wrote it.
    pub(in crate::engine) infos: Bytes,
    /// The list as it was read, or a sentence why it cannot be read.
    pub(in crate::engine) wire: Result<Arc<WireManifest>, Arc<str>>,
}

impl MemberList {
    pub(super) fn read(infos: Bytes) -> Self {
        let wire = WireManifest::read(&infos);
        Self { infos, wire: wire.map(Arc::new).map_err(|error| error.to_string().into()) }
    }

    /// The connectors in it.
    pub(in crate::engine) fn connectors(&self) -> impl Iterator<Item = &ConnectorKey> {
        self.wire.iter().flat_map(|wire| wire.connectors().keys())
    }
}
