//! Files that are read again and again, to follow their changes.

use std::path::Path;

use rcs_cli::file::read_bounded;

/// What a file holds, or that it cannot be read.
#[derive(Debug, PartialEq)]
pub(crate) enum Content {
    /// The bytes of the file.
    Text(Vec<u8>),
    /// Why it cannot be read.
    Unreadable(String),
}

impl Content {
    /// Reads a regular file of at most `bytes_max` bytes, without waiting for anything but the disk.
    pub(crate) fn read(path: &Path, bytes_max: usize) -> Self {
        read_bounded(path, bytes_max).map_or_else(|error| Self::Unreadable(error.to_string()), Self::Text)
    }
}
