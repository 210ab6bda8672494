//! What is decided for the bundle sets of one group, and what operators ask for these sets.

use serde::{Deserialize, Serialize};

use super::stored::{optional_text, text};
use crate::bundles::in_use::Lost;
use crate::bundles::range::StandIns;
use crate::bundles::set::{Origin, SetDigest};
use crate::limits::STAND_INS_MAX;
use crate::view::NotListed;

/// What an operator wants of a group's sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleChange {
    /// Begin a rolling upgrade: members with this set serve as well.
    Propose {
        /// The next set.
        what: ProposedSet,
        /// Connectors whose versions may stand for each other from now on. `None`: the present rules stay.
        stand_ins: Option<StandIns>,
    },
    /// End the upgrade: the next set becomes the accepted set.
    Commit,
    /// Take the proposal back.
    Abort,
    /// Accept this set, whichever members have it; also the way out of an alarm. A pin ends with the next pin or commit.
    Pin(ProposedSet),
    /// Let versions of these connectors stand for each other, even during an upgrade.
    StandIns {
        /// The rules.
        rules: StandIns,
        /// What becomes of the present rules.
        present: PresentRules,
    },
}

/// What becomes of the stand-in rules of a group when an operator gives others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentRules {
    /// The present rules stay in force beside the new ones.
    Kept,
    /// The new rules take the place of the present ones.
    Replaced,
}

impl BundleChange {
    /// The word for logs, the API and the command line.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Propose { .. } => "propose",
            Self::Commit => "commit",
            Self::Abort => "abort",
            Self::Pin(_) => "pin",
            Self::StandIns { .. } => "stand-ins",
        }
    }
}

/// Which set is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposedSet {
    /// The set with this digest, whether a member has it or not.
    Digest(SetDigest),
    /// The set that the member of this name has now.
    Of(String),
}

/// Why a change is refused. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleRefusal {
    /// The group or the member does not exist.
    #[error(transparent)]
    NotListed(#[from] NotListed),
    /// The state of the group forbids it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The routers of the cluster did not agree in time. The change may have been made all the same.
    #[error("the cluster has not confirmed the change: {0}")]
    NotAgreed(String),
    /// Connectors that callers use would lose the last member that has them.
    #[error("{0}")]
    Lost(Box<Lost>),
}

/// Why a change of the operator is refused. The text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another rolling upgrade is in progress.
    #[error("a rolling upgrade to another set is in progress: commit or abort it first")]
    AlreadyProposed,
    /// No rolling upgrade is in progress.
    #[error("no set is proposed: begin a rolling upgrade with `rcs-router bundles propose`")]
    NothingProposed,
    /// There is nothing to upgrade.
    #[error("the group has no accepted set yet: wait for its first member, or pin a set by its digest")]
    NothingAccepted,
    /// The proposed set is the accepted set.
    #[error("this is the accepted set already: propose a different set")]
    SameSet,
    /// Another set was accepted in the meantime.
    #[error(
        "the group has accepted another set in the meantime: see `rcs-router bundles status`, then repeat the command"
    )]
    AlreadyAccepted,
    /// The member has not reported its set yet.
    #[error(
        "the member's set is not known yet: connect the member, and if the group requires reports of agents, start its agent"
    )]
    NoManifest,
    /// Too few members could serve.
    #[error(
        "only {left} members would keep serving, but the group needs {wanted}: add or upgrade members, or lower bundles.serving_min"
    )]
    TooFew {
        /// How many there would be.
        left: usize,
        /// How many there must be.
        wanted: usize,
    },
    /// More stand-in rules than a group may have.
    #[error(
        "a group has at most {STAND_INS_MAX} stand-in rules: replace the present ones (--replace, or ?replace=true)"
    )]
    TooManyStandIns,
}

/// A change of what is decided. Operators' changes are judged by what a router sees before they become one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SetsChange {
    /// A router saw the first member that reported a set: the set becomes the group's accepted set. The first such change wins.
    AcceptFirst {
        /// The set.
        #[serde(with = "text")]
        set: SetDigest,
        /// Whether the set has connectors. A set without connectors gives way to the first set with some: a server that is only half
        /// installed must not decide what the others need.
        content: Content,
    },
    /// The only member of the group changed its own set, and there is no other member to differ from.
    Follow {
        /// The set.
        #[serde(with = "text")]
        set: SetDigest,
        /// Whether it has connectors.
        content: Content,
    },
    /// A set that is known by its connectors alone gets the files of the first member that has these connectors.
    LearnFiles {
        /// The set, with its files.
        #[serde(with = "text")]
        set: SetDigest,
    },
    /// A rolling upgrade begins: members with this set serve as well.
    Propose {
        /// The next set.
        #[serde(with = "text")]
        set: SetDigest,
        /// Connectors whose versions may stand for each other from now on. `None`: the present rules stay.
        stand_ins: Option<StandIns>,
    },
    /// The upgrade ends: the next set becomes the accepted set.
    Commit,
    /// The proposal is taken back.
    Abort,
    /// This set becomes the accepted set, whichever members have it.
    Pin {
        /// The set.
        #[serde(with = "text")]
        set: SetDigest,
    },
    /// From now on these rules say which versions may stand for each other.
    StandIns {
        /// The rules.
        rules: StandIns,
    },
}

