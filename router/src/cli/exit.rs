//! Exit codes (DESIGN 9), and which error has which.

use std::process::ExitCode;

use crate::app::{AccessError, AppError};

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Success.
    Ok = 0,
    /// The command line is wrong, or a token is missing or wrong.
    Usage = 64,
    /// A file is invalid, or the router refused the request for what it asks.
    BadData = 65,
    /// A resource is unavailable: an address, a directory, the router.
    Unavailable = 69,
    /// An internal error: the operating system refused something basic, or the demo failed.
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
