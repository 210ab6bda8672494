//! Files that an operator names: keys, stores, settings. Reading such a file never waits, and never takes more memory than a bound. This
//! holds for whatever the path leads to: a pipe may have no writer, a device has no end, and a file's size is only a claim.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use zeroize::Zeroizing;

/// Why a file is not read. The text goes on after a sentence of the caller: "the key file /etc/rcs/key cannot be read: ...".
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's own reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A directory, pipe, device or socket.
    #[error("it is {0}, not a regular file")]
    NotRegular(Kind),
    /// The file has more bytes than its bound.
    #[error("it has more than {bytes_max} bytes; is this the right file?")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// A file with a secret that every user of the machine can replace.
    #[error(
        "it holds a secret, and every user of this machine may write to it: take that permission away with `chmod o-w FILE`"
    )]
    Writable,
}

/// What a path leads to instead of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A named pipe (FIFO), or the pipe of a shell's `<(...)`.
    Pipe,
    /// A device, such as `/dev/zero` or a terminal.
    Device,
    /// A socket.
    Socket,
    /// Anything else.
    Unknown,
}

impl Kind {
    fn of(metadata: &Metadata) -> Self {
        let kind = metadata.file_type();
        match kind {
            _ if kind.is_dir() => Self::Directory,
            _ if kind.is_fifo() => Self::Pipe,
            _ if kind.is_char_device() || kind.is_block_device() => Self::Device,
            _ if kind.is_socket() => Self::Socket,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Pipe => "a pipe",
            Self::Device => "a device",
            Self::Socket => "a socket",
            Self::Unknown => "something else",
        })
    }
}

/// Opens a regular file for reading; links are followed. Neither this call nor a later read waits for another process.
///
/// # Errors
/// [`FileError::Io`], [`FileError::NotRegular`]
pub fn open_regular(path: &Path) -> Result<(File, Metadata), FileError> {
    open_regular_with(OpenOptions::new().read(true), path)
}

/// Like [`open_regular`], with the caller's own options, such as writing.
///
/// # Errors
/// [`FileError::Io`], [`FileError::NotRegular`]
pub fn open_regular_with(options: &mut OpenOptions, path: &Path) -> Result<(File, Metadata), FileError> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).expect("flags of open fit its argument");
    let file = match options.custom_flags(flags).open(path) {
        Ok(file) => file,
        // A socket cannot be opened at all.
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
            return Err(FileError::NotRegular(Kind::of(&path.metadata()?)));
        }
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(FileError::NotRegular(Kind::of(&metadata))) }
}

/// Reads the rest of an opened file. `size` is the size that the file's metadata claims. Memory of this size is reserved at once, up to
/// the bound.
///
/// # Errors
/// [`FileError::Io`], [`FileError::TooLarge`]
pub fn read_opened(file: &mut File, size: u64, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    let limit = bytes_max.saturating_add(1);
    // One byte more than expected, so that the read that finds the end needs no further memory.
    let room = usize::try_from(size).map_or(limit, |size| size.saturating_add(1).min(limit));
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(room).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    file.take(limit as u64).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max { Err(FileError::TooLarge { bytes_max }) } else { Ok(bytes) }
}

/// Reads a regular file of at most `bytes_max` bytes.
///
/// # Errors
/// [`FileError`], except [`FileError::Writable`].
pub fn read_bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    let (mut file, metadata) = open_regular(path)?;
    read_opened(&mut file, metadata.len(), bytes_max)
}

/// What a file with a secret holds.
pub struct SecretFile {
    /// The bytes of the file; overwritten with zeros when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// A sentence for the log or the terminal if every user of the machine can read the file.
    pub warning: Option<String>,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile").field("warning", &self.warning).finish_non_exhaustive()
    }
}

/// Reads a regular file of at most `bytes_max` bytes that holds a key, a token or a key store. The permissions of the owner and of the
/// group are the operator's own business. If every other user may write to the file, the file is refused. If every other user may read the
/// file, there is a warning (a secret that Kubernetes mounts is like that).
///
/// # Errors
/// [`FileError`]
pub fn read_secret(path: &Path, bytes_max: usize) -> Result<SecretFile, FileError> {
    let (mut file, metadata) = open_regular(path)?;
    if metadata.mode() & 0o002 != 0 {
        return Err(FileError::Writable);
    }
    let bytes = Zeroizing::new(read_opened(&mut file, metadata.len(), bytes_max)?);
    let warning = (metadata.mode() & 0o004 != 0).then(|| {
        format!(
            "{} holds a secret, and every user of this machine can read it: take that permission away with `chmod o-r {0}`",
            path.display()
        )
    });
    Ok(SecretFile { bytes, warning })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn sentence<T>(read: Result<T, FileError>) -> String {
        read.err().expect("the file must be refused").to_string()
    }

    #[test]
    fn only_regular_files_are_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for (path, kind) in [
            (folder.path(), "a directory"),
            (&pipe, "a pipe"),
            (&link, "a pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
            // Without a terminal this device cannot be opened at all.
            (Path::new("/dev/tty"), "a device"),
        ] {
            let text = sentence(read_bounded(path, 10));
            assert!(text == format!("it is {kind}, not a regular file"), "{}: {text}", path.display());
            assert_eq!(sentence(read_secret(path, 10)), text, "{}", path.display());
        }
        let missing = folder.path().join("missing");
        assert!(matches!(read_bounded(&missing, 10), Err(FileError::Io(_))));
    }

    #[test]
    fn the_bound_counts_bytes_and_not_what_the_metadata_claims() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ten");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_bounded(&path, 10).unwrap(), b"0123456789");
        assert_eq!(sentence(read_bounded(&path, 9)), "it has more than 9 bytes; is this the right file?");
        // The kernel claims that this file has 0 bytes.
        let proc = Path::new("/proc/self/status");
        assert_eq!(fs::metadata(proc).unwrap().len(), 0);
        assert!(matches!(read_bounded(proc, 10), Err(FileError::TooLarge { bytes_max: 10 })));
        assert!(!read_bounded(proc, 1 << 20).unwrap().is_empty());
        // Whatever size is claimed, no memory beyond the bound is reserved.
        let (mut file, _) = open_regular(&path).unwrap();
        let bytes = read_opened(&mut file, u64::MAX, 16).unwrap();
        assert!(bytes.len() == 10 && bytes.capacity() <= 17);
        // A sparse file of a terabyte.
        let holes = folder.path().join("holes");
        fs::File::create(&holes).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(read_bounded(&holes, 1 << 10), Err(FileError::TooLarge { .. })));
    }

    #[test]
    fn a_secret_is_for_its_owner_and_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "a-secret").unwrap();
        for (mode, expected) in [(0o600, None), (0o640, None), (0o660, None), (0o644, Some("can read it"))] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_secret(&path, 64).unwrap();
            assert_eq!(&*read.bytes, b"a-secret");
            let warning = read.warning.clone().unwrap_or_default();
            assert_eq!(read.warning.is_some(), expected.is_some(), "{mode:o}: {warning}");
            assert!(warning.contains(expected.unwrap_or_default()), "{mode:o}: {warning}");
            assert!(!format!("{read:?}").contains("a-secret") && !warning.contains("a-secret"));
        }
        for mode in [0o602, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let text = sentence(read_secret(&path, 64));
            assert!(text.contains("chmod o-w"), "{mode:o}: {text}");
        }
    }
}
