//! Mistakes that a consensus could make, made on purpose from outside: each must be found, or the invariants are worth nothing.

/// One mistake, made in all of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A write is acknowledged before it is on the disk: three syncs of four do nothing, and what they should have written is lost
    /// when the power goes.
    AcknowledgedBeforeSync,
    /// A command that is repeated, because its outcome was unknown, is applied again.
    AppliesTwice,
    /// A read asks nobody whether its router is up to date.
    ReadsWithoutBarrier,
    /// A router forgets its vote when it ends.
    VoteNotStored,
    /// A router forgets how far the log is decided when it ends.
    CommittedNotStored,
    /// Views of the machine are published in another order than they were made.
    ViewsOutOfOrder,
    /// A router loses its disk and comes back under its old id, as if it had been a little late.
    IdUsedAgain,
}

impl Mistake {
    /// The mistake of this name.
    pub(crate) fn named(name: &str) -> Mistake {
        let found = Mistake::ALL.into_iter().find(|mistake| format!("{mistake:?}") == name);
        found.unwrap_or_else(|| panic!("RCS_SIM_MISTAKE is one of {:?}, not {name}", Mistake::ALL))
    }

    pub(crate) const ALL: [Mistake; 7] = [
        Mistake::AcknowledgedBeforeSync,
        Mistake::AppliesTwice,
        Mistake::ReadsWithoutBarrier,
        Mistake::VoteNotStored,
        Mistake::CommittedNotStored,
        Mistake::ViewsOutOfOrder,
        Mistake::IdUsedAgain,
    ];
}
