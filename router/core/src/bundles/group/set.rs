//! One bundle set, known by its digests and, once a member had it, by its content.

use std::sync::Arc;

use crate::bundles::diff::Manifest;
use crate::bundles::set::{Origin, SetDigest};

/// A set, and whether its connectors and its files were known.
pub(super) type Basis = (SetDigest, [bool; 2]);

/// A set with what is known of its content.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) digest: SetDigest,
    pub(super) content: Manifest,
    pub(super) origin: Origin,
}

impl Set {
    pub(super) fn named(digest: SetDigest, origin: Origin) -> Self {
        Self { digest, content: Manifest::default(), origin }
    }

    /// What differences to it depend on.
    pub(super) fn basis(&self) -> Basis {
        (self.digest, [self.content.wire.is_some(), self.content.files.is_some()])
    }

    /// Learns its content from a manifest that has it, and lends it: equal manifests are kept once.
    pub(super) fn share(&mut self, manifest: &mut Manifest) {
        if let Some(wire) = manifest.wire.as_mut().filter(|wire| *wire.digest() == self.digest.wire) {
            *wire = Arc::clone(self.content.wire.get_or_insert_with(|| Arc::clone(wire)));
        }
        if let Some(files) = manifest.files.as_mut().filter(|files| Some(files.digest()) == self.digest.files)
        {
            *files = Arc::clone(self.content.files.get_or_insert_with(|| Arc::clone(files)));
        }
    }
}
