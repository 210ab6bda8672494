//! What a drill promises its callers.

/// What a drill promises in addition to what every drill promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// No read fails, and no change is refused: there was always a member to run them.
    EveryCallServed,
    /// No read fails; changes may be refused if they were not run.
    ReadsServed,
    /// Calls may fail, with clear errors: there was no member to run them.
    ClearErrors,
}
