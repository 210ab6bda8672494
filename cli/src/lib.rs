//! How the project's programs begin and end on a command line: arguments are read one way, and one set of exit codes says how
//! a command ended. Scripts of operators rely on the codes, so rcs-router, rcs-node and rcs-bench must not differ in them.
//!
//! Way: [`parse`] reads the arguments ▸ [`end`] runs the command, whose results go out through [`say`] ▸ [`Exit`], or a [`Failure`] with
//! its sentence, becomes the process's [`ExitCode`].
//!
//! Everything that a program prints or logs goes through this crate ([`log`](mod@log), `output`). A stream that is closed, full or blocked
//! ends no program and no service, and causes no panic. Nothing that a peer chose steers a terminal: [`printable`] escapes control
//! characters. Bounds are in [`limits`].
//!
//! [`mod@file`] reads the files that operators name, with a bound and without waiting. [`memory`] keeps keys out of core files.
//!
//! [`doctor`] shows what a program's doctor found. [`idm`] reads IDM's document for whoever is listed in it.
//!
//! What this crate must not know: any command of any program.

pub mod doctor;
pub mod file;
pub mod idm;
pub mod limits;
pub mod log;
pub mod memory;
mod output;
pub mod printable;

use std::ffi::OsString;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

pub use output::{is_heard, say, say_over, say_part, tell, tell_over, tell_part};

/// The line for the end of a program's help.
pub const EXIT_CODES: &str = "Exit codes: 0 success, 64 wrong usage, 65 invalid file or request, 69 a resource is unavailable, \
     70 internal error.";

/// Why a command failed, as a class that scripts can tell apart. The numbers are those of `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 64: the command line is wrong, or a token is missing or wrong.
    Usage,
    /// 65: a file is invalid or insecure, or the router refuses the request for what it asks.
    BadData,
    /// 69: a resource is unavailable: an address, a port, a directory, a peer.
    Unavailable,
    /// 70: internal error, or a drill or demo that failed.
    Internal,
    /// 1: what `status` shows is not as it should be, and still works.
    Degraded,
    /// 2: what `status` shows does not work.
    Down,
}

impl Exit {
    /// A failure with this exit code, and a text for the terminal that says what to do.
    pub fn with(self, sentence: impl Into<String>) -> Failure {
        Failure { exit: self, sentence: sentence.into() }
    }

    /// A failure with this exit code, of a command that has printed everything already.
    pub fn silently(self) -> Failure {
        self.with("")
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Usage => 64,
            Exit::BadData => 65,
            Exit::Unavailable => 69,
            Exit::Internal => 70,
            Exit::Degraded => 1,
            Exit::Down => 2,
        })
    }
}

/// A command that failed, and the sentence for the terminal.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    sentence: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// Reads a program's arguments, the program's name first.
///
/// # Errors
/// The exit code if there is no command to run. Help and version go to standard output and end with 0; wrong arguments are
/// explained on standard error and end with [`Exit::Usage`].
pub fn parse<C: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<C, ExitCode> {
    C::try_parse_from(arguments).map_err(|message| {
        if message.use_stderr() {
            // Without standard error, the exit code alone reports the failure.
            let _ = message.print();
            return Exit::Usage.into();
        }
        let name = C::command().get_name().to_owned();
        end(&name, || {
            output::note(message.print());
            Ok(())
        })
    })
}

/// Runs a command, and ends it. A failure's sentence goes to standard error, after the program's name. The log is written as far as
/// anybody reads it. If standard output cannot be written (the disk is full), the command fails with [`Exit::Internal`]. If the reader of
/// standard output has gone, as `head` does, the command counts as done.
pub fn end(program: &str, command: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    let panicked =
        |_| Err(Exit::Internal.with("internal error, see the panic above: please report it as a bug"));
    let outcome = catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(panicked);
    let code = match outcome.and_then(|()| output::written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.sentence.is_empty() {
                tell(format_args!("{program}: {failure}"));
            }
            failure.exit.into()
        }
    };
    log::flush();
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "example", version)]
    struct Example {
        #[arg(long)]
        count: u8,
    }

    /// An `ExitCode` can be compared only by how it is shown.
    fn shown(code: impl Into<ExitCode>) -> String {
        format!("{:?}", code.into())
    }

    #[test]
    fn arguments_are_read_or_the_end_is_known() {
        for (arguments, expected) in [
            (&["--count", "7"][..], Ok(7)),
            (&["--help"], Err(shown(ExitCode::SUCCESS))),
            (&["--version"], Err(shown(ExitCode::SUCCESS))),
            (&[], Err(shown(64))),
            (&["--count", "many"], Err(shown(64))),
        ] {
            let line = std::iter::once("example").chain(arguments.iter().copied()).map(OsString::from);
            let read = parse::<Example>(line).map(|example| example.count).map_err(shown);
            assert_eq!(read, expected, "{arguments:?}");
        }
    }

    #[test]
    fn the_codes_are_those_that_the_help_lists() {
        for (exit, number, word) in [
            (Exit::Usage, 64, "wrong usage"),
            (Exit::BadData, 65, "invalid file or request"),
            (Exit::Unavailable, 69, "a resource is unavailable"),
            (Exit::Internal, 70, "internal error"),
        ] {
            assert_eq!(shown(exit), shown(number));
            assert!(EXIT_CODES.contains(&format!("{number} {word}")), "{exit:?}");
            assert_eq!(shown(end("example", || Err(exit.with("why")))), shown(number));
        }
        assert_eq!(shown(end("example", || Ok(()))), shown(ExitCode::SUCCESS));
    }

    #[test]
    fn a_command_that_panics_is_an_internal_error() {
        assert_eq!(shown(end("example", || panic!("a broken invariant"))), shown(70));
    }
}
