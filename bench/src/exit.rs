//! How the program ends.

use std::fmt;
use std::process::ExitCode;

/// The exit codes other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 64: the command line makes no sense.
    Usage,
    /// 65: a file or a property makes no sense.
    BadData,
    /// 69: the target is not to be had, or answers nothing but errors.
    Unavailable,
    /// 70: a fault of our own.
    Internal,
}

impl Exit {
    /// This end, with a sentence for the terminal that says what to do.
    pub(crate) fn with(self, sentence: impl Into<String>) -> Failure {
        Failure { exit: self, sentence: sentence.into() }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Usage => 64,
            Exit::BadData => 65,
            Exit::Unavailable => 69,
            Exit::Internal => 70,
        })
    }
}

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    sentence: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}
