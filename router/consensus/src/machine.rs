//! What is replicated.

/// A value that each router has a copy of. All copies are given the same commands in the same order, so a command's outcome must follow
/// from the value and the command alone: no clock, no randomness, nothing that only one router sees.
pub trait Machine: Send + 'static {
    /// Applies the command at this index of the log. Several commands may share an index: they are one entry. Returns what the router
    /// that proposed the command is told. Bytes that are no command have an outcome as well, the same everywhere.
    ///
    /// # Errors
    /// [`Unreadable`]: this copy cannot know what the command means, as a newer router wrote it. The router must follow the log no further.
    fn apply(&mut self, index: u64, command: &[u8]) -> Result<Vec<u8>, Unreadable>;

    /// The whole value.
    fn snapshot(&self) -> Vec<u8>;

    /// Takes over a value that another copy, or an earlier run, made a snapshot of.
    ///
    /// # Errors
    /// [`Unreadable`]; the value is as it was.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Unreadable>;
}

/// Something that is written in a way that this program does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(
    /// What cannot be read, and what to do.
    pub String,
);
