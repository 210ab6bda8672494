//! Child processes: their output is drained all the time, they are stopped, frozen and killed by pid, and none outlives its value.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait::wait_for;

/// Lines of output kept for the message of a failed test.
const KEPT_LINES: usize = 60;

/// A running child in a process group of its own. Dropping it kills the group.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
}

/// What a child wrote on one of its pipes and nobody has taken yet.
#[derive(Default)]
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    recent: VecDeque<String>,
    ended: bool,
}

impl Process {
    /// Starts `command` with all three pipes.
    pub fn start(name: &str, mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::start_as(name, command)
    }

    /// Starts `command` with this stream as its standard error. The rig reads nothing of it.
    pub fn start_logging_to(name: &str, mut command: Command, stderr: Stdio) -> Self {
        command.stderr(stderr);
        Self::start_as(name, command)
    }

    fn start_as(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e} ({command:?})"));
        let stdin = child.stdin.take();
        let stdout = Output::drain(child.stdout.take().expect("stdout is a pipe"));
        let stderr = child.stderr.take().map(Output::drain).unwrap_or_default();
        Self { name: name.to_owned(), child, stdin, stdout, stderr }
    }

    /// The process id; also the id of its group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("Linux tells it in kB") * 1024
    }

    /// Writes one line to its standard input.
    pub fn write_line(&mut self, line: &str) {
        let pipe = self.stdin.as_mut().expect("standard input is open until close_stdin");
        let written = pipe.write_all(format!("{line}\n").as_bytes()).and_then(|()| pipe.flush());
        if let Err(e) = written {
            panic!("{} takes no input ({e})\n{self}", self.name);
        }
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// The next line of its standard output; fails the test with `reason` if none comes within `bound`.
    pub fn read_line(&self, reason: &str, bound: Duration) -> String {
        self.stdout
            .next(bound)
            .unwrap_or_else(|| panic!("no line from {} in {bound:?}: {reason}\n{self}", self.name))
    }

    /// The next line of standard output that begins with `start`; other lines are passed over.
    pub fn read_until(&self, start: &str, bound: Duration) -> String {
        let end = Instant::now() + bound;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.read_line(&format!("a line that begins with `{start}`"), left);
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        let reason = format!("{} should have ended", self.name);
        wait_for(&reason, bound, || self.child.try_wait().expect("a child can be waited for"))
    }

    /// True until it has ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.rustix_pid(), signal)
            .unwrap_or_else(|e| panic!("{} takes no {signal:?}: {e}", self.name));
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a killed child can be waited for");
    }

    /// SIGSTOP: alive, sockets open, no progress.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// All that is left unread of standard output, then of standard error; complete once the process has ended.
    pub fn output(&self) -> (Vec<String>, Vec<String>) {
        (self.stdout.take(), self.stderr.take())
    }

    /// Standard error so far, as far as nobody has taken it.
    pub fn stderr_lines(&self) -> Vec<String> {
        self.stderr.lock().waiting.iter().cloned().collect()
    }

    /// True if a line with `part` went to standard error lately.
    pub fn said_on_stderr(&self, part: &str) -> bool {
        self.stderr.lock().recent.iter().any(|l| l.contains(part))
    }

    fn rustix_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The leader is not waited for yet, so its pid still names this group and no other.
        let _ = kill_process_group(self.rustix_pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (pipe, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            writeln!(f, "--- {} {pipe}, last lines:", self.name)?;
            for line in &output.lock().recent {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

impl Output {
    fn drain(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let output = Arc::new(Self::default());
        let mine = Arc::clone(&output);
        thread::spawn(move || {
            let mut lines = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
                mine.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
            mine.lock().ended = true;
            mine.changed.notify_all();
        });
        output
    }

    fn push(&self, line: String) {
        let mut state = self.lock();
        if state.recent.len() == KEPT_LINES {
            state.recent.pop_front();
        }
        state.recent.push_back(line.clone());
        state.waiting.push_back(line);
        self.changed.notify_all();
    }

    fn next(&self, bound: Duration) -> Option<String> {
        let waits = |s: &mut State| s.waiting.is_empty() && !s.ended;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.lock(), bound, waits)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting.pop_front()
    }

    fn take(&self) -> Vec<String> {
        self.lock().waiting.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
