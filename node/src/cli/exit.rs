//! How the program ends.

use std::fmt;
use std::process::ExitCode;

/// The exit codes other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// 64: the command line is wrong.
    Usage,
    /// 65: a file is invalid or insecure.
    BadData,
    /// 69: a resource is unavailable, for example the port.
    Unavailable,
    /// 70: internal error.
    Internal,
}

impl Exit {
    /// A failure with this exit code, and a text for the terminal that says what to do.
    pub(super) fn with(self, sentence: impl Into<String>) -> Failure {
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
pub(super) struct Failure {
    pub(super) exit: Exit,
    sentence: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}
