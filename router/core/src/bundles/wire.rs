//! The manifest made of a member's own list of connectors: of each connector the property schema with defaults, as digests.
//!
//! Equal content has an equal digest whatever order the server wrote it in (LEGACY 11); the default values, which may be secrets,
//! are digested and not kept.

use std::collections::BTreeMap;

use rcs_proto::icf::{ConnectorInfo, ConnectorKey};
use rcs_proto::legacy::{LegacyError, Wire};

use super::canonical::{self, Form};
use super::digest::Digest;
use crate::limits::{MANIFEST_CONNECTORS_MAX, MANIFEST_PROPERTIES_MAX};

/// What CONNECTOR_INFO said, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireManifest {
    connectors: BTreeMap<ConnectorKey, ConnectorDigest>,
    digest: Digest,
}

/// One connector of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorDigest {
    /// Of everything below.
    pub whole: Digest,
    /// Of what is no property: display name, pooling, operations.
    pub traits: Digest,
    /// Of each property, by name: type, order, flags, message keys, default value, operations.
    pub properties: BTreeMap<Box<str>, Digest>,
}

/// Why a list of connectors makes no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The list breaks a rule of the format.
    #[error("the list of connectors cannot be read: {0}")]
    Unreadable(#[from] LegacyError),
    /// More connectors than any installation has.
    #[error(
        "the member lists {found} connectors, but at most {MANIFEST_CONNECTORS_MAX} are accepted: remove bundles from it"
    )]
    TooManyConnectors {
        /// How many there are.
        found: usize,
    },
    /// More properties than any installation has.
    #[error(
        "the member's connectors have {found} properties, but at most {MANIFEST_PROPERTIES_MAX} are accepted: remove bundles from it"
    )]
    TooManyProperties {
        /// How many there are, of all connectors.
        found: usize,
    },
}

impl WireManifest {
    /// Reads the blob that answers CONNECTOR_INFO.
    ///
    /// # Errors
    /// If the list cannot be read, or exceeds the bounds of [`crate::limits`].
    pub fn read(blob: &[u8]) -> Result<Self, WireError> {
        Self::of(&Vec::<ConnectorInfo>::decode(blob)?)
    }

    /// The manifest of a list that was read already.
    ///
    /// # Errors
    /// If the list exceeds the bounds of [`crate::limits`].
    pub fn of(infos: &[ConnectorInfo]) -> Result<Self, WireError> {
        if infos.len() > MANIFEST_CONNECTORS_MAX {
            return Err(WireError::TooManyConnectors { found: infos.len() });
        }
        let properties = infos.iter().filter_map(|info| info.configuration.as_ref());
        let found = properties.map(|configuration| configuration.properties.len()).sum();
        if found > MANIFEST_PROPERTIES_MAX {
            return Err(WireError::TooManyProperties { found });
        }
        let mut by_key: BTreeMap<&ConnectorKey, Vec<ConnectorDigest>> = BTreeMap::new();
        for info in infos {
            by_key.entry(&info.key).or_default().push(ConnectorDigest::of(info));
        }
        let connectors = by_key.into_iter().map(|(key, told)| (key.clone(), one_of(told)));
        Ok(Self::sealed(connectors.collect()))
    }

    fn sealed(connectors: BTreeMap<ConnectorKey, ConnectorDigest>) -> Self {
        let parts = connectors.iter().map(|(key, connector)| {
            Form::of("key")
                .text(&key.bundle_name)
                .text(&key.bundle_version)
                .text(&key.connector_name)
                .digest(&connector.whole)
                .end()
        });
        let digest = Form::of("rcs wire manifest 1").set(parts.collect()).end();
        Self { connectors, digest }
    }

    /// Of everything: equal if, and only if, the content is.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The connectors, by bundle name, version and connector name.
    pub fn connectors(&self) -> &BTreeMap<ConnectorKey, ConnectorDigest> {
        &self.connectors
    }

    /// The connectors of one bundle, in all their versions.
    pub fn of_bundle(&self, name: &str) -> impl Iterator<Item = &ConnectorKey> {
        let first = ConnectorKey {
            bundle_name: name.to_owned(),
            bundle_version: String::new(),
            connector_name: String::new(),
        };
        let name = first.bundle_name.clone();
        let from = self.connectors.range(first..).map(|(key, _)| key);
        from.take_while(move |key| key.bundle_name == name)
    }

    /// Whether the member has no connector at all.
    pub fn is_empty(&self) -> bool {
        self.connectors.is_empty()
    }
}

impl ConnectorDigest {
    fn of(info: &ConnectorInfo) -> Self {
        let traits = canonical::traits(info);
        let all = info.configuration.iter().flat_map(|configuration| &configuration.properties);
        let mut by_name: BTreeMap<&str, Vec<Digest>> = BTreeMap::new();
        for property in all {
            by_name.entry(&property.name).or_default().push(canonical::property(property));
        }
        let whole = canonical::connector(&traits, by_name.values().flatten().copied().collect());
        let properties = by_name.into_iter().map(|(name, told)| (name.into(), one_digest(told)));
        Self { whole, traits, properties: properties.collect() }
    }
}

/// A server that lists one connector several times is odd, but the digest does not depend on their order either.
fn one_of(mut told: Vec<ConnectorDigest>) -> ConnectorDigest {
    told.sort_by_key(|connector| connector.whole);
    told.dedup_by_key(|connector| connector.whole);
    let whole = one_digest(told.iter().map(|connector| connector.whole).collect());
    // Of several, the details are those of the one with the lowest digest: the whole one counts.
    let first = told.swap_remove(0);
    ConnectorDigest { whole, ..first }
}

fn one_digest(mut told: Vec<Digest>) -> Digest {
    match told.as_slice() {
        [only] => *only,
        _ => Form::of("several").set(std::mem::take(&mut told)).end(),
    }
}

#[cfg(test)]
mod tests;
