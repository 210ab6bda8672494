//! Files that are read again and again, to follow their changes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// What a file holds, or that it cannot be read.
#[derive(Debug, PartialEq)]
pub(crate) enum Content {
    /// Its bytes, one more than the bound at most.
    Text(Vec<u8>),
    /// Why it cannot be read.
    Unreadable(String),
}

impl Content {
    /// Reads a file of at most `bytes_max` bytes. Of a longer file one byte more is read, so that the caller sees that the file is
    /// too long.
    pub(crate) fn read(path: &Path, bytes_max: usize) -> Self {
        bounded(path, bytes_max).map_or_else(|error| Self::Unreadable(error.to_string()), Self::Text)
    }
}

fn bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    // Reading a pipe would wait for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
