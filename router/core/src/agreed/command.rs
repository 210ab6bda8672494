//! What stands in the log: one change that somebody wants, with who wants it, from where, and when.

use std::fmt;

use rcs_proto::manifest::Digest;
use serde::{Deserialize, Serialize};

use super::credentials::{ApiToken, Salted};
use super::edit::Edit;
use super::files::Authority;
use super::limits::{COMMAND_BYTES_MAX, FROM_BYTES_MAX, WHO_BYTES_MAX};
use super::sets::SetsChange;
use super::stored::{Kind, StoredError, decode, encode, hex128, text};
use super::{At, Author, Document};
use crate::settings::Settings;
use crate::view::Mark;

/// A change that somebody wants. The router that was asked fills it in and proposes it; every router applies it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Tells retries: a second command with this id does nothing, and has the outcome of the first.
    pub request: RequestId,
    /// The command is refused if the cluster state has another revision (compare-and-set); none: any revision will do.
    pub expected_revision: Option<u64>,
    /// Who wanted it: operator, files, or a router.
    pub author: Author,
    /// The name of the person or program: the principal or token that asked, at most [`WHO_BYTES_MAX`] bytes.
    pub who: String,
    /// The address that the wish came from, at most [`FROM_BYTES_MAX`] bytes.
    pub from: String,
    /// When the router that was asked proposed it, by that router's clock.
    pub at: At,
    /// What to do.
    pub action: Action,
}

/// The id of a request: 128 bits that its sender drew at random. Its text is 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(#[serde(with = "hex128")] pub u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What the sessions' identities are hashed from, by name. Routers with one seed show a peer one identity.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(#[serde(with = "hex128")] u128);

impl From<[u64; 2]> for Seed {
    fn from([high, low]: [u64; 2]) -> Self {
        Self(u128::from(high) << 64 | u128::from(low))
    }
}

impl From<Seed> for [u64; 2] {
    fn from(Seed(bits): Seed) -> Self {
        [(bits >> 64) as u64, bits as u64]
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(***)")
    }
}

/// A call whose outcome is unknown, as the work lists of the routers name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnknownOutcome {
    /// The id of the call, such as `3-1f3a`.
    pub call: String,
    /// When the call came: the numbers in ids begin again with each start of a router.
    pub at: At,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Another document, other settings, or both in one step.
    Configure {
        /// The document; none: as it was.
        document: Option<Document>,
        /// The settings; none: as they were.
        settings: Option<Box<Settings>>,
        /// SHA-256 of the text that document and settings were read from: of the files, or of the request.
        #[serde(with = "text")]
        digest: Digest,
    },
    /// One member or group is created, changed or removed.
    Edit(Edit),
    /// A member gets a mark.
    Mark {
        /// The member's name.
        member: String,
        /// The mark; [`Mark::Enabled`] takes any other off.
        mark: Mark,
    },
    /// Something is decided for the bundle sets of a group.
    Sets {
        /// The group's name.
        group: String,
        /// The decision.
        change: SetsChange,
    },
    /// The seed of the cluster is set. The first such command wins.
    Seed(Seed),
    /// Somebody else decides members, groups and settings from now on.
    Authority(Authority),
    /// A token for the API is valid from now on. Refused if another token has the name: two operators who choose one name must not
    /// take the token away from each other.
    GrantApi {
        /// The name of the token.
        name: String,
        /// Its role and hash.
        token: ApiToken,
    },
    /// The API token of this name is not valid any more.
    RevokeApi {
        /// The name of the token.
        name: String,
    },
    /// A key for callers is valid from now on. It replaces the key of the same name.
    GrantCaller {
        /// The principal that the callers prove with it; if there is a group of this name, they are callers of that group.
        principal: String,
        /// The name of the key, which tells apart the keys of one principal.
        name: String,
        /// Its hash.
        hash: Salted,
    },
    /// The key of this name is not valid any more.
    RevokeCaller {
        /// The principal.
        principal: String,
        /// The name of the key.
        name: String,
    },
    /// An operator has dealt with these calls.
    Acknowledge(Vec<UnknownOutcome>),
}

const STORED: Kind = Kind { what: "command", bytes_max: COMMAND_BYTES_MAX };

impl Command {
    /// The stored form, for the log.
    ///
    /// # Errors
    /// [`StoredError::TooLong`], [`StoredError::Unwritable`], and [`StoredError::Invalid`] for a name or address over its bound.
    pub fn encode(&self) -> Result<Vec<u8>, StoredError> {
        self.check()?;
        encode(STORED, self)
    }

    /// Reads the stored form. Bytes of any content are safe.
    ///
    /// # Errors
    /// [`StoredError`]. After [`StoredError::TooNew`] a router must not follow the log any further.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoredError> {
        let command: Self = decode(STORED, bytes)?;
        command.check()?;
        Ok(command)
    }

    fn check(&self) -> Result<(), StoredError> {
        let rule = if self.who.len() > WHO_BYTES_MAX {
            "the name of the author has at most 256 bytes"
        } else if self.from.len() > FROM_BYTES_MAX {
            "the address of the author has at most 128 bytes"
        } else {
            return Ok(());
        };
        Err(StoredError::Invalid { what: STORED.what, rule })
    }
}
