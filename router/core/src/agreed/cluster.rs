//! The cluster state: everything that the routers of a cluster agree on. Each router has a copy, and feeds it the same commands in the
//! same order from the log; so all copies are equal. A router that stands alone feeds its copy at once.

use rcs_proto::manifest::Digest;
use serde::{Deserialize, Serialize};

use super::audit::{AuditEntry, AuditLog};
use super::command::{Action, Command, RequestId, Seed, UnknownOutcome};
use super::credentials::Credentials;
use super::edit::Edit;
use super::files::{Authority, FilesState, OfferedFiles};
use super::latest::{Acknowledged, Requests};
use super::limits::{ACKNOWLEDGED_PER_COMMAND_MAX, CALL_ID_BYTES_MAX, FROM_BYTES_MAX, SNAPSHOT_BYTES_MAX};
use super::outcome::{CommandResult, Outcome};
use super::refusal::CommandRefusal;
use super::stored::{Kind, StoredError, decode, encode};
use super::{Agreed, Author, Change, Document, Done, clip};
use crate::settings::Settings;
use crate::view::{View, ViewError};

/// Everything that the routers of a cluster agree on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterState {
    /// The index of the entry of the log that was applied last.
    applied: u64,
    authority: Authority,
    /// None: nobody offered any since the document or the settings changed without them.
    files: Option<OfferedFiles>,
    seed: Option<Seed>,
    agreed: Agreed,
    credentials: Credentials,
    acknowledged: Acknowledged,
    requests: Requests,
    audit: AuditLog,
}

/// No cluster counts this far; a revision near the end of the numbers could not be counted on.
const REVISION_MAX: u64 = 1 << 62;

const STORED: Kind = Kind { what: "snapshot", bytes_max: SNAPSHOT_BYTES_MAX };

impl ClusterState {
    /// Applies a command that stands at this index of the log; commands of one entry share an index. The outcome follows from the state
    /// and the command alone. A command that was applied before, and is remembered, does nothing and has its first outcome.
    pub fn apply(&mut self, index: u64, command: &Command) -> Outcome {
        self.applied = index;
        if let Some(first) = self.requests.0.get(&command.request) {
            return first.clone();
        }
        let outcome = match self.carry_out(command) {
            Ok(done) => {
                let result = match done {
                    Done::Changed => CommandResult::Changed,
                    Done::Unchanged => CommandResult::Unchanged,
                };
                Outcome { revision: self.revision(), result }
            }
            Err(refusal) => Outcome::refused(self.revision(), &refusal),
        };
        self.audit.note(index, command, &outcome);
        self.requests.0.add(command.request, outcome.clone());
        outcome
    }

    /// The same for a stored command. Bytes that are no command are refused, in the same way by every router. A router that stands alone
    /// takes this way too: so its state is the one that it would read from a log.
    ///
    /// # Errors
    /// [`StoredError::TooNew`]: a newer router wrote the command, and this router cannot know its meaning. Nothing is changed, and the
    /// router must not follow the log any further.
    pub fn apply_stored(&mut self, index: u64, command: &[u8]) -> Result<Outcome, StoredError> {
        match Command::decode(command) {
            Ok(command) => Ok(self.apply(index, &command)),
            Err(error @ StoredError::TooNew { .. }) => Err(error),
            Err(_) => {
                self.applied = index;
                Ok(Outcome::refused(self.revision(), &CommandRefusal::Unreadable))
            }
        }
    }

    fn carry_out(&mut self, command: &Command) -> Result<Done, CommandRefusal> {
        let present = self.revision();
        if let Some(expected) = command.expected_revision.filter(|expected| *expected != present) {
            return Err(CommandRefusal::Revision { expected, present });
        }
        let is_for_routers = matches!(command.action, Action::Sets { .. } | Action::Seed(_));
        if command.author == Author::Router && !is_for_routers {
            return Err(CommandRefusal::NotForRouters);
        }
        let done = match &command.action {
            // These count their change themselves.
            Action::Configure { document, settings, digest } => {
                return self.configure(command, document.as_ref(), settings.as_deref(), *digest);
            }
            Action::Edit(edit) => return self.edit(command, edit),
            Action::Mark { member, mark } => {
                return self.decide(command, Change::Mark { member: member.clone(), mark: *mark });
            }
            Action::Sets { group, change } => {
                return self.decide(command, Change::Sets { group: group.clone(), change: change.clone() });
            }
            Action::Seed(seed) => self.set_seed(*seed)?,
            Action::Authority(authority) => self.set_authority(*authority),
            Action::GrantApi { name, token } => self.credentials.grant_api(name, token)?,
            Action::RevokeApi { name } => self.credentials.revoke_api(name)?,
            Action::GrantCaller { principal, name, hash } => {
                self.credentials.grant_caller(principal, name, hash)?
            }
            Action::RevokeCaller { principal, name } => self.credentials.revoke_caller(principal, name)?,
            Action::Acknowledge(calls) => self.acknowledge(calls)?,
        };
        if done == Done::Changed {
            self.agreed.count_change(command.author, command.at);
        }
        Ok(done)
    }

