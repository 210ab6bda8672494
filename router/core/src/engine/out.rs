//! Why a member cannot have a call: one list of reasons for the picker, the verdict, `call explain`, the guard of the last member
//! and `/v1/members`, so that no two of them can disagree.

use crate::health::Unfit;

/// Why a member cannot have a call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// It has the call, or had it until now.
    Here,
    /// It was tried before.
    Tried,
    /// It left the document, or changed in it and is being let go.
    Gone,
    /// The document says `enabled: false`.
    DisabledInDocument,
    /// An operator drains it.
    Draining,
    /// An operator disabled it.
    Disabled,
    /// It has no open session, or its session has not told its connectors.
    Down,
    /// Its bundle set is not the group's.
    Quarantined,
    /// The call continues a search whose pages another member holds.
    PageElsewhere,
    /// It has another version of the connector that the call is for, and other members have that one.
    OtherVersion,
    /// Its health checks or its calls say that it should get none.
    Unfit(Unfit),
    /// Its calls wait for a moment in which one of its sockets can be replaced.
    Resting,
    /// It holds as many calls as it may.
    Full,
    /// The group holds as many calls as it may.
    GroupFull,
    /// Failover waits for a member before it in the list, which is full.
    NotFirst,
}

impl Out {
    /// The word for `call explain` and the API; `free` stands for no reason at all.
    pub(super) const fn label(reason: Option<Self>) -> &'static str {
        match reason {
            None => "free",
            Some(Self::Here) => "has_it",
            Some(Self::Tried) => "tried",
            Some(Self::Gone) => "not_in_the_document",
            Some(Self::DisabledInDocument) => "disabled_in_document",
            Some(Self::Draining) => "draining",
            Some(Self::Disabled) => "disabled",
            Some(Self::Down) => "down",
            Some(Self::Quarantined) => "quarantined",
            Some(Self::PageElsewhere) => "page_elsewhere",
            Some(Self::OtherVersion) => "other_version",
            Some(Self::Unfit(reason)) => reason.label(),
            Some(Self::Resting) => "resting",
            Some(Self::Full) => "full",
            Some(Self::GroupFull) => "group_full",
            Some(Self::NotFirst) => "not_first",
        }
    }
}
