//! The output of a command is closed or full: no command panics, and the exit code reports what the output cannot.

use std::process::{Command, Stdio};

use rcs_rig::streams::{closed_pipe, full_disk};

use crate::support::{Router, member, provider, router, scratch};

/// The exit code and standard error of a command with this standard output.
fn ran(mut command: Command, stdout: Stdio) -> (Option<i32>, String) {
    let output =
        command.stdout(stdout).stderr(Stdio::piped()).spawn().and_then(|child| child.wait_with_output());
    let output = output.expect("the binary under test starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_command_ends_quietly_if_its_reader_has_gone_and_fails_if_it_cannot_be_written() {
    let folder = scratch();
    let member = member("n1");
    let document = provider(&folder, &[("n1", &member)]);
    let running = Router::serve(&document, &["--dev"]);
    running.await_ready();
    let (document, server) = (document.to_str().unwrap(), format!("http://{}", running.admin));
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["check", "--provider", document, "--dev"],
        &["member", "list", "--server", &server],
        &["member", "list", "--server", &server, "--output", "json"],
        &["bundles", "status", "g", "--server", &server],
        &["call", "list", "--server", &server],
    ] {
        assert_eq!(ran(router(arguments), closed_pipe()), (Some(0), String::new()), "{arguments:?}");
        let (code, told) = ran(router(arguments), full_disk());
        assert_eq!(code, Some(70), "{arguments:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
        assert!(told.starts_with("rcs-router: standard output cannot be written: No space left"), "{told}");
    }
    // A failure of the command itself comes before a failure of its output.
    let (code, _) = ran(router(&["check", "--provider", "/no/such/file", "--dev"]), full_disk());
    assert_eq!(code, Some(65));
}

/// If its sentence cannot be printed, a failure still has its exit code.
#[test]
fn a_failure_without_standard_error_has_its_exit_code() {
    for (arguments, code) in [
        (&["check", "--provider", "/no/such/file", "--dev"][..], 65),
        (&["check"], 64),
        (&["no such command"], 64),
    ] {
        for stream in [closed_pipe, full_disk] {
            let status = router(arguments).stdout(Stdio::null()).stderr(stream()).status();
            assert_eq!(status.expect("it starts").code(), Some(code), "{arguments:?}");
        }
    }
}
