//! What a command did: for the router that proposed the command, and for a retry of the command.

use serde::{Deserialize, Serialize};

use super::clip;
use super::limits::{OUTCOME_BYTES_MAX, SENTENCE_BYTES_MAX};
use super::refusal::CommandRefusal;
use super::stored::{Kind, StoredError, decode, encode};

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The revision of the cluster state after the command.
    pub revision: u64,
    /// Whether the command changed something.
    pub result: CommandResult,
}

/// Whether a command changed something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CommandResult {
    /// The cluster state has changed.
    Changed,
    /// The cluster state had this content already, or the command is one that the cluster does not follow now.
    Unchanged,
    /// Nothing is changed.
    Refused {
        /// The reason in one word, which stays the same in every release ([`CommandRefusal::kind`]). A newer release may have further words.
        kind: String,
        /// The reason for people: what is wrong and what to do, at most [`SENTENCE_BYTES_MAX`] bytes.
        sentence: String,
    },
}

const STORED: Kind = Kind { what: "outcome", bytes_max: OUTCOME_BYTES_MAX };

impl Outcome {
    /// The outcome of a command that is refused at this revision.
    pub(super) fn refused(revision: u64, refusal: &CommandRefusal) -> Self {
        let sentence = clip(&refusal.to_string(), SENTENCE_BYTES_MAX).to_owned();
        Self { revision, result: CommandResult::Refused { kind: refusal.kind().to_owned(), sentence } }
    }

    /// The stored form.
    ///
    /// # Errors
    /// [`StoredError::TooLong`] for a sentence that is longer than this crate writes.
    pub fn encode(&self) -> Result<Vec<u8>, StoredError> {
        encode(STORED, self)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`StoredError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, StoredError> {
        decode(STORED, bytes)
    }
}

impl CommandResult {
    /// The result in one word: `changed`, `unchanged`, or the kind of the refusal.
    pub fn word(&self) -> &str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Refused { kind, .. } => kind,
        }
    }
}
