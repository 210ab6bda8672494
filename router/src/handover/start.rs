//! Starts a later process as the running one was started: with its options, in its directory, with its log.

use std::ffi::{OsStr, OsString};
use std::io::{self, stderr, stdout};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use rcs_proto::messages::handover::message::Kind;
use rcs_proto::messages::handover::{Describe, Described, Variable};

use super::channel::{Channel, HandoverError, unexpected};
use crate::limits::{HANDOVER_MESSAGE_WAIT, HANDOVER_READY_EVERY, UPGRADE_WAIT};

/// The variables that belong to the start of a router.
const VARIABLES: &str = "RCS_";

/// How an upgrade ended.
#[derive(Debug)]
pub(crate) enum Upgraded {
    /// The later process has taken over.
    Done {
        /// The process that was running.
        from: u32,
        /// The process that runs now.
        to: u32,
    },
    /// The later process ended without having taken over. Its log says why.
    Ended {
        /// The process that goes on.
        running: u32,
        /// How the later process ended.
        status: std::process::ExitStatus,
    },
    /// The later process has not taken over in time, and still tries.
    Slow {
        /// The process that goes on.
        running: u32,
        /// The process that tries.
        later: u32,
    },
}

fn own_variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(VARIABLES.as_bytes()))
}

/// Tells another process how this one was started.
pub(super) fn describe(channel: &mut Channel) -> io::Result<()> {
    let bytes = |text: OsString| bytes::Bytes::from(text.into_vec());
    let described = Described {
        process: std::process::id(),
        arguments: std::env::args_os().skip(1).map(bytes).collect(),
        directory: bytes(std::env::current_dir()?.into_os_string()),
        variables: own_variables()
            .map(|(name, value)| Variable { name: bytes(name), value: bytes(value) })
            .collect(),
    };
    channel.send(Kind::Described(described), &[stdout().as_fd(), stderr().as_fd()])
}

fn ask(place: &Path) -> Result<(Described, Vec<OwnedFd>), HandoverError> {
    let mut channel = Channel::new(UnixStream::connect(place)?);
    // What this process is told to start is believed.
    channel.check_user()?;
    channel.wait_at_most(Some(HANDOVER_MESSAGE_WAIT))?;
    channel.send(Kind::Describe(Describe {}), &[])?;
    match channel.receive()? {
        Some((Kind::Described(described), descriptors)) => Ok((described, descriptors)),
        other => Err(unexpected(other)),
    }
}

/// Starts this program as the router was started that waits at this Unix socket, and waits until it has taken over.
///
/// # Errors
/// [`HandoverError`]: no router waits there, or this program cannot be started.
pub(crate) fn upgrade(place: &Path) -> Result<Upgraded, HandoverError> {
    let (running, descriptors) = ask(place)?;
    let [out, log]: [OwnedFd; 2] =
        descriptors.try_into().map_err(|_| HandoverError::Unexpected("too few descriptors".to_owned()))?;
    let text = |bytes: &bytes::Bytes| OsStr::from_bytes(bytes).to_owned();
    let mut command = Command::new(std::env::current_exe()?);
    // What this command's shell has set for other commands is none of the router's options.
    for (name, _) in own_variables() {
        command.env_remove(name);
    }
    command
        .args(running.arguments.iter().map(text))
        .current_dir(PathBuf::from(text(&running.directory)))
        .envs(running.variables.iter().map(|variable| (text(&variable.name), text(&variable.value))))
        .stdin(Stdio::null())
        .stdout(Stdio::from(out))
        .stderr(Stdio::from(log))
        // A signal to the group of this command is not meant for the router.
        .process_group(0);
    let mut later = command.spawn()?;
    let until = Instant::now() + UPGRADE_WAIT;
    while Instant::now() < until {
        if let Some(status) = later.try_wait()? {
            return Ok(Upgraded::Ended { running: running.process, status });
        }
        // Between the two processes nobody waits there for a moment.
        if ask(place).is_ok_and(|(now, _)| now.process == later.id()) {
            return Ok(Upgraded::Done { from: running.process, to: later.id() });
        }
        sleep(HANDOVER_READY_EVERY);
    }
    Ok(Upgraded::Slow { running: running.process, later: later.id() })
}