    fn decide(&mut self, command: &Command, change: Change) -> Result<Done, CommandRefusal> {
        Ok(self.agreed.apply(change, command.author, command.at)?)
    }

    fn configure(
        &mut self,
        command: &Command,
        document: Option<&Document>,
        settings: Option<&Settings>,
        digest: Digest,
    ) -> Result<Done, CommandRefusal> {
        let change =
            Change::Configured { document: document.cloned(), settings: settings.cloned().map(Box::new) };
        if command.author != Author::Files {
            return self.reconfigure(command, change);
        }
        let is_same = document.is_none_or(|document| document == self.agreed.document())
            && settings.is_none_or(|settings| settings == self.agreed.settings());
        let (done, state) = if is_same {
            (Ok(Done::Unchanged), FilesState::InForce)
        } else if !self.follows_files() {
            (Ok(Done::Unchanged), FilesState::Differ)
        } else {
            let done = self.decide(command, change);
            let state = if done.is_ok() { FilesState::InForce } else { FilesState::Refused };
            (done, state)
        };
        let from = clip(&command.from, FROM_BYTES_MAX).to_owned();
        self.files = Some(OfferedFiles { digest, at: command.at, from, state });
        done
    }

    /// Whether the files are followed: they decide, or there is nothing yet that they could undo.
    fn follows_files(&self) -> bool {
        let document = self.agreed.document();
        self.authority == Authority::File || (document.members.is_empty() && document.groups.is_empty())
    }

    fn edit(&mut self, command: &Command, edit: &Edit) -> Result<Done, CommandRefusal> {
        if command.author == Author::Files && !self.follows_files() {
            return Ok(Done::Unchanged);
        }
        self.refuse_where_files_decide(command.author)?;
        let document = edit.apply(self.agreed.document())?;
        self.reconfigure(command, Change::Configured { document: Some(document), settings: None })
    }

    /// Somebody changes members, groups or settings other than by offering files.
    fn reconfigure(&mut self, command: &Command, change: Change) -> Result<Done, CommandRefusal> {
        self.refuse_where_files_decide(command.author)?;
        let done = self.decide(command, change)?;
        if done == Done::Changed {
            // What the files say was compared with the former content: let a router offer them again.
            self.files = None;
        }
        Ok(done)
    }

    fn refuse_where_files_decide(&self, author: Author) -> Result<(), CommandRefusal> {
        match (self.authority, author) {
            (Authority::File, Author::Operator | Author::Router) => Err(CommandRefusal::FileDecides),
            (Authority::File, Author::Files) | (Authority::Cluster, _) => Ok(()),
        }
    }

    fn set_seed(&mut self, seed: Seed) -> Result<Done, CommandRefusal> {
        match self.seed {
            None => {
                self.seed = Some(seed);
                Ok(Done::Changed)
            }
            Some(present) if present == seed => Ok(Done::Unchanged),
            Some(_) => Err(CommandRefusal::SeedSet),
        }
    }

    fn set_authority(&mut self, authority: Authority) -> Done {
        if self.authority == authority {
            return Done::Unchanged;
        }
        self.authority = authority;
        // Files that were not followed may count now: let a router offer them again.
        self.files = None;
        Done::Changed
    }

    fn acknowledge(&mut self, calls: &[UnknownOutcome]) -> Result<Done, CommandRefusal> {
        let is_usable = |call: &UnknownOutcome| (1..=CALL_ID_BYTES_MAX).contains(&call.call.len());
        if !(1..=ACKNOWLEDGED_PER_COMMAND_MAX).contains(&calls.len()) || !calls.iter().all(is_usable) {
            return Err(CommandRefusal::BadAcknowledgement);
        }
        let added = calls.iter().filter(|call| self.acknowledged.0.add((*call).clone(), ())).count();
        Ok(if added > 0 { Done::Changed } else { Done::Unchanged })
    }

