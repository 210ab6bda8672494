//! Standard output and the terminal: the one place where programs print. Nothing here panics or stops a command. If a stream cannot be
//! written, that is remembered, and [`crate::end`] makes it the command's outcome.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use crate::{Exit, Failure, log, printable};

/// The first reason why standard output could not be written.
static FAULT: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line of a command's result on standard output. After a line could not be printed, further lines are left out. Control characters
/// are escaped, because a peer may have chosen parts of the text; line ends and tabs stay.
pub fn say(line: impl fmt::Display) {
    write_out(&printable::lines(&format!("{line}\n")));
}

/// Like [`say`], without a line end.
pub fn say_part(text: impl fmt::Display) {
    write_out(&printable::lines(&text.to_string()));
}

/// Like [`say_part`], over what stands in the line.
pub fn say_over(text: impl fmt::Display) {
    write_out(&format!("\r{}", printable::lines(&text.to_string())));
}

/// Whether standard output could be written so far. A command that prints without an end stops when its reader has gone.
pub fn is_heard() -> bool {
    fault().is_none()
}

/// Prints a line for people on standard error: a failure's sentence, or how far a command is. Where nobody reads standard error, the
/// line is lost. Control characters are escaped as in [`say`].
pub fn tell(line: impl fmt::Display) {
    write_err(&printable::lines(&format!("{line}\n")));
}

/// Like [`tell`], without a line end: a question at the terminal.
pub fn tell_part(text: impl fmt::Display) {
    write_err(&printable::lines(&text.to_string()));
}

/// Like [`tell_part`], in the place of what stands in the line of the terminal. An empty text clears the line.
pub fn tell_over(text: impl fmt::Display) {
    write_err(&format!("{CLEAR}{}", printable::lines(&text.to_string())));
}

/// Clears the line of a terminal.
const CLEAR: &str = "\r\x1b[K";

fn write_out(text: &str) {
    if fault().is_none() {
        let mut out = io::stdout().lock();
        note(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }
}

fn write_err(text: &str) {
    if !log::put(text) {
        let mut out = io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Remembers whether standard output could be written.
pub(crate) fn note(written: io::Result<()>) {
    if let Err(error) = written {
        fault().get_or_insert(error);
    }
}

/// Whether all output was written, or its reader did not want more.
///
/// # Errors
/// [`Exit::Internal`] if something could not be written.
pub(crate) fn written() -> Result<(), Failure> {
    match &*fault() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Exit::Internal.with(format!(
            "standard output cannot be written: {error}. The command is done, but its output is incomplete"
        ))),
        _ => Ok(()),
    }
}

fn fault() -> std::sync::MutexGuard<'static, Option<io::Error>> {
    FAULT.lock().unwrap_or_else(PoisonError::into_inner)
}
