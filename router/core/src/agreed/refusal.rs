//! Why a command is refused, with the one word for programs and the sentence for people.

use super::edit::EditRefusal;
use super::limits::{ACKNOWLEDGED_PER_COMMAND_MAX, CALL_ID_BYTES_MAX};
use super::sets::Refused;
use super::{Author, Refusal};
use crate::limits::NAME_BYTES_MAX;

/// Why a command is refused. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefusal {
    /// The cluster state has another revision than the command expects (compare-and-set).
    #[error(
        "the state is at revision {present}, but this change expects revision {expected}: somebody changed the state in the \
         meantime; read the state again, and repeat the change if it is still right"
    )]
    Revision {
        /// What the command expects.
        expected: u64,
        /// What is so.
        present: u64,
    },
    /// The files decide, so the API changes no members, groups or settings.
    #[error(
        "the provider file and the configuration file decide members, groups and settings here (--authority file): make this change \
         in the file, or start the routers with --authority cluster, so that the cluster decides"
    )]
    FileDecides,
    /// A router asked for something that only a person or a file may decide.
    #[error(
        "a router by itself may only propose bundle sets and the seed of the cluster: have an operator make this change"
    )]
    NotForRouters,
    /// The document, a mark or a bundle set is refused.
    #[error(transparent)]
    Agreed(#[from] Refusal),
    /// A change of members or groups is refused.
    #[error(transparent)]
    Edit(#[from] EditRefusal),
    /// The cluster has a seed.
    #[error("the cluster has a seed already, and a seed never changes: use the present seed")]
    SeedSet,
    /// A name of a credential or a principal.
    #[error(
        "the name {0:?} cannot be used: use 1 to {NAME_BYTES_MAX} bytes, without '/', ':', '?', '#', '%', control characters, and \
         spaces at its ends"
    )]
    BadName(String),
    /// A credential that does not exist.
    #[error("there is no credential named {0:?}: list the credentials to see their names")]
    NoCredential(String),
    /// Another API token has the name.
    #[error(
        "there is an API token named {0:?} already: choose another name, or revoke that token first and make a new one"
    )]
    TokenExists(String),
    /// More than a bound allows.
    #[error(
        "the cluster has the largest number of {what} already, {max}: remove one that is not used any more"
    )]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many may be.
        max: usize,
    },
    /// An acknowledgement that is too large.
    #[error(
        "one command acknowledges 1 to {ACKNOWLEDGED_PER_COMMAND_MAX} calls, with ids of 1 to {CALL_ID_BYTES_MAX} bytes: \
         acknowledge the calls in several commands"
    )]
    BadAcknowledgement,
    /// The bytes in the log are no command.
    #[error("this entry of the log is no command that this release knows: compare the routers' versions")]
    Unreadable,
}

impl CommandRefusal {
    /// The reason in one word. Programs rely on it, so a word never changes.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Revision { .. } => "revision",
            Self::FileDecides => "file_decides",
            Self::NotForRouters => "not_for_routers",
            Self::Agreed(Refusal::Document(_)) => "document",
            Self::Agreed(Refusal::NoMember(_)) => "no_member",
            Self::Agreed(Refusal::NoGroup(_)) => "no_group",
            Self::Agreed(Refusal::Sets(refused)) => of_sets(refused),
            Self::Edit(refusal) => of_edit(refusal),
            Self::SeedSet => "seed_set",
            Self::BadName(_) => "bad_name",
            Self::NoCredential(_) => "no_credential",
            Self::TokenExists(_) => "token_exists",
            Self::TooMany { .. } => "too_many",
            Self::BadAcknowledgement => "bad_acknowledgement",
            Self::Unreadable => "unreadable",
        }
    }
}

const fn of_sets(refused: &Refused) -> &'static str {
    match refused {
        Refused::AlreadyProposed => "already_proposed",
        Refused::NothingProposed => "nothing_proposed",
        Refused::NothingAccepted => "nothing_accepted",
        Refused::SameSet => "same_set",
        Refused::AlreadyAccepted => "already_accepted",
        Refused::NoManifest => "no_manifest",
        Refused::TooFew { .. } => "too_few",
        Refused::TooManyStandIns => "too_many_stand_ins",
    }
}

const fn of_edit(refusal: &EditRefusal) -> &'static str {
    match refusal {
        EditRefusal::NoGroup(_) => "no_group",
        EditRefusal::NoMember(_) => "no_member",
        EditRefusal::GroupExists(_) => "group_exists",
        EditRefusal::MemberExists(_) => "member_exists",
        EditRefusal::Listed { .. } => "member_listed",
        EditRefusal::InGroup { .. } => "member_in_group",
        EditRefusal::NotInGroup { .. } => "member_not_in_group",
        EditRefusal::Position { .. } => "position",
        EditRefusal::Member { .. } => "bad_member",
    }
}

impl Author {
    /// The word for the audit log and the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Files => "files",
            Self::Router => "router",
        }
    }
}
