//! Which list of connectors a caller was shown.

use crate::bundles::infos::Edition;

/// Which list of connectors a caller was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum ShownEdition {
    /// The edition of the list of the caller's group.
    OfGroup(Edition),
    /// The list of several groups, as a digest of the groups' editions. It only shows whether the list is the present one.
    OfSeveral(u64),
}

impl ShownEdition {
    /// Whether this list has all that is in the present list, `now`.
    pub(super) fn covers(&self, now: &Self) -> bool {
        match (self, now) {
            (Self::OfGroup(shown), Self::OfGroup(now)) => shown.covers(now),
            (shown, now) => shown == now,
        }
    }
}
