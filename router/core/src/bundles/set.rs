//! What a bundle set is called, and how it came to be a group's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, NoDigest, Short};

/// What a set is called: the digest of what its members tell, and of their files where those are compared. Its text is
/// `WIRE` or `WIRE+FILES`, in hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetDigest {
    /// Of the connectors that its members tell.
    pub wire: Digest,
    /// Of the files that their agents find; none: whatever the first member with these connectors has.
    pub files: Option<Digest>,
}

impl fmt::Display for SetDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.wire)?;
        self.files.iter().try_for_each(|files| write!(f, "+{files}"))
    }
}

impl FromStr for SetDigest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let (wire, files) = match text.trim().split_once('+') {
            None => (text.trim(), None),
            Some((wire, files)) => (wire, Some(files.parse()?)),
        };
        Ok(Self { wire: wire.parse()?, files })
    }
}

impl SetDigest {
    /// A form for people.
    pub fn short(&self) -> String {
        let files = self.files.as_ref().map(|files| format!("+{}", Short(files)));
        format!("{}{}", Short(&self.wire), files.unwrap_or_default())
    }

    /// Whether both are the same as far as both are known.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        self.wire == other.wire && !matches!((self.files, other.files), (Some(one), Some(two)) if one != two)
    }
}

/// How a set came to be the accepted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// It was that of the first member that told one.
    FirstUse,
    /// The only member of the group changed its own; there is nobody to differ from.
    Followed,
    /// The operator named it.
    Pinned,
    /// The operator proposed it, and committed it.
    Committed,
}

impl Origin {
    /// The word for logs and the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::FirstUse => "first_use",
            Self::Followed => "followed",
            Self::Pinned => "pinned",
            Self::Committed => "committed",
        }
    }
}
