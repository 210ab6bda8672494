//! Why a member cannot have a call: one list of reasons for the picker, the verdict, `call explain`, the guard of the last member
//! and `/v1/members`, so that no two of them can disagree.

use crate::health::Unfit;

/// Why a member cannot have a call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// The member has the call, or had the call until now.
    Here,
    /// The call was sent to the member before.
    Tried,
    /// The member left the document, or changed in the document and is being let go.
    Gone,
    /// The document says `enabled: false`.
    DisabledInDocument,
    /// An operator drains the member.
    Draining,
    /// An operator disabled the member.
    Disabled,
    /// The member has no open session, or its session has not reported its connectors.
    Down,
    /// Its bundle set is not the group's.
    Quarantined,
    /// The call continues a search whose pages another member holds.
    PageElsewhere,
    /// The member has another version of the connector than the call names, and other members have the named version.
    OtherVersion,
    /// The member's health checks or calls say that it should get no calls.
    Unfit(Unfit),
    /// Its calls wait for a moment in which one of its sockets can be replaced.
    Resting,
    /// The member holds as many calls as it may.
    Full,
    /// The group holds as many calls as it may.
    GroupFull,
    /// Failover waits for an earlier member of the list, which is full.
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
