//! Exit codes (those of `sysexits.h`), and which error has which.

use std::process::ExitCode;

use crate::app::{AccessError, AppError};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// As asked.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// A file is wrong.
    BadData = 65,
    /// Something needed is not there: an address, a peer.
    Unavailable = 69,
    /// A promise was broken.
    Internal = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl From<&AppError> for Exit {
    fn from(error: &AppError) -> Self {
        match error {
            AppError::Access(AccessError::NoKey) => Self::Usage,
            AppError::Access(_)
            | AppError::Token(_)
            | AppError::Document(_)
            | AppError::Config(_)
            | AppError::Trust(_) => Self::BadData,
            AppError::Bind { .. } | AppError::Spill(_) => Self::Unavailable,
            AppError::System { .. } => Self::Internal,
        }
    }
}
