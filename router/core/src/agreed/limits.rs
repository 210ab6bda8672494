//! The bounds of the cluster state and of its commands, each with its unit and reason. The other bounds of the router are in
//! [`crate::limits`].

use crate::limits::{CONFIG_BYTES_MAX, GROUPS_MAX, NAME_BYTES_MAX, PROVIDER_DOCUMENT_BYTES_MAX};

// --- commands ---

/// Bytes of a stored command. A document of 10,000 members in 1,000 groups has 3 MiB, and goes as one command.
pub const COMMAND_BYTES_MAX: usize = 16 << 20;
/// Bytes of a stored outcome: its sentence, with every character escaped.
pub const OUTCOME_BYTES_MAX: usize = 8 << 10;
/// Bytes of a stored cluster state. Some MiB are usual. Only stand-in rules by the hundred in each of a thousand groups come near this.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 20;
/// Bytes of the name of the person or program that wants a change: a principal, or the subject of a certificate.
pub const WHO_BYTES_MAX: usize = 256;
/// Bytes of the address that a command came from: an IPv6 address with zone and port has less than 80.
pub const FROM_BYTES_MAX: usize = 128;
/// Bytes of the sentence in an outcome. A document may have hundreds of faults; the first ones are enough to begin with.
pub const SENTENCE_BYTES_MAX: usize = 1_024;

// --- members that come by the API ---

/// Bytes of a member's host: a name has 253 at most (RFC 1035).
pub const HOST_BYTES_MAX: usize = 253;
/// Bytes of the path of a member's upgrade request.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Bytes of the principal, and of the key, of a member: both stand in one HTTP header, and servers read some KiB of those.
pub const CREDENTIAL_BYTES_MAX: usize = 1_024;

// --- the cluster state ---

/// Request ids whose outcome is remembered, oldest forgotten first. A client retries within seconds. At 500 changes a second the ids of
/// the last 16 s are there.
pub const REQUESTS_REMEMBERED_MAX: usize = 8_192;
/// Entries of the audit log, oldest dropped first. All of them have some 3 MiB. Whoever has to keep them for longer reads them
/// out regularly.
pub const AUDIT_ENTRIES_MAX: usize = 4_096;
/// Bytes of the readable line in an audit entry.
pub const AUDIT_LINE_BYTES_MAX: usize = 256;
/// Tokens for the API. A request of the API is compared with each of them.
pub const API_TOKENS_MAX: usize = 64;
/// Principals of callers that have credentials: one for each group, and as many again.
pub const CALLER_PRINCIPALS_MAX: usize = 2 * GROUPS_MAX;
/// Credentials of one principal. Two are in force while a key is being replaced.
pub const CREDENTIALS_PER_PRINCIPAL_MAX: usize = 4;
/// Acknowledged unknown outcomes that are remembered, oldest forgotten first: as many as one router keeps in its work list.
pub const ACKNOWLEDGED_MAX: usize = 10_000;
/// Unknown outcomes that one command acknowledges.
pub const ACKNOWLEDGED_PER_COMMAND_MAX: usize = 1_000;
/// Bytes of the id of a call; real ones have 20.
pub const CALL_ID_BYTES_MAX: usize = 64;

const _: () = {
    assert!(PROVIDER_DOCUMENT_BYTES_MAX + CONFIG_BYTES_MAX < COMMAND_BYTES_MAX, "the files fit in a command");
    assert!(COMMAND_BYTES_MAX < SNAPSHOT_BYTES_MAX / 2);
    assert!(SENTENCE_BYTES_MAX * 6 < OUTCOME_BYTES_MAX, "a sentence fits, whatever JSON escapes of it");
    assert!(
        REQUESTS_REMEMBERED_MAX * OUTCOME_BYTES_MAX + AUDIT_ENTRIES_MAX * 6 * 1_024 < SNAPSHOT_BYTES_MAX / 2,
        "requests and audit entries leave room for what is decided"
    );
    assert!(ACKNOWLEDGED_PER_COMMAND_MAX <= ACKNOWLEDGED_MAX);
    assert!(NAME_BYTES_MAX < AUDIT_LINE_BYTES_MAX);
};
