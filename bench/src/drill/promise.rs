//! What a drill promises its callers.

/// Which of the zeros a drill promises beside those that every drill does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// No read fails, and no change is refused: there was always a member for them.
    EveryCallServed,
    /// No read fails; changes may be refused, if nothing of them ran.
    ReadsServed,
    /// Calls may fail, with clear errors: there was nobody to run them.
    ClearErrors,
}
