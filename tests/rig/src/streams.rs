//! Streams that cannot be written, as the standard output or standard error of a program under test.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, PipeReader, PipeWriter, Write as _, pipe};
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// A pipe whose reader has gone.
pub fn closed_pipe() -> Stdio {
    let (_, writer) = pipe().expect("a pipe");
    writer.into()
}

/// A file on a full disk.
pub fn full_disk() -> Stdio {
    let full = OpenOptions::new().write(true).open("/dev/full");
    full.expect("Linux has /dev/full").into()
}

/// A pipe that is full. It is read only by the owner of the first value.
pub fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = pipe().expect("a pipe");
    fill(&mut writer);
    (reader, writer.into())
}

fn fill(writer: &mut PipeWriter) {
    let flags = fcntl_getfl(&*writer).expect("flags of a pipe");
    fcntl_setfl(&*writer, flags | OFlags::NONBLOCK).expect("a pipe need not block");
    // Single bytes come last, so that the pipe has no room even for one byte.
    for piece in [&[b'.'; 4096][..], b"."] {
        loop {
            match writer.write(piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the pipe cannot be filled: {error}"),
            }
        }
    }
    fcntl_setfl(&*writer, flags).expect("a pipe can block again");
}

/// A named pipe for writing, and the reader that holds it open.
pub fn named_pipe(path: &std::path::Path) -> (File, Stdio) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .expect("a named pipe");
    let reader = read_named_pipe(path);
    let writer = OpenOptions::new().write(true).open(path).expect("the pipe has a reader");
    (reader, writer.into())
}

/// A second reader of a named pipe. A read blocks while the pipe is empty and has a writer.
pub fn read_named_pipe(path: &std::path::Path) -> File {
    let reader = rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    let reader = reader.expect("the pipe is there");
    fcntl_setfl(&reader, OFlags::empty()).expect("a pipe can block");
    reader.into()
}
