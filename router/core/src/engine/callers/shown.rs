//! Which list of connectors a caller was shown.

use crate::bundles::infos::Edition;

/// Which list that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum ShownEdition {
    /// That of its group.
    OfGroup(Edition),
    /// That of all groups, as a digest of theirs: of such a list only is known whether it is the present one.
    OfAll(u64),
}

impl ShownEdition {
    /// Whether whoever was shown this list knows all that is in the present one.
    pub(super) fn covers(&self, now: &Self) -> bool {
        match (self, now) {
            (Self::OfGroup(shown), Self::OfGroup(now)) => shown.covers(now),
            (shown, now) => shown == now,
        }
    }
}