    // --- what is agreed ---

    /// Counts the changes that did something, whatever they changed. It never goes down.
    pub fn revision(&self) -> u64 {
        self.agreed.revision()
    }

    /// The index of the entry of the log that was applied last; 0: none.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// A state that has this agreed, and nothing else: for a process that takes over from one that stands alone.
    pub fn holding(agreed: Agreed) -> Self {
        Self { agreed, ..Self::default() }
    }

    /// Document, settings, marks and bundle sets.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Who decides members, groups and settings.
    pub fn authority(&self) -> Authority {
        self.authority
    }

    /// The files that a router offered last, and what became of them. None: nobody has offered any, or an operator has changed something
    /// since, so that the routers have to offer their files again.
    pub fn files(&self) -> Option<&OfferedFiles> {
        self.files.as_ref()
    }

    /// What the sessions' identities are hashed from; none before the first command that sets it.
    pub fn seed(&self) -> Option<Seed> {
        self.seed
    }

    /// API tokens and keys of callers.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Whether an operator has dealt with this call.
    pub fn is_acknowledged(&self, call: &UnknownOutcome) -> bool {
        self.acknowledged.0.get(call).is_some()
    }

    /// The outcome of the command of this id, if it was applied and is remembered.
    pub fn outcome(&self, request: RequestId) -> Option<&Outcome> {
        self.requests.0.get(&request)
    }

    /// Whether a command is remembered that has the same first 64 bits of its id, and other last 64 bits: a client's key with another
    /// content, where the first half is made of the key and the second half of the content.
    pub fn is_other_content(&self, request: RequestId) -> bool {
        let half = request.0 >> 64 << 64;
        let same_key = self.requests.0.range(RequestId(half)..=RequestId(half | u128::from(u64::MAX)));
        same_key.into_iter().any(|known| *known != request)
    }

    /// The latest entries of the audit log, oldest first.
    pub fn audit(&self) -> impl DoubleEndedIterator<Item = &AuditEntry> {
        self.audit.iter()
    }

    /// The remembered changes after this revision, oldest first. Their revisions follow one another without a hole, so a first one that
    /// is not `revision + 1` shows that older changes are forgotten.
    pub fn changes_after(&self, revision: u64) -> impl Iterator<Item = &AuditEntry> {
        self.audit.changes_after(revision)
    }

    // --- copies ---

    /// Whether two copies are equal can be told by this digest, which routers of one format compute alike. It leaves out sentences for
    /// people, which a newer release may word in another way.
    ///
    /// # Errors
    /// As [`ClusterState::encode`].
    pub fn digest(&self) -> Result<Digest, StoredError> {
        let mut bare = self.clone();
        bare.audit.drop_lines();
        for outcome in bare.requests.0.values_mut() {
            if let CommandResult::Refused { sentence, .. } = &mut outcome.result {
                sentence.clear();
            }
        }
        Ok(Digest::of(&bare.encode()?))
    }

    /// The snapshot: the whole state, with the keys of members.
    ///
    /// # Errors
    /// [`StoredError::TooLong`]; [`StoredError::Unwritable`] for a duration that no stored command could bring.
    pub fn encode(&self) -> Result<Vec<u8>, StoredError> {
        encode(STORED, self)
    }

    /// Reads a snapshot. Bytes of any content are safe, and what breaks a bound or makes no view is refused.
    ///
    /// # Errors
    /// [`StoredError`]
    pub fn decode(bytes: &[u8]) -> Result<Self, StoredError> {
        let state: Self = decode(STORED, bytes)?;
        let document = state.agreed.document();
        let hosts = &state.agreed.settings().hosts;
        let offences = View::check(&document.members, &document.groups, hosts).err().unwrap_or_default();
        // A router whose bounds are larger may have agreed to it, and this router has to follow the cluster.
        let is_bound = |offence: &ViewError| matches!(offence, ViewError::TooMany { .. });
        let rule = if !offences.iter().all(is_bound) {
            "members and groups make a view"
        } else if !state.credentials.is_within_bounds() || !state.audit.is_within_bounds() {
            "every list is within its bound"
        } else if state.revision() > REVISION_MAX {
            "the revision is one that changes can lead to"
        } else {
            return Ok(state);
        };
        Err(StoredError::Invalid { what: STORED.what, rule })
    }
}

#[cfg(test)]
mod tests;