/// Whether a set has connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// The set has no connectors.
    Empty,
    /// The set has connectors, or nobody knows whether it has.
    Some,
}

/// The accepted set of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The set.
    #[serde(with = "text")]
    pub set: SetDigest,
    /// How the set came to be the accepted set.
    pub origin: Origin,
    /// Whether it has connectors.
    pub content: Content,
}

impl Accepted {
    /// Whether the first set with connectors replaces this accepted set.
    pub fn is_provisional(&self) -> bool {
        (self.origin, self.content) == (Origin::FirstUse, Content::Empty)
    }

    /// Whether the only member of a group may change the accepted set by changing its own set.
    pub fn is_loose(&self) -> bool {
        matches!(self.origin, Origin::FirstUse | Origin::Followed)
    }
}

/// What is decided for one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupDecision {
    accepted: Option<Accepted>,
    /// The next set during a rolling upgrade.
    #[serde(with = "optional_text")]
    next: Option<SetDigest>,
    /// The stand-in rules that an operator gave, in place of the rules of the settings. These rules outlive the end of an upgrade, because
    /// callers know old versions for long.
    stand_ins: Option<StandIns>,
    /// The pin of the settings that was carried out last. A pin is carried out only if it differs from this one.
    #[serde(with = "optional_text")]
    pin_of_settings: Option<SetDigest>,
}

impl GroupDecision {
    /// Nothing is decided.
    pub const fn nothing() -> Self {
        Self { accepted: None, next: None, stand_ins: None, pin_of_settings: None }
    }

    /// The accepted set; none before the first member reported a set.
    pub fn accepted(&self) -> Option<&Accepted> {
        self.accepted.as_ref()
    }

    /// The next set during a rolling upgrade.
    pub fn next(&self) -> Option<SetDigest> {
        self.next
    }

    /// The stand-in rules that an operator gave last.
    pub fn stand_ins(&self) -> Option<&StandIns> {
        self.stand_ins.as_ref()
    }

    /// Applies a change. `follows_its_only`: whether the group has a single member, and its settings let it follow that member.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub fn apply(&mut self, change: SetsChange, follows_its_only: bool) -> Result<(), Refused> {
        match change {
            SetsChange::AcceptFirst { set, content } => match &self.accepted {
                Some(accepted) if !accepted.is_provisional() => return Err(Refused::AlreadyAccepted),
                Some(_) if content == Content::Empty => return Err(Refused::AlreadyAccepted),
                _ => self.accepted = Some(Accepted { set, origin: Origin::FirstUse, content }),
            },
            SetsChange::Follow { set, content } => {
                let is_loose = self.accepted.is_some_and(|accepted| accepted.is_loose());
                if !follows_its_only || !is_loose || self.next.is_some() {
                    return Err(Refused::AlreadyAccepted);
                }
                self.accepted = Some(Accepted { set, origin: Origin::Followed, content });
            }
            SetsChange::LearnFiles { set } => self.learn_files(set)?,
            SetsChange::Propose { stand_ins: Some(rules), .. } if rules.0.len() > STAND_INS_MAX => {
                return Err(Refused::TooManyStandIns);
            }
            SetsChange::Propose { set, stand_ins } => {
                let accepted = self.accepted.ok_or(Refused::NothingAccepted)?;
                if self.next.is_some() {
                    return Err(Refused::AlreadyProposed);
                }
                if set.agrees(&accepted.set) {
                    return Err(Refused::SameSet);
                }
                self.next = Some(set);
                // If the proposal has no rules, the present rules stay: callers may still know the version before this one.
                self.stand_ins = stand_ins.or(self.stand_ins.take());
            }
            SetsChange::Commit => {
                let set = self.next.take().ok_or(Refused::NothingProposed)?;
                self.accepted = Some(Accepted { set, origin: Origin::Committed, content: Content::Some });
            }
            SetsChange::Abort => drop(self.next.take().ok_or(Refused::NothingProposed)?),
            SetsChange::Pin { set } => self.pin(set),
            SetsChange::StandIns { rules } if rules.0.len() > STAND_INS_MAX => {
                return Err(Refused::TooManyStandIns);
            }
            SetsChange::StandIns { rules } => self.stand_ins = Some(rules),
        }
        Ok(())
    }

    fn learn_files(&mut self, set: SetDigest) -> Result<(), Refused> {
        let lacks_them = |known: &SetDigest| known.wire == set.wire && known.files.is_none();
        if let Some(accepted) = self.accepted.as_mut().filter(|accepted| lacks_them(&accepted.set)) {
            accepted.set = set;
        } else if let Some(next) = self.next.as_mut().filter(|next| lacks_them(next)) {
            *next = set;
        } else {
            return Err(Refused::AlreadyAccepted);
        }
        Ok(())
    }

    fn pin(&mut self, set: SetDigest) {
        // An upgrade that is under way goes on, unless the pinned set is its next set.
        self.next = self.next.filter(|next| *next != set);
        self.accepted = Some(Accepted { set, origin: Origin::Pinned, content: Content::Some });
    }

    /// Follows the settings, which pin this set, or none.
    pub(super) fn pinned_by_settings(&mut self, pin: Option<SetDigest>) {
        if self.pin_of_settings == pin {
            return;
        }
        self.pin_of_settings = pin;
        if let Some(set) = pin {
            self.pin(set);
        }
    }
}
